"""However tasks are moved about, the list is in the order of its keys."""

from random import Random
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.positions import DIGITS, KEY_MAX_LENGTH, between

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


@settings(max_examples=50, deadline=None)
@given(random=st.randoms(use_true_random=False), upwards=st.sampled_from(["yes", "no", "random"]))
def test_a_thousand_insertions_in_one_gap_keep_keys_short(random: Random, upwards: str) -> None:
    low = between(None, None, UUID(int=1))
    high = between(low, None, UUID(int=2))
    for _ in range(1_000):
        key = between(low, high, UUID(int=random.getrandbits(128)))
        if upwards == "yes" or (upwards == "random" and random.random() < 0.5):
            low = key
        else:
            high = key

    assert len(key) <= KEY_MAX_LENGTH
