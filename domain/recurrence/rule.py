"""What a rule says, after it was read: RFC 5545 parts, or the fields of a crontab line.

Rules are values: equal rules are equal objects, and every list in them is sorted and without
duplicates, so that a rule has one canonical text (`rrule_text.text_of`).
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum, IntEnum

DAY_S = 86_400
HOUR_S = 3_600
MINUTE_S = 60
# RFC 5545, 3.3.10; Monday is 0, as in `date.weekday()`.
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


class Frequency(IntEnum):
    """RFC 5545 FREQ, from fine to coarse."""

    SECONDLY = 0
    MINUTELY = 1
    HOURLY = 2
    DAILY = 3
    WEEKLY = 4
    MONTHLY = 5
    YEARLY = 6


class Skip(Enum):
    """RFC 7529 SKIP: what becomes of a date that does not exist."""

    OMIT = "OMIT"
    BACKWARD = "BACKWARD"
    FORWARD = "FORWARD"


@dataclass(frozen=True, slots=True, order=True)
class ByDay:
    """A weekday (Monday is 0); `ordinal` picks the n-th of month or year, 0 stands for all."""

    ordinal: int
    weekday: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RRule:
    """An RFC 5545 recurrence rule. An empty tuple is a part that was left out.

    `until` is inclusive: an aware datetime is an instant, a naive one a local time, a date the
    whole local day. `skip` is None where the rule has no RSCALE.
    """

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: date | datetime | None = None
    by_second: tuple[int, ...] = ()
    by_minute: tuple[int, ...] = ()
    by_hour: tuple[int, ...] = ()
    by_day: tuple[ByDay, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_year_day: tuple[int, ...] = ()
    by_week_no: tuple[int, ...] = ()
    by_month: tuple[int, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: int = 0
    skip: Skip | None = None

    @property
    def is_elapsed(self) -> bool:
        """Whether the rule counts elapsed time, not days of the calendar."""
        return self.frequency < Frequency.DAILY


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A crontab line as Debian's cron reads it, with extensions.

    `month_days` count from the end where negative, as in RFC 5545: `L` is -1, `L-3` is -4.
    `near_month_days` holds the days of `15W`, and -1 for `LW`. `both_days` says that a day must
    match both day fields, `is_wildcard` that minute or hour begins with `*`.
    """

    text: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    month_days: tuple[int, ...]
    near_month_days: tuple[int, ...]
    months: tuple[int, ...]
    week_days: tuple[ByDay, ...]
    both_days: bool
    is_wildcard: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTime:
    """A local time named beside a rule; a date without time is `at=None`.

    `fold` is None where the text leaves open which of two equal times is meant.
    """

    day: date
    at: time | None
    fold: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A pattern, local times besides it (RDATE), and those taken out of it (EXDATE)."""

    pattern: RRule | Cron
    with_dates: tuple[LocalTime, ...] = ()
    without_dates: tuple[LocalTime, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalStart:
    """Where a series begins, inclusive: what the rule leaves open comes from here.

    Without a time the series is all day: its slots are dates, their instants local midnights.
    """

    day: date
    at: time | None
