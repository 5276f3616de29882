"""What series do by themselves: their turns, and what the closing of an occurrence leads to."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from domain import tasks
from domain.changes import Change
from domain.errors import Refused, Stale, Unavailable
from domain.ids import SeriesId, TaskId, WorkspaceId
from domain.ports import Clock, Command, Needs, Seen, SeenSeries, Store, Writes
from domain.recurrence.policies import Anchor, Open
from domain.series import LedgerSlot, Series, SlotState
from domain.services.series_batch import Batch
from domain.services.showing import display
from domain.spawning import is_untouched
from domain.tasks import Task

ATTEMPTS = 8
# The service's own: nobody asked for it, so nobody's role counts.
OWN: Final = Command(actor=None, field="recurrence", key=None, arguments=b"")
# What may close an occurrence, or open it again.
_FIELDS: Final = frozenset({"status", "deleted_at"})


class SeriesTurns:
    """Carries out what is due."""

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[], UUID]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def take(self, workspace: WorkspaceId, ids: Sequence[SeriesId]) -> list[SeriesId]:
        """Carries out the turns of series of one workspace, in one commit.

        Doing so again does nothing, whoever does it, and whenever. Returns the series for which
        there was no room.

        Raises:
            Refused: CONFLICT; the id of an occurrence is taken: take the series one by one.
            Unavailable: the workspace changed under every attempt, or a wait took too long.
        """
        own_ids = True
        for _ in range(ATTEMPTS):
            batch = await self._decided(workspace, ids, own_ids=own_ids)
            if batch is None:
                half = len(ids) // 2
                return [*await self.take(workspace, ids[:half]), *ids[half:]]
            try:
                if (writes := batch.writes()) is not None:
                    await self._store.flush(OWN, writes)
            except Stale:
                continue
            except Refused:
                if len(ids) > 1:
                    raise
                own_ids = False
            else:
                return batch.left
        raise Unavailable("The workspace is changing too fast; try again.")

    async def _decided(
        self, workspace: WorkspaceId, ids: Sequence[SeriesId], *, own_ids: bool
    ) -> Batch | None:
        """Returns what the series' turns lead to; None where one look cannot hold all of them."""
        needs = Needs(workspace=workspace, series=tuple(ids), end=True)
        seen = await self._store.load(OWN, needs)
        if seen.series is None:
            return None
        batch = Batch(
            workspace=workspace,
            seen=seen,
            at=self._clock.now(),
            new_id=self._new_id,
            own_ids=own_ids,
        )
        for one in seen.series.values():
            batch.take(one)
        return batch

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
        needs = Needs(workspace=workspace, series=(series,), tasks=(task,))
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
    gone = (*reversed(one.below), latest)
    if not all(is_untouched(task) for task in gone):
        return None
    changes = []
    for old in gone:
        shown = display(old, seen)
        new = replace(old, deleted_at=now, updated_at=now)
        changes.append(tasks.changed("task.deleted", old, shown, new, shown))
    found = [change for change in changes if change is not None]
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
        instant=one.series.done_until,
        state=SlotState.WITHDRAWN,
        task_id=latest.id,
    )
    return replace(
        _writes(one, back, now),
        facts=tuple(fact for _, fact in found),
        tasks=tuple(task for task, _ in found),
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
