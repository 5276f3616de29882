"""The Gregorian calendar by numbers: day 0 is Monday, 1 January of the year 1."""

from datetime import date
from functools import lru_cache

from domain.recurrence.rule import DAY_S

YEAR_MAX = 9999
# The calendar repeats after 400 years, weekdays included.
CYCLE_YEARS = 400
LAST_DAY = date.max.toordinal() - 1
LAST_SECOND = (LAST_DAY + 1) * DAY_S - 1
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def first_day(year: int) -> int:
    """Returns the day number of 1 January."""
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400


def is_leap(year: int) -> bool:
    """Whether the year has a 29 February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def year_of(day: int) -> int:
    """Returns the year of a day number; beyond the calendar, the year it would be or later."""
    if 0 <= day <= LAST_DAY:
        return date.fromordinal(day + 1).year
    return 0 if day < 0 else max(YEAR_MAX + 1, day // 366 + 1)


@lru_cache(maxsize=2)
def months(leap: bool) -> tuple[tuple[int, int], ...]:
    """Returns the first day (of the year, from 0) and the length of each month."""
    lengths = [length + (leap and month == 1) for month, length in enumerate(_LENGTHS)]
    return tuple((sum(lengths[:month]), length) for month, length in enumerate(lengths))
