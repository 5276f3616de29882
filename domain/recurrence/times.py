"""Which times of a day a rule allows, in seconds since midnight."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from domain.recurrence.rule import MINUTE_S

ALL_SECONDS = tuple(range(60))
# Every minute of a day is a list; what has more times stays a product.
_LISTED_MAX = 1_440


@dataclass(frozen=True, slots=True)
class Listed:
    """Times one by one, sorted."""

    at: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, index: int) -> int:
        return self.at[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self.at)

    def index(self, at: int) -> int:
        """Returns how many of the times are earlier than `at`."""
        return bisect_left(self.at, at)


@dataclass(frozen=True, slots=True)
class Product:
    """Minutes of the day, each with the same seconds; neither list is empty."""

    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.minutes) * len(self.seconds)

    def __getitem__(self, index: int) -> int:
        minute, second = divmod(index, len(self.seconds))
        return self.minutes[minute] * MINUTE_S + self.seconds[second]

    def __iter__(self) -> Iterator[int]:
        for minute in self.minutes:
            for second in self.seconds:
                yield minute * MINUTE_S + second

    def index(self, at: int) -> int:
        """See `Listed.index`."""
        minute, second = divmod(at, MINUTE_S)
        index = bisect_left(self.minutes, minute)
        if index < len(self.minutes) and self.minutes[index] == minute:
            return index * len(self.seconds) + bisect_left(self.seconds, second)
        return index * len(self.seconds)


Times: TypeAlias = Listed | Product


@lru_cache(maxsize=256)
def times_of(hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> Times:
    """Returns the product of sorted hours, minutes and seconds."""
    product = Product(tuple(hour * 60 + minute for hour in hours for minute in minutes), seconds)
    return Listed(tuple(product)) if len(product) <= _LISTED_MAX else product


def positions(picks: tuple[int, ...], size: int) -> list[int]:
    """Returns the indices that BYSETPOS picks from a set of this size, in order."""
    found = {pick - 1 if pick > 0 else size + pick for pick in picks}
    return sorted(index for index in found if 0 <= index < size)
