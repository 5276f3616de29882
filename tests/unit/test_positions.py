"""Position keys: a text between any two."""

from itertools import pairwise
from uuid import UUID

import pytest

from domain.positions import between

ONE, TWO = UUID(int=1), UUID(int=2)


def test_a_key_lies_between() -> None:
    low, high = between(None, None, ONE), None
    high = between(low, None, ONE)

    assert low < between(low, high, ONE) < high
    assert between(None, low, ONE) < low


def test_appending_does_not_make_keys_longer() -> None:
    keys = [between(None, None, ONE)]
    for _ in range(10_000):
        keys.append(between(keys[-1], None, ONE))

    assert all(low < high for low, high in pairwise(keys))
    assert {len(key) for key in keys} == {len(keys[0])}


def test_two_writers_at_the_same_end_get_keys_of_their_own() -> None:
    key = between(None, None, ONE)

    assert between(key, None, ONE) != between(key, None, TWO)
    assert between(None, key, ONE) != between(None, key, TWO)


@pytest.mark.parametrize(
    "_case, low, high, between_them",
    [
        ("equally long: the shortest near the middle", "V0000000abcV", "V0000005xyzV", "V0000003"),
        ("the upper was put in later: right below it", "V0000000", "V0000000V00V", "V0000000UzzV"),
        ("the lower was put in later: right above it", "V0000000V00V", "V0000001", "V0000000V01V"),
        ("no room beside it: a new run between", "V0000000", "V00000001", "V00000000V00V"),
        ("longer than the gap needs: shorter", "V", "W00000000001", "Vzzzz"),
    ],
)
def test_what_lies_between(_case: str, low: str, high: str, between_them: str) -> None:
    assert between(low, high, ONE) == between_them


def test_keys_in_the_wrong_order_are_a_fault() -> None:
    low = between(None, None, ONE)
    with pytest.raises(ValueError, match="less than high"):
        between(low, low, ONE)
