"""Which days of a year a rule allows, as the bits of one integer.

All but a few parts of a rule look at nothing but the shape of a year: leap or not, and the
weekday of 1 January. There are 14 shapes, so a rule is worked out at most 14 times. Bit
MARGIN is 1 January; the margins hold days of the neighbouring years, which week 1 and week 53
reach into.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from domain.recurrence import calendar
from domain.recurrence.rule import ByDay, Cron, Skip

MARGIN = 7
ALL_MONTHS = tuple(range(1, 13))
_WEEK = (1 << 7) - 1
# One bit a week over a year with its margins.
_WEEKLY = sum(1 << 7 * week for week in range(55))


class Shape(NamedTuple):
    """What a year looks like: `opens` is the weekday of 1 January, Monday is 0."""

    is_leap: bool
    opens: int

    @property
    def length(self) -> int:
        """The number of days."""
        return 366 if self.is_leap else 365


SHAPES = tuple(Shape(leap, opens) for leap in (False, True) for opens in range(7))


def shape_of(year: int) -> Shape:
    """Returns the shape of a year."""
    return Shape(calendar.is_leap(year), calendar.first_day(year) % 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayParts:
    """The parts of a rule that allow days; None stands for a part that allows all.

    `nth_in_month` says whether the ordinals of `week_days` count in each month, or the year.
    """

    month_days: tuple[int, ...] | None = None
    year_days: tuple[int, ...] | None = None
    week_numbers: tuple[int, ...] | None = None
    week_days: tuple[ByDay, ...] | None = None
    months: tuple[int, ...] = ALL_MONTHS
    week_start: int = 0
    nth_in_month: bool = True
    skip: Skip = Skip.OMIT

    @property
    def has_margin(self) -> bool:
        """Whether the days of a year may lie in its neighbours."""
        return self.week_numbers is not None or (
            self.year_days is not None and self.skip is not Skip.OMIT
        )


@dataclass(frozen=True, slots=True)
class RuleDays:
    """The days that the parts of an RRULE allow together, by shape and months."""

    parts: DayParts
    _known: dict[tuple[Shape, tuple[int, ...]], int] = field(default_factory=dict)

    def of(self, shape: Shape, months: tuple[int, ...]) -> int:
        """Returns the allowed days of a year within these months."""
        key = (shape, months)
        if key not in self._known:
            self._known[key] = _rule_days(self.parts, shape, months)
        return self._known[key]


@dataclass(frozen=True, slots=True)
class CronDays:
    """The days that the day fields of a crontab line allow, by shape."""

    cron: Cron
    skip: Skip
    _known: dict[Shape, int] = field(default_factory=dict)

    def of(self, shape: Shape, _months: tuple[int, ...]) -> int:
        """Returns the allowed days of a year."""
        if shape not in self._known:
            self._known[shape] = _cron_days(self.cron, shape, self.skip)
        return self._known[shape]


def cron_days_exist(cron: Cron) -> bool:
    """Whether any year has a day that the line allows."""
    return any(_cron_days(cron, shape, Skip.OMIT) for shape in SHAPES)


def _rule_days(parts: DayParts, shape: Shape, months: tuple[int, ...]) -> int:
    if parts.month_days is None:
        days = _months(shape, months)
    else:
        days = _month_days(shape.is_leap, months, parts.month_days, parts.skip)
    if parts.week_days is not None:
        days &= _week_days(shape, parts.week_days, months if parts.nth_in_month else None)
    if parts.year_days is not None:
        days &= _bits(_year_days(shape, parts.year_days, parts.skip))
    if parts.week_numbers is not None:
        days &= _week_numbers(shape, parts.week_numbers, parts.week_start)
    if parts.has_margin:
        return days
    return days & (((1 << shape.length) - 1) << MARGIN)


def _cron_days(cron: Cron, shape: Shape, skip: Skip) -> int:
    by_month = _month_days(shape.is_leap, cron.months, cron.month_days, skip)
    by_month |= _bits(_near_week_days(shape, cron.months, cron.near_month_days))
    by_week = _week_days(shape, cron.week_days, cron.months)
    days = by_month & by_week if cron.both_days else by_month | by_week
    return days & _months(shape, cron.months) & (((1 << shape.length) - 1) << MARGIN)


def _bits(days: Iterable[int]) -> int:
    bits = 0
    for day in days:
        bits |= 1 << (day + MARGIN)
    return bits


def _months(shape: Shape, months: tuple[int, ...]) -> int:
    bits = 0
    for month, (first, length) in _chosen(shape, months):
        bits |= ((1 << length) - 1) << (first + MARGIN)
        if month == 1:
            bits |= _WEEK << (shape.length + MARGIN)
        elif month == 12:
            bits |= _WEEK
    return bits


def _chosen(shape: Shape, months: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, int]]]:
    spans = calendar.months(shape.is_leap)
    return ((month, spans[month - 1]) for month in months)


@lru_cache(maxsize=512)
def _month_days(is_leap: bool, months: tuple[int, ...], days: tuple[int, ...], skip: Skip) -> int:
    spans = calendar.months(is_leap)
    return _bits(
        at for month in months for day in days for at in _counted(day, *spans[month - 1], skip)
    )


def _year_days(shape: Shape, days: tuple[int, ...], skip: Skip) -> Iterator[int]:
    for day in days:
        yield from _counted(day, 0, shape.length, skip)


def _counted(day: int, first: int, length: int, skip: Skip) -> Iterator[int]:
    """Yields the `day`-th of a span, from its end where negative; RFC 7529, 4.1 beyond it.

    The RFC knows no day before the first: counting from the end, that is where both ways end.
    """
    if abs(day) <= length:
        yield first + (day - 1 if day > 0 else length + day)
    elif skip is not Skip.OMIT:
        yield first if day < 0 else first + length - (skip is Skip.BACKWARD)


def _week_days(shape: Shape, days: tuple[ByDay, ...], months: tuple[int, ...] | None) -> int:
    bits = 0
    for day in days:
        if not day.ordinal:
            bits |= _WEEKLY << (day.weekday - shape.opens) % 7
            continue
        spans = [(0, shape.length)]
        if months is not None:
            spans = [span for _, span in _chosen(shape, months)]
        bits |= _bits(_nth(shape, day, spans))
    return bits


def _nth(shape: Shape, day: ByDay, spans: list[tuple[int, int]]) -> Iterator[int]:
    for first, length in spans:
        if day.ordinal > 0:
            at = (day.weekday - shape.opens - first) % 7 + 7 * (day.ordinal - 1)
        else:
            last = length - 1
            at = last - (shape.opens + first + last - day.weekday) % 7 + 7 * (day.ordinal + 1)
        if 0 <= at < length:
            yield first + at


def _near_week_days(shape: Shape, months: tuple[int, ...], days: tuple[int, ...]) -> Iterator[int]:
    """Yields the weekday nearest to each day, within its month."""
    for _, (first, length) in _chosen(shape, months):
        for day in days:
            number = length if day == -1 else day
            if number > length:
                continue
            weekday = (shape.opens + first + number - 1) % 7
            if weekday == 5:
                number += -1 if number > 1 else 2
            elif weekday == 6:
                number += 1 if number < length else -2
            yield first + number - 1


def _week_numbers(shape: Shape, numbers: tuple[int, ...], week_start: int) -> int:
    """Returns the days of numbered weeks: week 1 is the first with four days (ISO 8601)."""
    first = _first_week(shape.opens, week_start)
    after = shape.length + _first_week((shape.opens + shape.length) % 7, week_start)
    weeks = (after - first) // 7
    bits = 0
    for number in numbers:
        week = number if number > 0 else weeks + number + 1
        if 1 <= week <= weeks:
            bits |= _WEEK << (first + 7 * (week - 1) + MARGIN)
    return bits


def _first_week(opens: int, week_start: int) -> int:
    into = (opens - week_start) % 7
    return -into if into <= 3 else 7 - into


def week_year(day: int, week_start: int) -> int:
    """Returns the year whose numbered weeks hold the day."""
    year = calendar.year_of(day)
    if day < calendar.first_day(year) + _first_week(shape_of(year).opens, week_start):
        return year - 1
    following = calendar.first_day(year + 1)
    return year + (day >= following + _first_week(following % 7, week_start))
