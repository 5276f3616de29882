"""What clients are told: the code of every fault, and nothing of what lies behind a bug."""

from typing import Any

import pytest
from graphql import (
    GraphQLError,
    OperationDefinitionNode,
    is_enum_type,
    is_scalar_type,
    parse,
)

from carillon.graphql import build
from domain.errors import Invisible, OverLimit
from resolvers.coerce import Variables
from resolvers.failures import failure

CORE = build()._schema
SCALARS = sorted(n for n, t in CORE.type_map.items() if is_scalar_type(t))
ENUMS = sorted(n for n, t in CORE.type_map.items() if is_enum_type(t) and not n.startswith("__"))
WRONG: dict[str, list[Any]] = {
    "Boolean": ["true", 1],
    "Colour": ["#fff", "red", 1],
    "Date": ["2027-02-30", "2027-2-3", 20270203],
    "DateTime": ["yesterday", "2026-11-23T09:00:00", 1],
    "Float": ["x"],
    "ID": [1.5, True, {"a": 1}, ["x", "y"]],
    "Int": [1.5, 2**40, "1", True],
    "Duration": ["P1M", "30M", 30],
    "LocalTime": ["24:00", "9:30", 930],
    "Sequence": [5, "-1", "1e3", str(2**63), "\ud800"],
    "String": [1, False, []],
    "TimeZone": ["Mars/Olympus", "../etc/passwd", 1],
}
INPUTS: list[tuple[str, Any]] = [
    ("TaskFilter", {"nothing": 1}),
    ("TaskFilter", "x"),
    ("TaskFilter", {"status": {"eq": "NOPE"}}),
    ("TaskFilter", {"and": [{"or": 1}]}),
    ("TaskCreateInput", {}),
    ("TaskCreateInput", {"title": None}),
    ("TaskCreateInput", {"title": "x", "due": {"date": "x"}}),
]


def test_every_scalar_has_wrong_values_here() -> None:
    assert [name for name in SCALARS if not WRONG.get(name)] == []


@pytest.mark.parametrize(
    "type_, value",
    [
        *((name, value) for name in SCALARS for value in WRONG[name]),
        *((name, value) for name in ENUMS for value in ("NOPE", "lower", 1, "\ud800", ["a", "b"])),
        *INPUTS,
        *((f"{name}!", None) for name in (*SCALARS, *ENUMS)),
        *((f"[{name}!]", [None]) for name in (*SCALARS, *ENUMS)),
    ],
)
def test_a_variable_that_is_not_of_its_type_is_malformed_and_no_fault_of_ours(
    caplog: pytest.LogCaptureFixture, type_: str, value: object
) -> None:
    faults = _coerced(type_, {"v": value})

    assert isinstance(faults, list), faults
    told = [failure(fault, None) for fault in faults]
    assert [error["extensions"]["code"] for error in told] == ["MALFORMED"] * len(told)  # type: ignore[index]
    assert all("'$v'" in str(error["message"]) for error in told)
    assert caplog.records == []


def test_a_variable_that_is_missing_is_malformed(caplog: pytest.LogCaptureFixture) -> None:
    (fault,) = _coerced("ID!", {})

    assert failure(fault, None)["extensions"]["code"] == "MALFORMED"  # type: ignore[index]
    assert caplog.records == []


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(
    "cause, code", [(Invisible("gone"), "NOT_FOUND"), (OverLimit("much"), "LIMIT_EXCEEDED")]
)
def test_a_cause_is_found_however_often_it_was_wrapped(
    cause: Exception, code: str, depth: int
) -> None:
    error: Exception = cause
    for _ in range(depth):
        error = GraphQLError(str(error), path=["a"], original_error=error)

    told = failure(error, None)

    assert told["extensions"]["code"] == code  # type: ignore[index]
    assert told["path"] == ["a"]


@pytest.mark.parametrize("path", [None, ["a"]])
def test_a_bug_is_masked_and_logged_with_its_trace(
    caplog: pytest.LogCaptureFixture, path: list[str | int] | None
) -> None:
    bug = GraphQLError("secret", path=path, original_error=ZeroDivisionError("secret"))

    told = failure(bug, f"00-{'ab' * 16}-{'cd' * 8}-01")

    assert told["extensions"] == {"code": "INTERNAL", "traceId": "ab" * 16}
    assert "secret" not in str(told)
    assert [record.message for record in caplog.records] == ["operation.failed"]


def _coerced(type_: str, inputs: dict[str, Any]) -> Any:
    node = parse(f"query ($v: {type_}) {{ __typename }}").definitions[0]
    assert isinstance(node, OperationDefinitionNode)
    return Variables(CORE, node.variable_definitions or ()).coerce(inputs)
