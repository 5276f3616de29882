"""What a series does next, and the tasks that it makes; pure rules.

A series keeps one upcoming occurrence: when the slot of its latest one has come, the next is made,
so that reminders before a due can ring. Where it counts from completions, the next is made once
the latest is closed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import takewhile
from uuid import UUID
from zoneinfo import ZoneInfo

from domain import positions, tasks
from domain.due import Due, due
from domain.ids import TaskId
from domain.recurrence.local_text import local_time
from domain.recurrence.policies import Anchor, CatchUp, Open
from domain.recurrence.rule import Cron
from domain.recurrence.series import (
    CATCH_UP_MAX,
    Slots,
    Turn,
    WhileOpen,
    after_completion,
    turn,
    while_open,
)
from domain.recurrence.slots import Slot
from domain.recurrence.walls import Barren
from domain.series import Recurrence, Series
from domain.tasks import Status, Task

# How late an occurrence may be made whose place came back from the trash.
LOOK_AGAIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a series does now.

    `spawn` are the slots that become occurrences, in order; `missed` those that are passed over.
    `replaces`: the earlier occurrences that are still open are cancelled. `done_until`, `next_at`
    and `ends` are what holds afterwards.
    """

    spawn: tuple[Slot, ...] = ()
    missed: tuple[Slot, ...] = ()
    replaces: bool = False
    done_until: datetime
    next_at: datetime | None
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Unskipped:
    """The slots of a series that an occurrence can have, without those that somebody skipped."""

    slots: Slots
    skipped: frozenset[str]

    def after(self, after: datetime | None = None) -> Iterator[Slot]:
        """See `Slots.after`."""
        found = takewhile(_can_be_due, self.slots.after(after))
        if not self.skipped:
            return found
        return (slot for slot in found if slot.text not in self.skipped)


def step(
    series: Series,
    now: datetime,
    *,
    current: Task | None,
    cancelled_at: datetime | None = None,
    room: int = CATCH_UP_MAX,
) -> Step:
    """Returns what the series does at this instant; doing it again does nothing.

    Args:
        series: one that is running.
        now: the present instant; one that stood back is harmless.
        current: its latest occurrence, None where that is gone.
        cancelled_at: when that was cancelled, if it was.
        room: so many occurrences are made at most; the rest are due at once again.

    Raises:
        Refused: INVALID; what comes next cannot be told, as of a COUNT that is not counted so far.
    """
    is_open = current is not None and current.is_open
    try:
        if series.recurrence.policies.anchor is Anchor.COMPLETION:
            closed_at = now if current is None else _closed_at(current, cancelled_at)
            return _counted_on(series, closed_at, is_open=is_open)
        return _scheduled(series, now, is_open=is_open, room=room)
    except Barren:
        # There is no other slot within centuries. What cannot be told is no end: it is raised.
        return Step(done_until=series.done_until, next_at=None, ends=True)


def passed_over(series: Series, now: datetime) -> Step:
    """Returns what a series does that can make nothing: its slots up to now are passed over.

    One that counts from completions looks again and again, since nothing tells it when it can.
    """
    if series.recurrence.policies.anchor is Anchor.COMPLETION:
        return Step(done_until=series.done_until, next_at=now + LOOK_AGAIN)
    until = max(series.done_until, now)
    try:
        ahead = next(series.recurrence.schedule.after(until), None)
    except Barren:
        ahead = None
    return Step(done_until=until, next_at=ahead and ahead.instant, ends=ahead is None)


def _counted_on(series: Series, closed_at: datetime, *, is_open: bool) -> Step:
    idle = Step(done_until=series.done_until, next_at=None)
    if is_open:
        return idle
    recurrence = series.recurrence
    if recurrence.count is not None and series.made >= recurrence.count:
        return replace(idle, ends=True)
    slot = after_completion(
        recurrence.rule,
        recurrence.start,
        recurrence.zone,
        recurrence.policies,
        completed=series.done_until,
        at=closed_at,
    )
    if slot is None or not _can_be_due(slot):
        return replace(idle, ends=True)
    return Step(spawn=(slot,), done_until=slot.instant, next_at=None)


def _can_be_due(slot: Slot) -> bool:
    """Whether its day ends: the calendar's last one has no midnight after it."""
    return slot.local.date() < date.max


def _closed_at(current: Task, cancelled_at: datetime | None) -> datetime:
    return current.completed_at or cancelled_at or current.deleted_at or current.updated_at


def _scheduled(series: Series, now: datetime, *, is_open: bool, room: int) -> Step:
    if series.done_until > now:
        return Step(done_until=series.done_until, next_at=series.done_until)
    policies = series.recurrence.policies
    if while_open(policies, is_open=is_open) is WhileOpen.HOLD:
        return Step(done_until=series.done_until, next_at=None)
    if policies.open is Open.REPLACE and policies.catch_up is CatchUp.ALL:
        # All but the latest would be replaced at once.
        policies = replace(policies, catch_up=CatchUp.ONE)
    slots = Unskipped(series.recurrence.schedule, series.skipped)
    found = turn(slots, policies, last=series.done_until, now=now)
    wanted = (*found.spawn, found.next) if found.next else found.spawn
    spawn = wanted[: 1 if policies.open is Open.WAIT else room]
    return Step(
        spawn=spawn,
        missed=found.missed,
        replaces=policies.open is Open.REPLACE,
        done_until=spawn[-1].instant if spawn else series.done_until,
        next_at=_next_at(found, spawn, waits=policies.open is Open.WAIT, now=now),
        ends=found.next is None and len(spawn) == len(wanted),
    )


def _next_at(found: Turn, spawn: Sequence[Slot], *, waits: bool, now: datetime) -> datetime | None:
    """Returns when the last of these has come; one that is late already, and waited for: never."""
    if not spawn or (found.next is None and len(spawn) == len(found.spawn)):
        return None
    last = spawn[-1].instant
    return None if waits and last <= now else last


# --- tasks ---------------------------------------------------------------------------------------


def due_of(recurrence: Recurrence, slot: Slot) -> Due:
    """Returns what the slot's occurrence is due: all day, where the series names no time."""
    if _is_whole_day(recurrence) and slot.local.time() == time():
        return due(slot.local.date(), None, recurrence.zone, fold=False)
    local = slot.instant.astimezone(recurrence.zone)
    return due(local.date(), local.time().replace(fold=0), recurrence.zone, fold=bool(local.fold))


def _is_whole_day(recurrence: Recurrence) -> bool:
    pattern = recurrence.rule.pattern
    if isinstance(pattern, Cron) or pattern.is_elapsed or recurrence.start.at is not None:
        return False
    return not (pattern.by_hour or pattern.by_minute or pattern.by_second)


def occurrence(series: Series, slot: Slot, id: TaskId, at: datetime) -> Task:
    """Returns the slot's occurrence, still without a position."""
    own = series.template
    return replace(
        tasks.blank(id, series.workspace_id, at),
        title=own.title,
        description=own.description,
        priority=own.priority,
        category_id=own.category_id,
        tag_ids=own.tag_ids,
        assignee_id=own.assignee_id,
        parent_id=own.parent_id,
        due=due_of(series.recurrence, slot),
        series_id=series.id,
        slot=slot.text,
    )


def fresh(
    made: Task, old: Task, below: Iterable[Task], new_id: Callable[[], UUID]
) -> Iterator[Task]:
    """Yields the subtasks of an occurrence anew below the next one, to be done again.

    What is an occurrence itself comes by its own series, and what lies below such a one with it.

    Args:
        made: the next occurrence.
        old: the one whose subtasks are taken over.
        below: its subtasks, each after its parent.
        new_id: makes their ids.
    """
    days = _day(made.slot) - _day(old.slot)
    copies = {old.id: made.id}
    for one in below:
        parent = None if one.parent_id is None else copies.get(one.parent_id)
        if parent is None or one.series_id is not None:
            continue
        copies[one.id] = TaskId(new_id())
        yield replace(
            one,
            id=copies[one.id],
            parent_id=parent,
            status=Status.OPEN,
            due=_shifted(one.due, days),
            position="",
            version=1,
            created_at=made.created_at,
            updated_at=made.created_at,
            completed_at=None,
            deleted_at=None,
        )


def _day(slot: str | None) -> date:
    found = local_time(slot or "")
    if found is None:
        raise ValueError(f"{slot!r} is no slot")
    return found.day


def _shifted(was: Due | None, days: timedelta) -> Due | None:
    if was is None:
        return None
    try:
        return due(was.day + days, was.at, ZoneInfo(was.zone), fold=was.fold)
    except OverflowError:
        return None


def placed(made: Iterable[Task], low: str | None) -> Iterator[Task]:
    """Yields the tasks with positions, each after the one before it; the first after `low`."""
    for one in made:
        low = positions.between(low, None, one.id)
        yield replace(one, position=low)


def height(top: TaskId, below: Iterable[Task]) -> int:
    """Returns how many levels lie below a task, of its subtasks, each after its parent."""
    levels = {top: 0}
    for one in below:
        if one.parent_id in levels:
            levels[one.id] = levels[one.parent_id] + 1
    return max(levels.values())
