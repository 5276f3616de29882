"""Looks for series that stand still, and for a ledger of slots that differs from the tasks."""

from collections.abc import AsyncIterator
from typing import Final

import asyncpg

from infra.findings import Finding

_WORKER = "see that `carillon serve` or its worker for recurrence runs, and what its log says"
_DAMAGE = "somebody or something else wrote to the database; compare with a backup"
# Each finds series of which something is wrong. A minute is late: ticks come every second, and what
# one cannot do is tried again after some.
_CHECKS: Final = {
    """
    SELECT id FROM series WHERE next_at < now() - interval '1 minute'""": ("are overdue", _WORKER),
    # Those that wait for their latest occurrence while there is nothing to do about it.
    """
    SELECT s.id FROM series s LEFT JOIN task t ON t.id = s.current
    WHERE s.next_at IS NULL AND s.ended_at IS NULL AND NOT s.is_paused
      AND ((s.anchor = 'SCHEDULE' AND s.open <> 'WAIT')
           OR t.deleted_at IS NOT NULL OR t.status NOT IN ('OPEN', 'IN_PROGRESS') OR t.id IS NULL)
      AND coalesce(greatest(t.updated_at, t.deleted_at) < now() - interval '1 minute', true)""": (
        "wait for an occurrence that is closed",
        _WORKER,
    ),
    """
    SELECT DISTINCT l.series_id AS id FROM series_slot l JOIN task t ON t.id = l.task_id
    WHERE l.state = 'SPAWNED' AND (t.series_id, t.slot) IS DISTINCT FROM (l.series_id, l.slot)""": (
        "have a slot whose task is of another",
        _DAMAGE,
    ),
    """
    SELECT DISTINCT t.series_id AS id FROM task t
    WHERE t.series_id IS NOT NULL AND t.deleted_at IS NULL AND NOT EXISTS (
        SELECT FROM series_slot l
        WHERE (l.series_id, l.slot, l.task_id) = (t.series_id, t.slot, t.id))""": (
        "have an occurrence that their ledger does not know",
        _DAMAGE,
    ),
}


async def series_findings(connection: asyncpg.Connection) -> AsyncIterator[Finding]:
    """Yields what is wrong with series."""
    async with connection.transaction(readonly=True):
        for check, (what, remedy) in _CHECKS.items():
            row = await connection.fetchrow(
                f"SELECT count(*) AS count, min(id::text) AS first FROM ({check}) AS found"  # noqa: S608 - a constant of ours
            )
            if row is not None and row["count"]:
                yield Finding(f"{row['count']:,} series {what}, such as {row['first']}", remedy)
