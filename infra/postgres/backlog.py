"""Streams with changes that a consumer has not had. Implements domain.outbox.Backlog.

What is pending is found by comparing heads with positions, so that a mutation writes nothing for
it: each is one narrow row a stream.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from domain.outbox import SHARDS, Entry, Lag, Pending, Streams
from infra.postgres.lanes import Statements
from infra.postgres.log import COLUMNS, change_of

# Of one call: what a broker takes in one message batch without a limit of ours being raised.
ENTRIES_MAX_BYTES = 1_000_000

TABLES: Final = {Streams.WORKSPACES: "workspace", Streams.USERS: "user_stream"}
# The shard as `domain.outbox.shard_of` has it.
_BEHIND = f"""
SELECT s.id, greatest(p.seq, s.floor) AS after, s.head
FROM {{table}} s LEFT JOIN position p ON p.consumer = $1 AND p.stream = s.id
WHERE s.head > greatest(p.seq, s.floor)
  AND get_byte(uuid_send(s.id), 15) % {SHARDS} = ANY($2)"""  # noqa: S608 - constants only
_PENDING = f"{_BEHIND} ORDER BY s.id <= $4, s.id LIMIT $3"
_ENTRIES = f"""
SELECT {COLUMNS}, before, hash FROM (
    SELECT c.*, p.place, sum(octet_length(c.payload) + octet_length(c.before)) OVER (
        ORDER BY p.place, c.seq) - octet_length(c.payload) - octet_length(c.before) AS earlier
    FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS p(stream, after, place)
    CROSS JOIN LATERAL (
        SELECT * FROM change WHERE stream = p.stream AND seq > p.after ORDER BY seq LIMIT $3
    ) AS c
) AS sized
WHERE earlier < {ENTRIES_MAX_BYTES} ORDER BY place, seq"""  # noqa: S608 - constants only
_MOVE = """
INSERT INTO position AS p (consumer, stream, seq)
SELECT $1, m.stream, m.seq FROM unnest($2::uuid[], $3::bigint[]) AS m(stream, seq)
ON CONFLICT (consumer, stream) DO UPDATE SET seq = excluded.seq WHERE p.seq < excluded.seq"""
_LAG = f"""
WITH pending AS ({_BEHIND})
SELECT coalesce(sum(head - after), 0)::bigint AS changes,
       (SELECT min(c.at::timestamptz) FROM pending
        JOIN change c ON c.stream = pending.id AND c.seq = pending.after + 1) AS oldest_at
FROM pending"""  # noqa: S608 - constants only


class PostgresBacklog:
    """Compares heads and positions, and reads what lies between."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._last: dict[str, UUID] = {}

    async def pending(
        self, consumer: str, streams: Streams, shards: Sequence[int], limit: int
    ) -> Sequence[Pending]:
        """See `Backlog.pending`."""
        last = self._last.get(consumer, UUID(int=0))
        statement = _PENDING.format(table=TABLES[streams])
        rows = await self._statements.fetch(statement, consumer, shards, limit, last)
        if rows:
            self._last[consumer] = rows[-1]["id"]
        return [Pending(stream=row["id"], after=row["after"], head=row["head"]) for row in rows]

    async def entries(self, pending: Sequence[Pending], limit: int) -> Sequence[Entry]:
        """See `Backlog.entries`."""
        some = pending[:limit]
        rows = await self._statements.fetch(
            _ENTRIES,
            [one.stream for one in some],
            [one.after for one in some],
            max(1, limit // len(some)),
        )
        return [
            Entry(change=change_of(row), before=row["before"], hash=row["hash"]) for row in rows
        ]

    async def move(self, consumer: str, positions: Mapping[UUID, int]) -> None:
        """See `Backlog.move`."""
        # In one order: two processes that hold a shard at once must not deadlock.
        streams = sorted(positions)
        seqs = [positions[stream] for stream in streams]
        await self._statements.fetchval(_MOVE, consumer, streams, seqs)

    async def lag(self, consumer: str, streams: Streams, shards: Sequence[int]) -> Lag:
        """See `Backlog.lag`."""
        row = await self._statements.fetchrow(_LAG.format(table=TABLES[streams]), consumer, shards)
        if row is None:
            raise LookupError(consumer)
        return Lag(changes=row["changes"], oldest_at=row["oldest_at"])
