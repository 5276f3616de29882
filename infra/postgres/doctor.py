"""Looks for what may never be: gaps in a stream, a head beside its log, a chain that breaks.

And for what should not last: consumers that are behind, clocks that differ.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from domain.changes import GENESIS, chain, digest, head_digest
from domain.outbox import SHARDS, Lag, Streams
from domain.ports import Clock
from infra.findings import Finding
from infra.postgres.backlog import PostgresBacklog

# Rows held at once while the chain is followed.
BATCH = 500

_STREAMS = """
SELECT 'workspace' AS kind, id, head, head_hash, floor, floor_hash FROM workspace
UNION ALL SELECT 'user', id, head, head_hash, floor, floor_hash FROM user_stream ORDER BY id"""
_ROWS = """
SELECT stream, seq, kind, at, actor, subject, fields, key, before, payload, hash
FROM change WHERE stream = $1 ORDER BY seq"""
_STRAYS = """
SELECT count(*) FROM change c
WHERE NOT EXISTS (SELECT FROM workspace w WHERE w.id = c.stream)
  AND NOT EXISTS (SELECT FROM user_stream u WHERE u.id = c.stream)"""
# Every consumer that has begun, and which kinds of streams it reads.
_CONSUMERS = """
SELECT p.consumer, bool_or(w.id IS NOT NULL) AS workspaces, bool_or(u.id IS NOT NULL) AS users
FROM position p LEFT JOIN workspace w ON w.id = p.stream LEFT JOIN user_stream u ON u.id = p.stream
GROUP BY p.consumer"""
_PARKED = """
SELECT consumer, count(*) AS parked, (array_agg(reason ORDER BY at))[1] AS reason
FROM parked GROUP BY consumer"""


async def findings(connection: asyncpg.Connection) -> AsyncIterator[Finding]:
    """Yields what is wrong with the log, from one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if strays := await connection.fetchval(_STRAYS):
            yield Finding(
                f"{strays} change(s) belong to no stream", "restore the database from a backup"
            )
        for stream in await connection.fetch(_STREAMS):
            async for finding in _stream(connection, stream):
                yield finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a consumer is, how many changes it went past, and why the first of them."""

    consumer: str
    lag: Lag
    parked: int
    reason: str | None


async def standings(
    connection: asyncpg.Connection, expected: Mapping[str, Streams]
) -> Sequence[Standing]:
    """Returns how consumers stand: all that have begun, and those that are expected to."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        kinds = {name: {streams} for name, streams in expected.items()}
        for row in await connection.fetch(_CONSUMERS):
            found = kinds.setdefault(row["consumer"], set())
            found |= {kind for kind in Streams if row[kind.value]}
        parked = {row["consumer"]: row for row in await connection.fetch(_PARKED)}
        backlog = PostgresBacklog(connection)
        return [
            Standing(
                consumer=name,
                lag=_sum(
                    [await backlog.lag(name, kind, range(SHARDS)) for kind in kinds.get(name, ())]
                ),
                parked=parked[name]["parked"] if name in parked else 0,
                reason=parked[name]["reason"] if name in parked else None,
            )
            for name in sorted(kinds.keys() | parked.keys())
        ]


def _sum(lags: Sequence[Lag]) -> Lag:
    return Lag(
        changes=sum(lag.changes for lag in lags),
        oldest_at=min((lag.oldest_at for lag in lags if lag.oldest_at), default=None),
    )


async def skew(connection: asyncpg.Connection, clock: Clock) -> timedelta:
    """Returns how far the clock is ahead of the database's: the least that it can be."""
    async with connection.transaction(readonly=True):
        before = clock.now()
        there: datetime = await connection.fetchval("SELECT clock_timestamp()")
        after = clock.now()
    # It was read there at some time between.
    nothing = timedelta(0)
    return max(before - there, nothing) or min(after - there, nothing)


async def _stream(connection: asyncpg.Connection, stream: asyncpg.Record) -> AsyncIterator[Finding]:
    """Follows one chain to its first break; what follows a break proves nothing."""
    seq, hash_ = stream["floor"], stream["floor_hash"]
    if seq == 0 and hash_ != GENESIS:
        yield _broken(stream, "the chain does not begin at its beginning")
        return
    async for row in connection.cursor(_ROWS, stream["id"], prefetch=BATCH):
        if row["seq"] <= stream["floor"]:
            continue
        if row["seq"] != seq + 1:
            yield _broken(stream, f"seq {row['seq']} follows {seq}")
            return
        hash_, seq = _hash(hash_, row), row["seq"]
        if hash_ != row["hash"]:
            yield _broken(stream, f"change {seq} is not what was written")
            return
    if seq != stream["head"]:
        yield _broken(stream, f"the log ends at {seq}, the head says {stream['head']}")
    elif hash_ != stream["head_hash"]:
        yield _broken(stream, f"the head's hash is not that of change {seq}")


def _hash(previous: bytes, row: asyncpg.Record) -> bytes:
    head = head_digest(
        kind=row["kind"],
        at=row["at"],
        actor=row["actor"],
        subject=row["subject"],
        fields=tuple(row["fields"]),
        key=row["key"],
    )
    return chain(previous, row["seq"], head, digest(row["before"]), digest(row["payload"]))


def _broken(stream: asyncpg.Record, what: str) -> Finding:
    return Finding(
        f"{stream['kind']} {stream['id']}: {what}",
        "somebody or something else wrote to the database; compare with a backup",
    )
