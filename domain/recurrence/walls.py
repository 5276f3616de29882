"""Patterns of local times: crontab lines, and rules of whole days, weeks, months and years.

Times are seconds of local time since 1 January of the year 1, as a clock on the wall shows
them; what a zone makes of them is decided in `slots`. A pattern jumps to any time by looking
at its year, and counts days as bits: neither walks from the start.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from domain.errors import Code, Problem, Refused
from domain.recurrence import calendar
from domain.recurrence.days import MARGIN, shape_of
from domain.recurrence.intervals import Intervals
from domain.recurrence.rule import DAY_S, Frequency
from domain.recurrence.times import Times, positions

# Sets of one year are larger than bits; a page of a list looks at few of them.
_SETS_MAX = 8


class Barren(Refused):
    """There is no other occurrence, or none within centuries."""


class Walls(Protocol):
    """A sorted set of local times."""

    def walk(self, low: int) -> Iterator[int]:
        """Yields the times from `low` on, up to the last year.

        Raises:
            Barren: the next one is more than a calendar cycle away, if there is one.
        """

    def count(self, low: int, high: int) -> int:
        """Returns how many times t there are with low <= t < high."""


@dataclass(frozen=True, slots=True)
class DayWalls:
    """All the times of all the allowed days, up to the last year that is of interest."""

    intervals: Intervals
    times: Times
    last_year: int = calendar.YEAR_MAX

    def walk(self, low: int) -> Iterator[int]:
        """See `Walls.walk`."""
        first, at = divmod(max(low, 0), DAY_S)
        times, days = self.times, self._days(first)
        passed = times.index(at)
        for day in islice(days, 1 if passed else 0):
            for index in range(passed if day == first else 0, len(times)):
                yield day * DAY_S + times[index]
        for day in days:
            midnight = day * DAY_S
            for time in times:
                yield midnight + time

    def count(self, low: int, high: int) -> int:
        """See `Walls.count`."""
        if high <= low:
            return 0
        first, at = divmod(max(low, 0), DAY_S)
        last, until = divmod(high, DAY_S)
        total = self._count(first, last) * len(self.times)
        total -= self.times.index(at) * self._count(first, first + 1)
        return total + self.times.index(until) * self._count(last, last + 1)

    def _days(self, first: int) -> Iterator[int]:
        year = self.intervals.next_year(calendar.year_of(first))
        empty = 0
        while year <= self.last_year:
            opens = calendar.first_day(year)
            bits = self.intervals.bits(year)
            if first > opens:
                bits = bits >> (first - opens) << (first - opens)
            empty = 0 if bits else empty + 1
            _check(empty)
            while bits:
                lowest = bits & -bits
                yield opens + lowest.bit_length() - 1
                bits ^= lowest
            year = self.intervals.next_year(year + 1)

    def _count(self, first: int, last: int) -> int:
        total = 0
        year = self.intervals.next_year(calendar.year_of(first))
        while year <= calendar.YEAR_MAX and (opens := calendar.first_day(year)) < last:
            bits = self.intervals.bits(year)
            if first > opens:
                bits >>= first - opens
            length = last - max(first, opens)
            if length < 366:
                bits &= (1 << length) - 1
            total += bits.bit_count()
            year = self.intervals.next_year(year + 1)
        return total


@dataclass(frozen=True, slots=True)
class SetWalls:
    """What BYSETPOS picks from the whole set of each week, month or year."""

    intervals: Intervals
    times: Times
    picks: tuple[int, ...]
    last_year: int = calendar.YEAR_MAX
    _known: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def walk(self, low: int) -> Iterator[int]:
        """See `Walls.walk`."""
        # A week or a numbered year may begin in the year before.
        year = max(1, calendar.year_of(max(low, 0) // DAY_S) - 1)
        empty, last = 0, low - 1
        while (year := self.intervals.next_year(year)) <= self.last_year:
            found = self._of_year(year)
            for time in found[bisect_left(found, last + 1) :]:
                yield time
                last = time
            empty = 0 if found else empty + 1
            _check(empty)
            year += 1

    def count(self, low: int, high: int) -> int:
        """See `Walls.count`."""
        total = 0
        year = max(1, calendar.year_of(max(low, 0) // DAY_S) - 1)
        last = calendar.year_of(high // DAY_S)
        while (year := self.intervals.next_year(year)) <= min(last, calendar.YEAR_MAX):
            found = self._of_year(year)
            total += max(0, bisect_left(found, high) - bisect_left(found, low))
            year += 1
        return total

    def _of_year(self, year: int) -> tuple[int, ...]:
        """Returns what is picked from the intervals that begin in this year."""
        known = self._known.get(year)
        if known is None:
            if len(self._known) >= _SETS_MAX:
                self._known.clear()
            picked = (time for days in self._sets(year) for time in self._picked(days))
            known = self._known[year] = tuple(sorted(set(picked)))
        return known

    def _picked(self, days: list[int]) -> Iterator[int]:
        for index in positions(self.picks, len(days) * len(self.times)):
            day, time = divmod(index, len(self.times))
            yield days[day] * DAY_S + self.times[time]

    def _sets(self, year: int) -> Iterator[list[int]]:
        intervals = self.intervals
        opens = calendar.first_day(year)
        if intervals.frequency is Frequency.YEARLY:
            if intervals.is_counted(year):
                yield _listed(intervals.of_year(year), opens - MARGIN)
        elif intervals.frequency is Frequency.MONTHLY:
            for month in intervals.months:
                if intervals.is_counted(12 * year + month - 1):
                    yield _listed(intervals.of_month(year, month), opens - MARGIN)
        else:
            yield from self._weeks(year, opens)

    def _weeks(self, year: int, opens: int) -> Iterator[list[int]]:
        length = shape_of(year).length
        bits = self.intervals.bits(year)
        if year < calendar.YEAR_MAX:
            bits |= self.intervals.bits(year + 1) << length
        first = (self.intervals.origin - opens) % 7
        for week in range(first, length, 7):
            if days := bits >> week & 0b1111111:
                yield _listed(days, opens + week)


def _listed(bits: int, opens: int) -> list[int]:
    found = []
    while bits:
        lowest = bits & -bits
        found.append(opens + lowest.bit_length() - 1)
        bits ^= lowest
    return found


def _check(empty_years: int) -> None:
    """Ends the search: after a whole cycle the calendar repeats, so the rule never fires."""
    if empty_years >= calendar.CYCLE_YEARS:
        raise barren()


def barren() -> Barren:
    """Returns the refusal of a rule whose days do not come."""
    message = (
        f"The rule finds no date in {calendar.CYCLE_YEARS} years; choose one that comes, as in"
        " FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28."
    )
    return Barren(Problem(Code.INVALID, message, ("rule",)))
