"""What a series decides: which slots to spawn now, what follows a completion, what stays open.

Pure: the caller knows the clock, the last slot it spawned, and what is still open.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from enum import Enum
from itertools import takewhile
from typing import Protocol
from zoneinfo import ZoneInfo

from domain.recurrence.policies import Anchor, CatchUp, Open, Policies
from domain.recurrence.rule import Cron, LocalStart, RRule, Rule
from domain.recurrence.schedule import schedule
from domain.recurrence.slots import Slot

# ALL spawns at most this many of what downtime left behind: the latest.
CATCH_UP_MAX = 100
# So many of the slots that are passed over are told: the latest.
MISSED_MAX = 100
# A slot this late is still on time: two ticks of the worker that spawns.
GRACE = timedelta(minutes=2)
# The first look back for late slots; it doubles until enough are found.
_LOOK_BACK = timedelta(hours=1)


class Slots(Protocol):
    """The slots of a series: its schedule, or what is left of it."""

    def after(self, after: datetime | None = None) -> Iterator[Slot]:
        """Yields the slots later than `after`; None: all."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What to do now: `spawn` in order, then wait for `next`; None: the series has ended.

    `missed` are the latest of those that are passed over.
    """

    spawn: tuple[Slot, ...]
    next: Slot | None
    missed: tuple[Slot, ...] = ()


class WhileOpen(Enum):
    """What to do with a due slot while an earlier occurrence may be open."""

    SPAWN = "SPAWN"
    HOLD = "HOLD"
    """Spawn it once the open one is closed."""
    REPLACE = "REPLACE"
    """Withdraw the open one, then spawn."""


def turn(
    series: Slots,
    policies: Policies,
    *,
    last: datetime | None,
    now: datetime,
    bound: int = CATCH_UP_MAX,
) -> Turn:
    """Returns which slots become occurrences now, by the catch-up policy.

    Time that stood back is harmless: nothing at or before `last` comes again.

    Args:
        series: the schedule of the series.
        policies: ONE spawns the latest slot that is due, ALL the `bound` latest, SKIP only
            one that is on time (`GRACE`).
        last: instant of the last slot that was spawned or passed over; None: none yet.
        now: the present instant.
        bound: the most that one turn may spawn.

    Raises:
        Refused: see `occurrences`.
    """
    coming = series.after(last)
    ahead = next(coming, None)
    if ahead is None or ahead.instant > now:
        return Turn(spawn=(), next=ahead)
    due, following = [ahead], next(coming, None)
    most = bound if policies.catch_up is CatchUp.ALL else 1
    if following is not None and following.instant <= now:
        due, following = (
            _latest(series, last, now, most + MISSED_MAX),
            next(series.after(now), None),
        )
    if policies.catch_up is CatchUp.SKIP and now - due[-1].instant > GRACE:
        most = 0
    spawned = max(0, len(due) - most)
    missed = due[max(0, spawned - MISSED_MAX) : spawned]
    return Turn(spawn=tuple(due[spawned:]), next=following, missed=tuple(missed))


def after_completion(
    rule: Rule,
    start: LocalStart,
    zone: ZoneInfo,
    policies: Policies,
    *,
    completed: datetime,
    at: datetime,
) -> Slot | None:
    """Returns the slot that follows a completion, by the anchor policy; None: the series ends.

    With the COMPLETION anchor the rule counts from the day of the completion, at the start's
    time; a rule of hours or less from its second. Where the rule names days of its own, what is
    done early does not lead to the very slot again: the next is later than the completed one. A
    crontab line has no intervals to count: its next time after both the completion and the
    completed slot is taken. COUNT is not looked at: the series counts its occurrences.

    Args:
        rule: what repeats.
        start: of the series.
        zone: of the series.
        policies: of the series.
        completed: instant of the slot whose occurrence was completed.
        at: the instant of the completion.

    Raises:
        Refused: see `occurrences`.
    """
    pattern = rule.pattern
    if policies.anchor is Anchor.SCHEDULE or isinstance(pattern, Cron):
        after = completed
        if policies.anchor is Anchor.COMPLETION:
            after = max(after, at)
        return next(schedule(rule, start, zone, policies).after(after), None)
    local = at.astimezone(zone).replace(microsecond=0)
    rule = replace(rule, pattern=replace(pattern, count=None))
    if pattern.is_elapsed:
        begins, after = LocalStart(local.date(), local.time()), at
    else:
        begins = LocalStart(local.date(), start.at)
        # That day is done: its own slot, if it has one, is what was completed.
        day_ends = datetime.combine(local.date(), time(23, 59, 59, fold=1), zone)
        after = day_ends.astimezone(UTC)
    if _names_times(rule, pattern):
        after = max(after, completed)
    return next(schedule(rule, begins, zone, policies).after(after), None)


def _names_times(rule: Rule, pattern: RRule) -> bool:
    """Whether the rule says when, not only how long after the last."""
    of_days = pattern.by_day or pattern.by_month_day or pattern.by_year_day or pattern.by_week_no
    of_times = pattern.by_hour or pattern.by_minute or pattern.by_second
    is_named = of_days or pattern.by_month or rule.with_dates
    return bool(is_named or (pattern.is_elapsed and of_times))


def while_open(policies: Policies, *, is_open: bool) -> WhileOpen:
    """Returns what the open policy does with a slot that is due."""
    if not is_open or policies.open is Open.ALLOW:
        return WhileOpen.SPAWN
    return WhileOpen.HOLD if policies.open is Open.WAIT else WhileOpen.REPLACE


def _latest(series: Slots, last: datetime | None, now: datetime, most: int) -> list[Slot]:
    """Returns up to `most` slots in (last, now], the latest, without walking all of them."""
    back = _LOOK_BACK
    while True:
        since = _back(now, back)
        is_all = since is None or (last is not None and since <= last)
        due = _due(series, last if is_all else since, now)
        found = deque(due, maxlen=most)
        if is_all or len(found) == most:
            return list(found)
        back *= 2


def _back(now: datetime, back: timedelta) -> datetime | None:
    try:
        return now - back
    except OverflowError:
        return None


def _due(series: Slots, since: datetime | None, now: datetime) -> Iterator[Slot]:
    return takewhile(lambda slot: slot.instant <= now, series.after(since))
