"""What depends on zone data, and by which it was worked out last."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.due import due
from domain.ids import SeriesId, TaskId, WorkspaceId
from infra.postgres.lanes import Statements
from infra.postgres.state import PostgresStateStore

# Rows of one look; tasks or series of one workspace and commit.
_PAGE: Final = 2_000
BATCH_MAX: Final = 200
_KEY: Final = "zone-data"
_KEEP: Final = timedelta(days=3_650)
_TASKS: Final = """
SELECT id, workspace_id, due_day, due_at, due_zone, due_fold, due_instant FROM task
WHERE id > $1 AND deleted_at IS NULL AND due_instant > $2 AND due_zone <> 'UTC'
ORDER BY id LIMIT $3"""
_SERIES: Final = """
SELECT id, workspace_id FROM series
WHERE id > $1 AND next_at > $2 AND zone <> 'UTC' ORDER BY id LIMIT $3"""


class PostgresZoneData:
    """Finds what new zone data may move. Implements workers.zone_data.Dependents."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._state = PostgresStateStore(statements)

    async def version(self) -> str | None:
        """See `Dependents.version`."""
        return await self._state.get(_KEY)

    async def keep(self, version: str) -> None:
        """See `Dependents.keep`."""
        await self._state.put(_KEY, version, _KEEP)

    async def tasks(self, after: datetime) -> AsyncIterator[tuple[WorkspaceId, list[TaskId]]]:
        """See `Dependents.tasks`."""
        async for rows in self._pages(_TASKS, after):
            moved = [row for row in rows if _instant(row) != row["due_instant"]]
            for workspace, ids in _batches(moved):
                yield workspace, [TaskId(one) for one in ids]

    async def series(self, after: datetime) -> AsyncIterator[tuple[WorkspaceId, list[SeriesId]]]:
        """See `Dependents.series`."""
        async for rows in self._pages(_SERIES, after):
            for workspace, ids in _batches(rows):
                yield workspace, [SeriesId(one) for one in ids]

    async def _pages(self, sql: str, after: datetime) -> AsyncIterator[Sequence[Any]]:
        last = UUID(int=0)
        while rows := await self._statements.fetch(sql, last, after, _PAGE):
            yield rows
            last = rows[-1]["id"]


def _instant(row: Any) -> datetime:
    day: date = row["due_day"]
    at = None if row["due_at"] is None else time.fromisoformat(row["due_at"])
    return due(day, at, ZoneInfo(row["due_zone"]), fold=row["due_fold"]).instant


def _batches(rows: Sequence[Any]) -> list[tuple[WorkspaceId, list[UUID]]]:
    by_workspace = defaultdict[UUID, list[UUID]](list)
    for row in rows:
        by_workspace[UUID(int=row["workspace_id"].int)].append(UUID(int=row["id"].int))
    return [
        (WorkspaceId(workspace), ids[start : start + BATCH_MAX])
        for workspace, ids in by_workspace.items()
        for start in range(0, len(ids), BATCH_MAX)
    ]
