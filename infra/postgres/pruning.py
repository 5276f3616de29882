"""The log's rows past their time, of one kind of streams. Implements workers.cleanup.Purge.

A stream's floor moves first, in a statement of its own: it takes the lock that mutations need for
as long as one row's update. Then what lies at or below the floor is deleted, which nobody reads any
more: a follower that was there is told LOG_PRUNED. A crash between leaves rows below the floor,
which the next run finds. The floor keeps the hash of its change, so the chain verifies from there.

The floor never passes
- a change that is not past its time, nor any after such a one, whatever clocks wrote;
- the position of a consumer that reads this kind of streams; where it has none yet, the floor
  itself, for there it begins;
- a parked change: it is run again from the log.
"""

from collections.abc import AsyncGenerator, Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from domain.outbox import Streams
from infra.postgres.backlog import TABLES
from infra.postgres.lanes import Statements

# Streams looked at by one statement: two or three rows each.
PAGE_MAX_STREAMS = 500
# Changes deleted by one statement; a change may hold a megabyte, and that is a thousand rows too.
BATCH_MAX_CHANGES = 1_000
BATCH_MAX_BYTES = 8_000_000

_CONSUMERS = """
SELECT DISTINCT p.consumer FROM position p JOIN {table} s ON s.id = p.stream"""
# How far each stream's floor may go for its readers, and whether there is anything to do.
_PAGE = """
SELECT s.id, s.floor, s.reach,
    s.oldest <= s.floor OR (s.reach > s.floor AND (
        SELECT at::timestamptz < $4 FROM change
        WHERE stream = s.id AND seq > s.floor ORDER BY seq LIMIT 1)) AS is_due
FROM (
    SELECT s.id, s.floor, least(s.head, read.seq, parked.seq - 1) AS reach,
        (SELECT min(seq) FROM change WHERE stream = s.id) AS oldest
    FROM (SELECT id, head, floor FROM {table} WHERE id > $1 ORDER BY id LIMIT $2) AS s
    LEFT JOIN LATERAL (
        SELECT min(greatest(p.seq, s.floor)) AS seq FROM unnest($3::text[]) AS c(consumer)
        LEFT JOIN position p ON p.consumer = c.consumer AND p.stream = s.id
    ) AS read ON true
    LEFT JOIN (SELECT stream, min(seq) AS seq FROM parked GROUP BY stream) AS parked
        ON parked.stream = s.id
) AS s ORDER BY s.id"""
_MOVE = """
UPDATE {table} s SET floor = l.seq, floor_hash = l.hash
FROM (
    SELECT seq, hash FROM (
        SELECT seq, hash, bool_and(at::timestamptz < $4) OVER (ORDER BY seq) AS is_past
        FROM (SELECT seq, hash, at FROM change WHERE stream = $1 AND seq > $2 AND seq <= $3
              ORDER BY seq LIMIT $5) AS next
    ) AS told WHERE is_past ORDER BY seq DESC LIMIT 1
) AS l
WHERE s.id = $1 AND s.floor < l.seq RETURNING s.floor"""
_DELETE = """
WITH past AS (
    SELECT seq, sum(octet_length(before) + octet_length(payload)) OVER (ORDER BY seq)
        - octet_length(before) - octet_length(payload) AS earlier
    FROM (SELECT seq, before, payload FROM change
          WHERE stream = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4) AS oldest
), gone AS (
    DELETE FROM change WHERE stream = $1
        AND seq = ANY (ARRAY(SELECT seq FROM past WHERE earlier < $5))
    RETURNING seq
)
SELECT count(*) AS count, max(seq) AS last FROM gone"""
_KINDS: Final = {Streams.WORKSPACES: "workspace_log", Streams.USERS: "user_log"}


class LogPruning:
    """Moves floors, and deletes what lies below them."""

    def __init__(
        self,
        streams: Streams,
        statements: Statements,
        *,
        keep: timedelta,
        consumers: Collection[str] = (),
    ) -> None:
        """Takes names of consumers that read these streams, besides those that have begun to."""
        self.kind = _KINDS[streams]
        self._statements = statements
        self._keep = keep
        self._expected = frozenset(consumers)
        table = TABLES[streams]
        self._consumers = _CONSUMERS.format(table=table)
        self._page = _PAGE.format(table=table)
        self._move = _MOVE.format(table=table)

    async def batches(self, now: datetime) -> AsyncGenerator[int]:
        """See `Purge.batches`."""
        before = now - self._keep
        begun = {row["consumer"] for row in await self._statements.fetch(self._consumers)}
        consumers = sorted(begun | self._expected)
        last: UUID | None = UUID(int=0)
        while last is not None:
            page = await self._statements.fetch(
                self._page, last, PAGE_MAX_STREAMS, consumers, before
            )
            yield 0
            for stream in page:
                if stream["is_due"]:
                    async for count in self._prune(stream, before):
                        yield count
            last = page[-1]["id"] if len(page) == PAGE_MAX_STREAMS else None

    async def _prune(self, stream: asyncpg.Record, before: datetime) -> AsyncGenerator[int]:
        key, reach, floor = stream["id"], stream["reach"], stream["floor"]
        # Not from the beginning each time: until a vacuum the index still has what is gone.
        gone = 0
        while floor is not None:
            while (batch := await self._delete(key, gone, floor)) is not None:
                gone = batch["last"]
                yield batch["count"]
            floor = await self._statements.fetchval(
                self._move, key, floor, reach, before, BATCH_MAX_CHANGES
            )

    async def _delete(self, stream: UUID, after: int, floor: int) -> asyncpg.Record | None:
        """Deletes the next batch; None where there is nothing left at or below the floor."""
        row = await self._statements.fetchrow(
            _DELETE, stream, after, floor, BATCH_MAX_CHANGES, BATCH_MAX_BYTES
        )
        return row if row is not None and row["count"] else None
