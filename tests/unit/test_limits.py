"""Documents are measured before validation, and as their fragments expand."""

import time

import pytest
from graphql import parse

from domain.errors import OverLimit
from resolvers.limits import (
    ALIASES_MAX,
    DEPTH_MAX,
    DIRECTIVES_MAX,
    FIELDS_MAX,
    PAIRS_MAX,
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


def _wide(fields: int) -> str:
    return f"{{ {' '.join(f't{n}' for n in range(fields + 1))} }}"


def _entangled(count: int) -> str:
    """Returns fragments each of which spreads all of them one level deeper."""
    spreads = " ".join(f"...F{n}" for n in range(count))
    fragments = [f"fragment F{n} on T {{ a{n} {{ {spreads} }} }}" for n in range(count)]
    return " ".join(["{ t { ...F0 } }", *fragments])


@pytest.mark.parametrize(
    "_case, document",
    [
        ("deep", _nested(DEPTH_MAX)),
        ("many aliases", f"{{ {' '.join(f'a{n}: x' for n in range(ALIASES_MAX))} }}"),
        ("introspection is deep", "{ t { __schema " + _nested(DEPTH_MAX) + " } }"),
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
        (f"{{ {'x ' * 65} }}", str(PAIRS_MAX)),
        (f"{{ {'t { x } ' * 46} }}", str(PAIRS_MAX)),
        (f"{{ x }} fragment F on T {{ {'x ' * 65} }}", "repetitions"),
        (f"{{ {'x @skip(if: true) ' * (DIRECTIVES_MAX + 1)} }}", "directives"),
        (_wide(FIELDS_MAX), str(FIELDS_MAX)),
        (_doubling(12), "aliases"),
        (_nested(3) + f" fragment F on T {{ {'...G ' * 65} }}", "repetitions"),
        (_entangled(9), "repetitions"),
    ],
)
def test_what_is_too_much_is_refused_with_the_limit(document: str, words: str) -> None:
    with pytest.raises(OverLimit, match=words):
        require_modest(parse(document))


@pytest.mark.parametrize("text", [_doubling(60), _entangled(60)])
def test_fragments_that_multiply_are_measured_in_no_time(text: str) -> None:
    document = parse(text)
    started = time.perf_counter()

    with pytest.raises(OverLimit):
        require_modest(document)

    assert time.perf_counter() - started < 0.5


def test_an_operation_has_a_bounded_number_of_roots() -> None:
    require_few_roots(ROOTS_MAX)
    with pytest.raises(OverLimit):
        require_few_roots(ROOTS_MAX + 1)
