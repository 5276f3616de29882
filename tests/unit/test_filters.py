"""Filters from the public input: what they mean, what is refused, and with which path."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from graphql import GraphQLInputObjectType, build_schema, get_named_type

from domain.due import due
from domain.errors import Code, OverLimit, Refused
from domain.filter_input import (
    COMPARISONS_MAX,
    DEPTH_MAX,
    FIELDS,
    SEARCH_MAX_CHARS,
    SEARCHES_MAX,
    VALUES_MAX,
    parse,
)
from domain.filters import matches, reads_clock, where
from domain.ids import TagId
from domain.tasks import Priority, Status, Task
from tests.task_rows import NOW, task

TAG = TagId(UUID(int=7))
TAG_TEXT = str(TAG)
TODAY = due(NOW.date(), None, ZoneInfo("Europe/Berlin"), fold=False)
DELETED = task(1, deleted_at=NOW)


def _passes(given: Mapping[str, object] | None, one: Task, now: datetime = NOW) -> bool | None:
    return matches(parse(given), one, now)


@pytest.mark.parametrize(
    "_case, given, one, expected",
    [
        ("nothing asked", {}, task(1), True),
        ("nulls", {"status": None, "and": None, "due": {"gte": None}}, task(1), True),
        ("an empty and", {"and": []}, task(1), True),
        ("an empty or", {"or": []}, task(1), False),
        ("an or of nothing asked", {"or": [{}]}, task(1), True),
        ("not nothing", {"not": {}}, task(1), False),
        ("not an empty or", {"not": {"or": []}}, task(1), True),
        ("an empty in", {"status": {"in": []}}, task(1), False),
        ("an empty any", {"tags": {"any": []}}, task(1), False),
        ("an empty all", {"tags": {"all": []}}, task(1), True),
        ("an empty none", {"tags": {"none": []}}, task(1), True),
        ("all parts", {"status": {"eq": "OPEN"}, "priority": {"eq": "LOW"}}, task(1), False),
        ("untagged has not X", {"not": {"tags": {"any": [TAG_TEXT]}}}, task(1), True),
        ("tagged X", {"tags": {"none": [TAG_TEXT]}}, task(1, tag_ids=frozenset({TAG})), False),
        ("no due is not before", {"due": {"lt": NOW}}, task(1), False),
        ("nor at or after", {"due": {"gte": NOW}}, task(1), False),
        ("not before, without one", {"not": {"due": {"lt": NOW}}}, task(1), True),
        ("gte takes the edge", {"createdAt": {"gte": NOW}}, task(1), True),
        ("lt does not", {"createdAt": {"lt": NOW}}, task(1), False),
        ("gte of a priority", {"priority": {"gte": "MEDIUM"}}, task(1), True),
        ("lte of a priority", {"priority": {"lte": "LOW"}}, task(1), False),
        ("the local date", {"due": {"dateGte": NOW.date()}}, task(1, due=TODAY), True),
        ("the day after", {"due": {"dateLt": NOW.date()}}, task(1, due=TODAY), False),
        ("is null", {"category": {"isNull": True}}, task(1), True),
        ("is not null", {"category": {"isNull": False}}, task(1), False),
        ("deleted by default", {}, DELETED, False),
        ("deleted, asked for", {"isDeleted": True}, DELETED, True),
        ("deleted, asked for the others", {"isDeleted": False}, DELETED, False),
        ("deleted, asked for below the top", {"and": [{"isDeleted": True}]}, DELETED, False),
        ("deleted, named null", {"isDeleted": None}, DELETED, False),
    ],
)
def test_a_filter_passes(_case: str, given: dict[str, object], one: Task, expected: bool) -> None:
    assert _passes(given, one) is expected


def test_a_due_has_passed_from_its_instant_on() -> None:
    one = task(1, due=TODAY)
    before, after = TODAY.instant - timedelta(microseconds=1), TODAY.instant

    assert [_passes({"isOverdue": True}, one, at) for at in (before, after)] == [False, True]
    assert [_passes({"isOverdue": False}, one, at) for at in (before, after)] == [True, False]
    for status, expected in zip(Status, [True, True, False, False], strict=True):
        ended = task(1, due=TODAY, status=status)
        assert _passes({"isOverdue": True}, ended, after) is expected


def test_only_the_database_can_tell_what_a_search_finds() -> None:
    search = {"search": "milk"}

    assert _passes(search, task(1)) is None
    assert _passes({"not": search}, task(1)) is None
    assert _passes({"and": [search, {"status": {"eq": "DONE"}}]}, task(1)) is False
    assert _passes({"or": [search, {"status": {"eq": "OPEN"}}]}, task(1)) is True
    assert _passes({"or": [search, {"status": {"eq": "DONE"}}]}, task(1)) is None
    assert _passes({"search": " "}, task(1)) is True
    assert _passes({"not": {"search": " "}}, task(1)) is False


def test_only_overdue_reads_the_clock() -> None:
    assert reads_clock(parse({"not": {"or": [{"isOverdue": False}]}}))
    assert not reads_clock(parse({"due": {"lt": NOW}, "search": "milk"}))


def test_values_come_in_one_order_and_shapes_leave_them_out() -> None:
    given = {"tags": {"any": [TAG_TEXT, TAG_TEXT]}, "not": {"priority": {"gte": "HIGH"}}}
    other = {"tags": {"any": []}, "not": {"priority": {"gte": "LOW"}}}

    assert where(parse(given)).values(NOW) == [(TAG,), Priority.HIGH]
    assert where(parse({"isOverdue": True})).values(NOW) == [(Status.OPEN, Status.IN_PROGRESS), NOW]
    assert where(parse(given)).shape == where(parse(other)).shape
    assert where(parse(given)).shape != where(parse({"tags": {"all": []}})).shape
    assert where(parse({"search": "a"})).shape != where(parse({"search": ""})).shape
    assert hash(parse(given)) == hash(parse(dict(given)))


@pytest.mark.parametrize(
    "given, path",
    [
        ({"id": {"eq": "1"}}, "id eq"),
        ({"tags": {"any": [TAG_TEXT, "x"]}}, "tags any 1"),
        ({"or": [{}, {"not": {"parent": {"in": ["{" + TAG_TEXT + "}"]}}}]}, "or 1 not parent in 0"),
        ({"search": "a\0"}, "search"),
        ({"search": "\ud800"}, "search"),
        ({"status": {"eq": "open"}}, "status eq"),
        ({"priority": {"in": ["LOW", "NONE"]}}, "priority in 1"),
        ({"due": {"dateLt": NOW}}, "due dateLt"),
        ({"due": {"lt": datetime(2026, 1, 1)}}, "due lt"),  # noqa: DTZ001
        ({"due": {"lt": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))}}, "due lt"),
        ({"colour": True}, "colour"),
        ({"due": {"between": date.min}}, "due between"),
        ({"due": NOW}, "due"),
        ({"and": {}}, "and"),
    ],
)
def test_what_is_malformed_is_refused_with_its_path(given: dict[str, object], path: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(given, "filter")

    (problem,) = refused.value.problems
    assert (problem.code, problem.path) == (Code.INVALID, ("filter", *path.split()))


def _nested(levels: int) -> dict[str, object]:
    return {} if levels == 1 else {"not": _nested(levels - 1)}


@pytest.mark.parametrize(
    "allowed, refused",
    [
        (_nested(DEPTH_MAX), _nested(DEPTH_MAX + 1)),
        ({"and": [{}] * COMPARISONS_MAX}, {"and": [{}] * (COMPARISONS_MAX + 1)}),
        (
            {"and": [{"isOverdue": True}] * (COMPARISONS_MAX // 2)},
            {"and": [{"isOverdue": True}] * (COMPARISONS_MAX // 2 + 1)},
        ),
        (
            {"id": {"in": [TAG_TEXT] * VALUES_MAX}},
            {"id": {"in": [TAG_TEXT] * VALUES_MAX}, "tags": {"any": [TAG_TEXT]}},
        ),
        (
            {"or": [{"search": "a"}] * SEARCHES_MAX},
            {"or": [{"search": "a"}] * (SEARCHES_MAX + 1)},
        ),
        ({"search": "a" * SEARCH_MAX_CHARS}, {"search": "a" * (SEARCH_MAX_CHARS + 1)}),
    ],
)
def test_what_is_too_large_is_over_the_limit(
    allowed: dict[str, object], refused: dict[str, object]
) -> None:
    parse(allowed)
    with pytest.raises(OverLimit):
        parse(refused)


def test_instants_are_kept_in_utc() -> None:
    given = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))

    (kept,) = where(parse({"createdAt": {"lt": given}, "isDeleted": False})).values(NOW)

    assert kept == given
    assert isinstance(kept, datetime)
    assert kept.tzinfo is UTC


def test_the_fields_are_those_of_the_schema() -> None:
    text = (Path(__file__).parents[2] / "schema" / "schema.graphql").read_text()
    declared = build_schema(text).type_map["TaskFilter"]
    assert isinstance(declared, GraphQLInputObjectType)

    fields = {
        name: get_named_type(field.type)
        for name, field in declared.fields.items()
        if name not in ("and", "or", "not")
    }

    assert {
        name: set(type_.fields) if isinstance(type_, GraphQLInputObjectType) else None
        for name, type_ in fields.items()
    } == {name: set(field) if isinstance(field, dict) else None for name, field in FIELDS.items()}
