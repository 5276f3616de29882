"""What new zone data moves: local times stay as people said them, their instants change."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import takewhile
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.due import due
from domain.errors import Stale, Unavailable
from domain.ids import SeriesId, TaskId, WorkspaceId
from domain.ports import Clock, Needs, SeenSeries, Store
from domain.recurrence.local_text import local_time
from domain.recurrence.slots import Slot
from domain.series import LedgerSlot, Recurrence, SlotState
from domain.services.collector import Collector
from domain.services.series_turns import ATTEMPTS, OWN
from domain.tasks import Task

# No instant is farther from its local time.
_OFFSET_MAX = timedelta(days=1)


class ZoneChanges:
    """Works out again what depends on zone data; each task that moves is a change of its own."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def tasks(self, workspace: WorkspaceId, ids: Sequence[TaskId]) -> None:
        """Moves what these tasks are due; those that are right already stay.

        Raises:
            Unavailable: the workspace changed under every attempt.
        """
        await self._carry_out(Needs(workspace=workspace, tasks=tuple(ids)), workspace)

    async def series(self, workspace: WorkspaceId, ids: Sequence[SeriesId]) -> None:
        """Moves the next turns of these series, and the slots of their latest occurrences.

        Raises:
            Unavailable: the workspace changed under every attempt.
        """
        await self._carry_out(Needs(workspace=workspace, series=tuple(ids)), workspace)

    async def _carry_out(self, needs: Needs, workspace: WorkspaceId) -> None:
        for _ in range(ATTEMPTS):
            seen = await self._store.load(OWN, needs)
            every = Collector(workspace=workspace, seen=seen, at=self._clock.now())
            for task in seen.tasks.values():
                every.change("task.updated", task, _moved(task))
            for one in (seen.series or {}).values():
                _move(every, one)
            if not (every.tasks or every.series):
                return
            subject: UUID = every.tasks[0].id if every.tasks else every.series[0].id
            try:
                await self._store.flush(OWN, every.writes(subject))
            except Stale:
                continue
            return
        raise Unavailable("The workspace is changing too fast; try again.")


def _moved(task: Task) -> Task:
    if task.due is None:
        return task
    was = task.due
    return replace(task, due=due(was.day, was.at, ZoneInfo(was.zone), fold=was.fold))


def _move(every: Collector, one: SeenSeries) -> None:
    """Adds the series' next turn where that is at another instant by now."""
    series, task = one.series, one.current
    if task is None or task.slot is None or series.next_at != series.done_until:
        return
    slot = _slot(series.recurrence, task.slot)
    if slot is None or slot.instant == series.done_until:
        return
    every.turn(series, replace(series, done_until=slot.instant, next_at=slot.instant))
    row = LedgerSlot(
        series_id=series.id,
        slot=slot.text,
        origin=None,
        instant=slot.instant,
        state=SlotState.SPAWNED,
        task_id=task.id,
    )
    every.slots.append(row)


def _slot(recurrence: Recurrence, text: str) -> Slot | None:
    local = local_time(text)
    if local is None:
        return None
    about = datetime.combine(local.day, local.at or time(), UTC)
    near = takewhile(
        lambda slot: slot.instant <= about + _OFFSET_MAX,
        recurrence.schedule.after(about - _OFFSET_MAX),
    )
    return next((slot for slot in near if slot.text == text), None)
