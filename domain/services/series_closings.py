"""What the closing of an occurrence leads to, and its opening again."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from domain import tasks
from domain.changes import Change
from domain.ids import SeriesId, TaskId, WorkspaceId
from domain.ports import Clock, Needs, Seen, SeenSeries, Store, Writes
from domain.recurrence.policies import Anchor, Open
from domain.series import LedgerSlot, Series, SlotState
from domain.services import ringing
from domain.services.series_turns import OWN
from domain.services.showing import display
from domain.tasks import Task

# What may close an occurrence, or open it again.
_FIELDS: Final = frozenset({"status", "deleted_at"})


class Closings:
    """Learns from the log which occurrences are closed, and which are open again.

    What it looks at is the present, so a change that comes late, or twice, does no harm.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def follow(self, change: Change, store: Store) -> bool:
        """Learns of a change; what it decides is flushed by `store`, together with the position.

        Returns whether a series has its turn now.

        Raises:
            Stale: something has moved meanwhile; look again.
        """
        task, series = _occurrence_in(change)
        if task is None or series is None:
            return False
        workspace = WorkspaceId(change.stream)
        needs = Needs(workspace=workspace, series=(series,), tasks=(task,), untouched=True)
        seen = await store.load(OWN, needs)
        one = (seen.series or {}).get(series)
        if one is None or not one.series.is_running:
            return False
        now = self._clock.now()
        if task == one.series.current:
            due = _closed(one, now)
            if due is not None:
                await store.flush(OWN, _writes(one, due, now))
            return due is not None
        if one.followed is not None and one.followed.task == task:
            writes = _withdrawal(seen, one, seen.tasks.get(task), now)
            if writes is not None:
                await store.flush(OWN, writes)
        return False


def concerns(change: Change) -> bool:
    """Tells whether a change may close an occurrence, or open it again."""
    return _occurrence_in(change) != (None, None)


def _occurrence_in(change: Change) -> tuple[TaskId | None, SeriesId | None]:
    """Returns the task and series of a change that may close or open an occurrence."""
    if not change.kind.startswith("task.") or _FIELDS.isdisjoint(change.fields):
        return None, None
    occurrence = json.loads(change.payload).get("occurrence")
    if occurrence is None:
        return None, None
    return TaskId(change.subject), SeriesId(UUID(occurrence["series_id"]))


def _closed(one: SeenSeries, now: datetime) -> Series | None:
    """Returns the series as due now, where it waited for the closing of its latest occurrence."""
    series, policies = one.series, one.series.recurrence.policies
    waits = policies.anchor is Anchor.COMPLETION or policies.open is Open.WAIT
    is_open = one.current is not None and one.current.is_open
    if is_open or not waits or series.next_at is not None:
        return None
    return replace(series, next_at=now)


def _withdrawal(seen: Seen, one: SeenSeries, before: Task | None, now: datetime) -> Writes | None:
    """Returns what takes the latest occurrence back, since the one before it is open again.

    Nothing where somebody has done something with it, or with a subtask of it.
    """
    latest, followed = one.current, one.followed
    if latest is None or followed is None or before is None or not before.is_open:
        return None
    gone = (*reversed(one.below.get(latest.id, ())), latest)
    if not all(task.is_open and task.id in one.untouched for task in gone):
        return None
    changes = []
    for old in gone:
        shown = display(old, seen)
        new = replace(old, deleted_at=now, updated_at=now)
        changes.append(tasks.changed("task.deleted", old, shown, new, shown))
    found = [change for change in changes if change is not None]
    ledger = ringing.followed(seen, zip(gone, (task for task, _ in found), strict=True), now)
    back = replace(
        one.series,
        current=followed.task,
        done_until=followed.instant,
        next_at=_next_at(one.series, followed.instant, now),
        made=one.series.made - 1,
    )
    row = LedgerSlot(
        series_id=one.series.id,
        slot=latest.slot or "",
        origin=followed.origin,
        instant=None,
        state=SlotState.WITHDRAWN,
        task_id=latest.id,
    )
    return replace(
        _writes(one, back, now),
        facts=tuple(fact for _, fact in found),
        tasks=tuple(task for task, _ in found),
        ledger=ledger,
        seen={task.id: task.version for task in (*gone, before)},
        labels_rev=seen.labels_rev,
        roles_rev=seen.roles_rev,
        tree_rev=seen.tree_rev,
        tree_moved=True,
        slots=(row,),
    )


def _next_at(series: Series, slot: datetime, now: datetime) -> datetime | None:
    counts = series.recurrence.policies.anchor is Anchor.COMPLETION
    return None if counts or slot <= now else slot


def _writes(one: SeenSeries, new: Series, now: datetime) -> Writes:
    return Writes(
        workspace=one.series.workspace_id,
        subject=one.series.id,
        at=now,
        actor=None,
        series=(replace(new, rev=one.series.rev + 1),),
        series_seen={one.series.id: one.series.rev},
    )
