"""Documents are measured before validation, and as their fragments expand."""

import time

import pytest
from graphql import parse

from domain.errors import OverLimit
from resolvers.limits import (
    ALIASES_MAX,
    DEPTH_MAX,
    DIRECTIVES_MAX,
    FIELDS_A_SET_MAX,
    FIELDS_MAX,
    ROOTS_MAX,
    require_few_roots,
    require_modest,
)


def _nested(depth: int) -> str:
    return "{ a " * depth + "}" * depth


def _doubling(levels: int) -> str:
    fragments = [
        f"fragment F{n} on T {{ a: p {{ ...F{n + 1} }} b: p {{ ...F{n + 1} }} }}"
        for n in range(levels)
    ]
    return " ".join(["{ t { ...F0 } }", *fragments, f"fragment F{levels} on T {{ x }}"])


@pytest.mark.parametrize(
    "_case, document",
    [
        ("deep", _nested(DEPTH_MAX)),
        ("many aliases", f"{{ {' '.join(f'a{n}: x' for n in range(ALIASES_MAX))} }}"),
        ("introspection is deep", "{ __schema " + _nested(DEPTH_MAX + 5) + " }"),
        ("a fragment that spreads itself is for validation", "{ ...F } fragment F on T { a ...F }"),
        ("so is one that is not there", "{ ...F }"),
    ],
)  # fmt: skip
def test_what_is_modest_passes(_case: str, document: str) -> None:
    require_modest(parse(document))


@pytest.mark.parametrize(
    "document, words",
    [
        (_nested(DEPTH_MAX + 1), "levels"),
        ("{ t { ...F } } fragment F on T " + _nested(DEPTH_MAX), "levels"),
        (f"{{ {' '.join(f'a{n}: x' for n in range(ALIASES_MAX + 1))} }}", "aliases"),
        (f"{{ {'x ' * (FIELDS_A_SET_MAX + 1)} }}", "in one place"),
        (f"{{ {'x @skip(if: true) ' * (DIRECTIVES_MAX + 1)} }}", "directives"),
        (f"{{ {'t { ...F } ' * 21} }} fragment F on T {{ {'x ' * 100} }}", str(FIELDS_MAX)),
        (_doubling(12), "fields"),
        ("fragment F on T " + _nested(3) + f" {{ {'...F ' * (FIELDS_A_SET_MAX + 1)} }}", "place"),
    ],
)
def test_what_is_too_much_is_refused_with_the_limit(document: str, words: str) -> None:
    with pytest.raises(OverLimit, match=words):
        require_modest(parse(document))


def test_fragments_that_double_are_measured_in_no_time() -> None:
    document = parse(_doubling(60))
    started = time.perf_counter()

    with pytest.raises(OverLimit):
        require_modest(document)

    assert time.perf_counter() - started < 0.5


def test_an_operation_has_a_bounded_number_of_roots() -> None:
    require_few_roots(ROOTS_MAX)
    with pytest.raises(OverLimit):
        require_few_roots(ROOTS_MAX + 1)
