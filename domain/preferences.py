"""What a person wants to hear, by which channels, and when not: all in their own zone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from domain.changes import State
from domain.channels import Category, ChannelName
from domain.deliveries import Reason
from domain.due import due
from domain.durations import Duration, duration_text
from domain.errors import invalid, over_limit
from domain.lateness import KEEP_MAX, KEEP_MIN, LatePolicy
from domain.reminders import REMINDERS_MAX, Wanted, wanted_state
from domain.tasks import clock_form

# Nights and weekends are two; a week of shifts has one a day, and lunch.
QUIET_MAX = 14
_DAY: Final = timedelta(days=1)
_WEEK_S: Final = 7 * 24 * 60 * 60

# Where a person has chosen nothing: what they asked for rings, the rest waits in the feed.
_ON_BY_DEFAULT: Final = frozenset(
    {
        *((Category.REMINDER, channel) for channel in ChannelName),
        *((Category.TEST, channel) for channel in ChannelName),
        (Category.VERIFICATION, ChannelName.EMAIL),
        (Category.ASSIGNMENT, ChannelName.IN_APP),
        (Category.ASSIGNMENT, ChannelName.EMAIL),
        (Category.OVERDUE, ChannelName.IN_APP),
    }
)


# What people choose about; a test or a verification comes as it was asked for.
CHOSEN: Final = (Category.REMINDER, Category.ASSIGNMENT, Category.OVERDUE, Category.DIGEST)


class QuietPolicy(StrEnum):
    """What becomes of a mail or push message in quiet hours."""

    DELAY = "DELAY"
    DROP = "DROP"
    IN_APP_ONLY = "IN_APP_ONLY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Quiet from `start` on each of the days (0 is Monday) until `end`, maybe the next day.

    Equal times mean the whole day. Where clocks change, it begins when they first show `start`
    or more, and ends when they last show `end`: nobody is woken by an hour that comes twice.
    """

    days: frozenset[int]
    start: time
    end: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """One person's; `digest_at` is the local time of the daily digest."""

    zone: str
    chosen: Mapping[tuple[Category, ChannelName], bool] = field(default_factory=dict)
    quiet: tuple[Quiet, ...] = ()
    quiet_policy: QuietPolicy = QuietPolicy.DELAY
    late: LatePolicy = field(default_factory=LatePolicy)
    digest_at: time = time(7)
    defaults: tuple[Wanted, ...] = ()


@dataclass(frozen=True, slots=True)
class Now:
    """It is sent."""


@dataclass(frozen=True, slots=True)
class Later:
    """It is sent at that instant, unless something is different then."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Never:
    """It is not sent; `in_app` tells that the feed shall have it instead."""

    reason: Reason
    in_app: bool = False


Placement: TypeAlias = Now | Later | Never


def is_on(preferences: Preferences, category: Category, channel: ChannelName) -> bool:
    """Tells whether the person wants that category by that channel."""
    choice = preferences.chosen.get((category, channel))
    return (category, channel) in _ON_BY_DEFAULT if choice is None else choice


def placed(
    preferences: Preferences, category: Category, channel: ChannelName, at: datetime
) -> Placement:
    """Returns what becomes of a delivery that is due at that instant.

    The feed makes no noise: quiet hours are not for it.
    """
    if not is_on(preferences, category, channel):
        return Never(Reason.MUTED)
    if channel is ChannelName.IN_APP or category not in CHOSEN:
        return Now()
    until = quiet_until(preferences, at)
    if until is None:
        return Now()
    if preferences.quiet_policy is QuietPolicy.DELAY:
        return Later(until)
    in_app = preferences.quiet_policy is QuietPolicy.IN_APP_ONLY
    return Never(Reason.QUIET, in_app=in_app and is_on(preferences, category, ChannelName.IN_APP))


def quiet_until(preferences: Preferences, at: datetime) -> datetime | None:
    """Returns when the quiet that reigns at that instant ends, None where none does.

    Quiet times that overlap or touch are one.
    """
    zone = ZoneInfo(preferences.zone)
    until = at
    # Whoever chose only a minute a week without quiet has at most so many in a row.
    for _ in range(QUIET_MAX * 8):
        ends = [
            end
            for quiet in preferences.quiet
            for start, end in _around(quiet, until, zone)
            if start <= until < end
        ]
        if not ends:
            break
        until = max(ends)
    return None if until == at else until


def next_digest(preferences: Preferences, after: datetime) -> datetime:
    """Returns the first instant after that one at which a daily digest is due.

    A day that the zone skips has the next day's.
    """
    zone = ZoneInfo(preferences.zone)
    day = after.astimezone(zone).date() - _DAY
    while True:
        instant = due(day, preferences.digest_at, zone, fold=False).instant
        if instant > after:
            return instant
        day += _DAY


def preferences_state(preferences: Preferences) -> State:
    """Returns the preferences as people see them: every category by every channel, too."""
    choices = [
        {
            "category": category.value,
            "channel": channel.value,
            "is_on": is_on(preferences, category, channel),
        }
        for category in CHOSEN
        for channel in ChannelName
    ]
    return {
        "time_zone": preferences.zone,
        "choices": choices,
        "quiet_hours": [
            {
                # As ISO 8601 counts them: 1 is Monday.
                "days": [day + 1 for day in sorted(one.days)],
                "start": clock_form(one.start),
                "end": clock_form(one.end),
            }
            for one in preferences.quiet
        ],
        "quiet_policy": preferences.quiet_policy.value,
        "late_policy": preferences.late.when.value,
        "late_keep": duration_text(Duration(span=preferences.late.keep)),
        "digest_at": clock_form(preferences.digest_at),
        "defaults": [wanted_state(one) for one in preferences.defaults],
    }


def require_sound(preferences: Preferences, *path: str) -> None:
    """Raises Refused for preferences by which something could never be sent."""
    if any(category not in CHOSEN for category, _ in preferences.chosen):
        raise invalid("This category always comes.", *path, "choices", "category")
    if len(preferences.quiet) > QUIET_MAX:
        raise over_limit(f"Use at most {QUIET_MAX} quiet times.", *path, "quietHours")
    if any(not quiet.days <= frozenset(range(7)) or not quiet.days for quiet in preferences.quiet):
        raise invalid("Name one or more days of the week.", *path, "quietHours", "days")
    if _covers_the_week(preferences.quiet):
        message = "Leave some time of the week without quiet, or switch the channels off."
        raise invalid(message, *path, "quietHours")
    if not KEEP_MIN <= preferences.late.keep <= KEEP_MAX:
        raise invalid("Choose a span from PT1H to P30D.", *path, "lateKeep")
    if len(preferences.defaults) > REMINDERS_MAX:
        raise over_limit(f"Use at most {REMINDERS_MAX} reminders.", *path, "defaults")


def _around(quiet: Quiet, at: datetime, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    """Returns the instants of its starts and ends near that one; the ends do not belong to it."""
    # Tomorrow's may have begun where clocks go back over midnight.
    today = at.astimezone(zone).date()
    days = (today + offset * _DAY for offset in (-1, 0, 1))
    return [_interval(quiet, day, zone) for day in days if day.weekday() in quiet.days]


def _interval(quiet: Quiet, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    last = day if quiet.start < quiet.end else day + _DAY
    start, end = datetime.combine(day, quiet.start), datetime.combine(last, quiet.end)
    return _shown(start, zone, first=True), _shown(end, zone, first=False)


def _shown(local: datetime, zone: ZoneInfo, *, first: bool) -> datetime:
    """Returns when clocks first, or last, come to show that local time; a skipped one is jumped."""
    earlier, later = (
        local.replace(tzinfo=zone, fold=fold, microsecond=0).astimezone(UTC) for fold in (0, 1)
    )
    if earlier <= later:
        return earlier if first else later
    # PEP 495: in a gap, fold=1 means an instant before the jump and fold=0 one after it.
    low, high = later, earlier
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).replace(tzinfo=None) < local:
            low = middle
        else:
            high = middle
    return high


def _covers_the_week(quiets: tuple[Quiet, ...]) -> bool:
    """Tells whether no second of a week without clock changes is left."""
    spans = []
    for quiet in quiets:
        start, end = _seconds(quiet.start), _seconds(quiet.end)
        length = (end - start) % 86_400 or 86_400
        for day in quiet.days:
            begins = day * 86_400 + start
            spans += [(begins, begins + length), (begins - _WEEK_S, begins - _WEEK_S + length)]
    covered = 0
    for begins, ends in sorted(spans):
        if begins > covered:
            return False
        covered = max(covered, ends)
    return covered >= _WEEK_S


def _seconds(at: time) -> int:
    return at.hour * 3_600 + at.minute * 60 + at.second
