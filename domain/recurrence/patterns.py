"""From what a rule says to what it means: parts left out come from the start."""

from datetime import date, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from domain.recurrence import calendar, elapsed
from domain.recurrence.days import ALL_MONTHS, CronDays, DayParts, RuleDays, week_year
from domain.recurrence.elapsed import Elapsed
from domain.recurrence.intervals import Intervals
from domain.recurrence.rule import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    ByDay,
    Cron,
    Frequency,
    LocalStart,
    RRule,
    Skip,
)
from domain.recurrence.times import ALL_SECONDS, Listed, Product, Times, positions, times_of
from domain.recurrence.walls import DayWalls, SetWalls, Walls, barren
from domain.recurrence.zones import span_at

_STEPS_S = {Frequency.SECONDLY: 1, Frequency.MINUTELY: MINUTE_S, Frequency.HOURLY: HOUR_S}
_ALL_HOURS = tuple(range(24))
_ALL_MINUTES = tuple(range(60))
# Each may remember sets of some 100 kB at worst.
_PATTERNS_MAX = 512


@lru_cache(maxsize=_PATTERNS_MAX)
def walls_of(pattern: RRule | Cron, start: LocalStart, skip: Skip) -> Walls:
    """Returns the local times of a crontab line, or of a rule of days or longer."""
    if isinstance(pattern, Cron):
        days = CronDays(pattern, skip)
        times = times_of(pattern.hours, pattern.minutes, pattern.seconds)
        return DayWalls(Intervals(Frequency.DAILY, 1, 0, days), times)
    intervals = _intervals(pattern, start, skip)
    times = _times(pattern, start.at or time())
    if pattern.by_set_pos and pattern.frequency is not Frequency.DAILY:
        if not positions(pattern.by_set_pos, len(times) * _most_days(pattern)):
            raise barren()
        return SetWalls(intervals, times, pattern.by_set_pos, _last_year(pattern))
    return DayWalls(intervals, _picked(pattern, times), _last_year(pattern))


def elapsed_of(
    pattern: RRule, start: LocalStart, skip: Skip, zone: ZoneInfo, begins: int
) -> Elapsed:
    """Returns the instants of a rule of hours, minutes or seconds.

    Args:
        pattern: the rule.
        start: where it begins, as local time.
        skip: what becomes of dates that do not exist.
        zone: the zone of the start.
        begins: the start's instant, in seconds.
    """
    window = _window_s(pattern)
    if pattern.by_set_pos and not positions(pattern.by_set_pos, _most_times(pattern, window)):
        raise elapsed.barren()
    local = begins + span_at(zone, begins).offset
    of_times = pattern.by_hour or pattern.by_minute or pattern.by_second
    of_days = pattern.by_day or pattern.by_month_day or pattern.by_year_day or pattern.by_month
    allowed = None
    if of_times or of_days:
        parts = _parts(pattern, start.day, skip)
        days = Intervals(Frequency.DAILY, 1, 0, RuleDays(parts), parts.months)
        times = times_of(*_limits(pattern, local, window))
        allowed = DayWalls(days, times, _last_year(pattern))
    return Elapsed(
        zone=zone,
        base=begins - local % window,
        first=begins,
        step_s=pattern.interval * _STEPS_S[pattern.frequency],
        window_s=window,
        allowed=allowed,
        picks=pattern.by_set_pos,
        last_year=_last_year(pattern),
    )


def _last_year(pattern: RRule) -> int:
    """Returns a year that UNTIL does not reach: a rule that has ended is not searched on."""
    if pattern.until is None:
        return calendar.YEAR_MAX
    return min(pattern.until.year + 1, calendar.YEAR_MAX)


def _window_s(pattern: RRule) -> int:
    if pattern.frequency is Frequency.HOURLY and pattern.by_minute:
        return HOUR_S
    if pattern.frequency is not Frequency.SECONDLY and pattern.by_second:
        return MINUTE_S
    return 1


def _limits(
    pattern: RRule, local: int, window: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    seconds = _seconds(pattern)
    if window == HOUR_S and not seconds:
        seconds = (local % MINUTE_S,)
    return pattern.by_hour or _ALL_HOURS, pattern.by_minute or _ALL_MINUTES, seconds or ALL_SECONDS


def _times(pattern: RRule, at: time) -> Times:
    return times_of(
        pattern.by_hour or (at.hour,),
        pattern.by_minute or (at.minute,),
        _seconds(pattern) or (at.second,),
    )


def _most_days(pattern: RRule) -> int:
    """Returns how many days an interval holds at most."""
    if pattern.frequency is Frequency.WEEKLY:
        return len(pattern.by_day) or 1
    return 31 if pattern.frequency is Frequency.MONTHLY else 366


def _most_times(pattern: RRule, window: int) -> int:
    """Returns how many times of a window the rule allows at most."""
    if window == HOUR_S:
        return len(pattern.by_minute) * max(1, len(pattern.by_second))
    return len(pattern.by_second) if window == MINUTE_S else 1


def _picked(pattern: RRule, times: Times) -> Times:
    """Returns the times of a day that BYSETPOS leaves of a DAILY rule's."""
    if not pattern.by_set_pos or pattern.frequency is not Frequency.DAILY:
        return times
    indices = positions(pattern.by_set_pos, len(times))
    return Listed(tuple(times[index] for index in indices))


def _seconds(pattern: RRule) -> tuple[int, ...]:
    """Returns BYSECOND; without leap seconds, 60 stands for 59 (RFC 5545, 3.3.12)."""
    return tuple(sorted({min(second, 59) for second in pattern.by_second}))


def _intervals(pattern: RRule, start: LocalStart, skip: Skip) -> Intervals:
    parts = _parts(pattern, start.day, skip)
    return Intervals(
        frequency=pattern.frequency,
        every=pattern.interval,
        origin=_origin(pattern, start.day),
        days=RuleDays(parts),
        months=parts.months,
        has_margin=parts.has_margin,
    )


def _origin(pattern: RRule, day: date) -> int:
    number = day.toordinal() - 1
    if pattern.frequency is Frequency.YEARLY:
        return week_year(number, pattern.week_start) if pattern.by_week_no else day.year
    if pattern.frequency is Frequency.MONTHLY:
        return 12 * day.year + day.month - 1
    if pattern.frequency is Frequency.WEEKLY:
        return number - (number - pattern.week_start) % 7
    return number


def _parts(pattern: RRule, day: date, skip: Skip) -> DayParts:
    """Returns the parts that allow days; RFC 5545, 3.3.10: what is left out is the start's."""
    months, month_days, week_days = pattern.by_month, pattern.by_month_day, pattern.by_day
    named = bool(month_days or week_days or pattern.by_year_day)
    of_weeks = pattern.frequency is Frequency.WEEKLY or pattern.by_week_no
    if of_weeks and not named:
        week_days = (ByDay(0, day.weekday()),)
    elif pattern.frequency >= Frequency.MONTHLY and not named:
        month_days = (day.day,)
        if pattern.frequency is Frequency.YEARLY and not months:
            months = (day.month,)
    return DayParts(
        month_days=month_days or None,
        year_days=pattern.by_year_day or None,
        week_numbers=pattern.by_week_no or None,
        week_days=week_days or None,
        months=months or ALL_MONTHS,
        week_start=pattern.week_start,
        nth_in_month=pattern.frequency is Frequency.MONTHLY or bool(pattern.by_month),
        skip=skip,
    )


def smallest_step(pattern: RRule | Cron, start: LocalStart) -> int:
    """Returns seconds that two neighbouring times of the pattern are at least apart.

    Looks at times of day only: two allowed days may follow each other.
    """
    if isinstance(pattern, Cron):
        return _least(times_of(pattern.hours, pattern.minutes, pattern.seconds))
    if not pattern.is_elapsed:
        return _least(_picked(pattern, _times(pattern, start.at or time())))
    at = start.at or time()
    is_of_hours = pattern.frequency is Frequency.HOURLY
    is_of_seconds = pattern.frequency is Frequency.SECONDLY
    allowed = times_of(
        pattern.by_hour or _ALL_HOURS,
        pattern.by_minute or ((at.minute,) if is_of_hours else _ALL_MINUTES),
        _seconds(pattern) or (ALL_SECONDS if is_of_seconds else (at.second,)),
    )
    if _window_s(pattern) > 1:
        return _least(allowed)
    return max(_least(allowed), pattern.interval * _STEPS_S[pattern.frequency])


@lru_cache(maxsize=512)
def _least(times: Times) -> int:
    """Returns the shortest distance of times that come every day."""
    if len(times) < 2:
        return DAY_S if len(times) else 0
    if isinstance(times, Product):
        steps = zip(times.seconds, (*times.seconds[1:], times.seconds[0] + MINUTE_S), strict=True)
        return min(after - before for before, after in steps)
    listed = list(times)
    return min(
        after - before
        for before, after in zip(listed, [*listed[1:], listed[0] + DAY_S], strict=True)
    )
