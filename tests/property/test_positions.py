"""However tasks are moved about, the list is in the order of its keys."""

from collections.abc import Callable
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.positions import DIGITS, KEY_MAX_LENGTH, between

ANY = UUID(int=7)
moves = st.lists(st.tuples(st.integers(0, 10**6), st.uuids()), max_size=120)


@settings(max_examples=300, deadline=None)
@given(moves=moves)
def test_an_inserted_key_lies_between_its_neighbours(moves: list[tuple[int, UUID]]) -> None:
    keys: list[str] = []
    for place, owner in moves:
        index = place % (len(keys) + 1)
        low = keys[index - 1] if index else None
        high = keys[index] if index < len(keys) else None

        key = between(low, high, owner)

        assert low is None or low < key
        assert high is None or key < high
        keys.insert(index, key)
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    # A key that ends in the first digit has nothing below it that is still above what it extends.
    assert all(set(key) <= set(DIGITS) and not key.endswith(DIGITS[0]) for key in keys)


@pytest.mark.parametrize(
    "_case, choose",
    [
        ("after the same task", lambda _keys, _last, _random: 1),
        ("before the same task", lambda keys, _last, _random: len(keys) - 1),
        ("after the last one put in", lambda _keys, last, _random: last + 1),
        ("before the last one put in", lambda _keys, last, _random: last),
        (
            "at both ends in turn",
            lambda keys, _last, _random: 1 if len(keys) % 2 else len(keys) - 1,
        ),
        ("anywhere in it", lambda keys, _last, random: random.randrange(1, len(keys))),
    ],
)
def test_ten_thousand_insertions_in_one_gap_keep_keys_short(
    _case: str, choose: Callable[[list[str], int, Random], int]
) -> None:
    keys, last, random = gap(), 0, Random(5)
    for _ in range(10_000):
        last = choose(keys, last, random) or 1
        keys.insert(last, between(keys[last - 1], keys[last], ANY))

    assert keys == sorted(keys)
    assert max(map(len, keys)) <= 24


@pytest.mark.parametrize("seed", range(5))
def test_putting_each_between_the_last_two_costs_little_more_than_its_bit(seed: int) -> None:
    (low, high), random = gap(), Random(seed)
    for _ in range(1_500):
        key = between(low, high, ANY)
        low, high = (key, high) if random.random() < 0.5 else (low, key)

    assert len(key) <= KEY_MAX_LENGTH


def test_a_short_list_that_is_sorted_again_and_again_keeps_its_keys_short() -> None:
    keys, random = gap(), Random(5)
    for _ in range(8):
        keys.append(between(keys[-1], None, UUID(int=random.getrandbits(128))))
    for _ in range(10_000):
        keys.pop(random.randrange(len(keys)))
        place = random.randrange(len(keys) + 1)
        low = keys[place - 1] if place else None
        high = keys[place] if place < len(keys) else None
        keys.insert(place, between(low, high, UUID(int=random.getrandbits(128))))

    assert keys == sorted(keys)
    assert max(map(len, keys)) <= 32


def gap() -> list[str]:
    """Returns the keys of two tasks that were appended."""
    low = between(None, None, UUID(int=1))
    return [low, between(low, None, UUID(int=2))]
