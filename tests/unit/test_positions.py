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


def test_two_writers_at_the_same_place_get_keys_of_their_own() -> None:
    low = between(None, None, ONE)
    high = between(low, None, ONE)

    assert between(low, None, ONE) != between(low, None, TWO)
    assert between(low, high, ONE) != between(low, high, TWO)


def test_keys_in_the_wrong_order_are_a_fault() -> None:
    low = between(None, None, ONE)
    with pytest.raises(ValueError, match="less than high"):
        between(low, low, ONE)
