"""Reminders: what should ring for one person and one task, when, and so what the ledger holds.

The ledger follows the task: whatever happens to it, `deliveries_of` says which rows there should
be, and `reconcile` what has to change.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from functools import partial
from typing import TypeAlias
from zoneinfo import ZoneInfo

from domain.changes import Fact, State
from domain.channels import Category, ChannelName
from domain.deliveries import (
    LIVE,
    Delivery,
    Reason,
    cancelled,
    first,
    follower,
    lineage,
    revived,
)
from domain.deliveries import State as Stand
from domain.due import Due, due
from domain.durations import Duration, duration_text
from domain.errors import Problems, invalid, over_limit
from domain.ids import ReminderId, TaskId, UserId
from domain.tasks import Status, Task, clock_form, instant_text

# Of one task, over all its people.
REMINDERS_MAX = 50
# A year's notice; longer ones are mistakes, and would be years of the calendar to compute.
NOTICE_MAX_DAYS = 366
# More often is an alarm clock; more times are never heard.
NAG_EVERY_MIN = timedelta(minutes=1)
NAG_EVERY_MAX = timedelta(days=7)
NAG_TIMES_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """An instant, whatever becomes of the due."""

    instant: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """So long before the due's instant: first the days of the calendar, then the exact span.

    RFC 5545, 3.3.6: a day before 09:30 is 09:30, also where it has 23 hours; PT24H is 24 hours.
    """

    days: int = 0
    span: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDay:
    """At a time of the due's day, or of a day before it, in the due's zone."""

    at: time
    days_before: int = 0


When: TypeAlias = At | Before | OnDay


@dataclass(frozen=True, slots=True, kw_only=True)
class Nag:
    """Rings again `every` so long until the task is done, at most `times` more."""

    every: timedelta
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What shall ring, when and where; a person's default set consists of these."""

    when: When
    channels: frozenset[ChannelName]
    nag: Nag | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """What one person wants of one task.

    `is_default` tells that it came from the person's default set, and not by their own hand: it
    rings only while the task is nobody else's.
    """

    id: ReminderId
    task_id: TaskId
    user_id: UserId
    wanted: Wanted
    created_at: datetime
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What has to change for the ledger to be as desired."""

    new: tuple[Delivery, ...]
    cancelled: tuple[Delivery, ...]
    revived: tuple[Delivery, ...]


def rings_at(when: When, task_due: Due | None) -> datetime | None:
    """Returns the instant in UTC, None where it needs a due that is not there.

    A local time that clocks skip or show twice means what it means for a due.
    """
    if isinstance(when, At):
        return when.instant
    if task_due is None:
        return None
    try:
        if isinstance(when, OnDay):
            day = task_due.day - timedelta(days=when.days_before)
            return due(day, when.at, ZoneInfo(task_due.zone), fold=False).instant
        return _days_before(task_due, when.days) - when.span
    except OverflowError:
        # Before the first day of the calendar.
        return None


def reminder_state(reminder: Reminder, at: datetime | None) -> State:
    """Returns a reminder as its changes show it; `at` is when it rings as its task stands."""
    return {
        "id": str(reminder.id),
        "task_id": str(reminder.task_id),
        "at": instant_text(at),
        **wanted_state(reminder.wanted),
    }


def wanted_state(wanted: Wanted) -> State:
    """Returns what is wanted as people see it."""
    when, nag = wanted.when, wanted.nag
    before = Duration(days=when.days, span=when.span) if isinstance(when, Before) else None
    on_day = when if isinstance(when, OnDay) else None
    return {
        "before_due": None if before is None else duration_text(before),
        "on_day": None
        if on_day is None
        else {"time": clock_form(on_day.at), "days_before": on_day.days_before},
        "channels": sorted(wanted.channels),
        "nag": None
        if nag is None
        else {"every": duration_text(Duration(span=nag.every)), "times": nag.times},
    }


def reminder_added(reminder: Reminder, at: datetime | None) -> Fact:
    """Returns the change of a new reminder."""
    state = reminder_state(reminder, at)
    fields = tuple(name for name, value in state.items() if value is not None)
    return Fact(kind="reminder.added", subject=reminder.id, fields=fields, before={}, state=state)


def reminder_removed(reminder: Reminder, at: datetime | None) -> Fact:
    """Returns the change of a reminder that is no more."""
    state = reminder_state(reminder, at)
    return Fact(kind="reminder.removed", subject=reminder.id, fields=(), before=state, state=state)


def rings(reminder: Reminder, task: Task, members: Collection[UserId]) -> bool:
    """Tells whether the reminder is in force: an open task, seen by its person, and theirs."""
    is_theirs = not reminder.is_default or task.assignee_id in (None, reminder.user_id)
    return is_open(task) and is_theirs and reminder.user_id in members


def is_open(task: Task) -> bool:
    """Tells whether there is still something to do."""
    return task.status in (Status.OPEN, Status.IN_PROGRESS) and task.deleted_at is None


def deliveries_of(
    reminders: Iterable[Reminder], task: Task, members: Collection[UserId]
) -> tuple[Delivery, ...]:
    """Returns the rows that the reminders ask for as the task stands, past ones too."""
    found = []
    for reminder in reminders:
        at = rings_at(reminder.wanted.when, task.due)
        if at is None or not rings(reminder, task, members):
            continue
        found += [
            first(Category.REMINDER, reminder.id, task, (reminder.user_id, channel), at)
            for channel in sorted(reminder.wanted.channels)
        ]
    return tuple(found)


def overdue_of(
    task: Task, watchers: Mapping[UserId, Collection[ChannelName]]
) -> tuple[Delivery, ...]:
    """Returns the rows that tell people, by their channels, that the task has become overdue."""
    if task.due is None or not is_open(task):
        return ()
    return tuple(
        first(Category.OVERDUE, task.id, task, (person, channel), task.due.instant)
        for person, channels in watchers.items()
        for channel in sorted(channels)
    )


def reconcile(
    existing: Iterable[Delivery], desired: Iterable[Delivery], at: datetime
) -> Reconciled:
    """Returns what makes the existing rows the desired ones; doing it twice changes nothing.

    What is no longer desired is cancelled with all that followed from it. What was cancelled so
    and is desired again comes back, and what is new is made, if it is still to come: nobody is
    reminded of what passed before they asked.

    Args:
        existing: the rows of the same tasks and categories, at least all that are live and all
            with `fire_at` after `at`.
        desired: first rows, by `deliveries_of` and `overdue_of`.
        at: now.
    """
    rows = tuple(existing)
    wanted = {lineage(row): row for row in desired}
    known = {row.id for row in rows}
    return Reconciled(
        new=tuple(row for row in wanted.values() if row.id not in known and row.due_at > at),
        cancelled=tuple(
            cancelled(row, Reason.WITHDRAWN)
            for row in rows
            if row.state in LIVE and lineage(row) not in wanted
        ),
        revived=tuple(
            revived(row)
            for row in rows
            if row.state is Stand.CANCELLED
            and row.reason == Reason.WITHDRAWN
            and row.fire_at > at
            and lineage(row) in wanted
        ),
    )


def next_nag(row: Delivery, nag: Nag | None, at: datetime) -> Delivery | None:
    """Returns the row that rings next after this one ended, None where the sequence is over.

    Those whose instants have passed meanwhile are skipped, and count.
    """
    if nag is None:
        return None
    steps = max(1, (at - row.due_at) // nag.every + 1)
    if row.nag + steps > nag.times:
        return None
    return replace(follower(row, row.due_at + steps * nag.every), nag=row.nag + steps)


def require_sound(wanted: Wanted, at: datetime, *path: str) -> None:
    """Raises Refused (INVALID) for what can never ring, or rings without an end."""
    if not wanted.channels:
        raise invalid("Name at least one channel.", *path, "channels")
    when = wanted.when
    if isinstance(when, At) and when.instant <= at:
        raise invalid("Choose an instant in the future.", *path, "at")
    if isinstance(when, Before) and not _is_sound_notice(when):
        message = f"Choose a span from PT0S to P{NOTICE_MAX_DAYS}D."
        raise invalid(message, *path, "beforeDue")
    if isinstance(when, OnDay) and not 0 <= when.days_before <= NOTICE_MAX_DAYS:
        raise invalid(f"Choose 0 to {NOTICE_MAX_DAYS} days.", *path, "daysBefore")
    nag = wanted.nag
    if nag is not None and not NAG_EVERY_MIN <= nag.every <= NAG_EVERY_MAX:
        raise invalid("Choose a span from PT1M to P7D.", *path, "nag", "every")
    if nag is not None and not 1 <= nag.times <= NAG_TIMES_MAX:
        raise invalid(f"Choose 1 to {NAG_TIMES_MAX} times.", *path, "nag", "times")


def require_all_sound(wanted: Sequence[Wanted], at: datetime) -> None:
    """Raises Refused for a new task's reminders, of which each must be sound and all have room."""
    if len(wanted) > REMINDERS_MAX:
        require_room(REMINDERS_MAX, "input", "reminders")
    problems = Problems()
    for one in wanted:
        problems.of(partial(require_sound, one, at, "input", "reminders"))
    if problems.found:
        raise problems.refusal()


def require_room(count: int, *path: str) -> None:
    """Raises Refused (LIMIT_EXCEEDED) where a task has as many reminders as it may have."""
    if count >= REMINDERS_MAX:
        raise over_limit(f"A task has at most {REMINDERS_MAX} reminders.", *path)


def _is_sound_notice(when: Before) -> bool:
    whole = timedelta(days=min(max(when.days, -1), NOTICE_MAX_DAYS + 1)) + when.span
    return when.days >= 0 and when.span >= timedelta() and whole <= timedelta(days=NOTICE_MAX_DAYS)


def _days_before(task_due: Due, days: int) -> datetime:
    if days == 0:
        # Not computed anew: of two equal local times the due names one.
        return task_due.instant
    day = task_due.day - timedelta(days=days)
    return due(day, task_due.at, ZoneInfo(task_due.zone), fold=False).instant
