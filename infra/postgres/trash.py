"""Tasks that have been in the trash for too long. Implements workers.cleanup.Purge.

What followers of a workspace see of its trash changes, so the log says so: one `task.purged` each,
whose state is null, for nothing is left. A task goes after the tasks below it: those were deleted
together with it or before, and are gone first.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import orjson

from domain.changes import head_digest, text
from domain.events import PURGED, VERSION
from domain.tasks import instant_text
from infra.postgres.flush import MOVED
from infra.postgres.lanes import Statements

# Workspaces looked at by one statement: one look into an index each.
PAGE_MAX_WORKSPACES = 500
# As many at once as make a mutation of the workspace wait for some ten milliseconds.
BATCH_MAX_TASKS = 100

_PAGE = """
SELECT w.id, EXISTS (
    SELECT FROM task t WHERE t.workspace_id = w.id AND t.deleted_at < $3) AS is_due
FROM workspace w WHERE w.id > $1 ORDER BY w.id LIMIT $2"""
_LEAVES = """
SELECT t.id FROM task t
WHERE t.workspace_id = $1 AND t.deleted_at < $2
  AND NOT EXISTS (SELECT FROM task c WHERE c.parent_id = t.id)
ORDER BY t.deleted_at, t.id LIMIT $3"""
_PURGE = "SELECT purge_1($1::jsonb)"


class TrashPurge:
    """Purges workspace by workspace, leaves first."""

    kind = "trash"

    def __init__(
        self, statements: Statements, *, keep: timedelta, new_id: Callable[[], UUID]
    ) -> None:
        self._statements = statements
        self._keep = keep
        self._new_id = new_id

    async def batches(self, now: datetime) -> AsyncGenerator[int]:
        """See `Purge.batches`."""
        before = now - self._keep
        last: UUID | None = UUID(int=0)
        while last is not None:
            page = await self._statements.fetch(_PAGE, last, PAGE_MAX_WORKSPACES, before)
            yield 0
            for workspace in page:
                if workspace["is_due"]:
                    async for count in self._purge(workspace["id"], now, before):
                        yield count
            last = page[-1]["id"] if len(page) == PAGE_MAX_WORKSPACES else None

    async def _purge(self, workspace: UUID, now: datetime, before: datetime) -> AsyncGenerator[int]:
        while leaves := await self._statements.fetch(_LEAVES, workspace, before, BATCH_MAX_TASKS):
            try:
                await self._statements.fetchval(
                    _PURGE, self._argument(workspace, now, before, [row["id"] for row in leaves])
                )
            except asyncpg.PostgresError as error:
                if error.sqlstate != MOVED:
                    raise
                # One of them was restored just now; the rest is looked up again.
                yield 0
            else:
                yield len(leaves)

    def _argument(
        self, workspace: UUID, now: datetime, before: datetime, tasks: Sequence[UUID]
    ) -> str:
        at = instant_text(now) or ""
        changes = [
            {
                "id": self._new_id(),
                "kind": PURGED,
                "subject": str(task),
                "fields": [],
                "before": text({}),
                "payload": text(None),
                "head": head_digest(
                    kind=PURGED, at=at, actor=None, subject=task, fields=(), key=None
                ).hex(),
                "version": VERSION,
            }
            for task in tasks
        ]
        put = {"workspace": str(workspace), "at": at, "before": before, "changes": changes}
        return orjson.dumps(put).decode()
