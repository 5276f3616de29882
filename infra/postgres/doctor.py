"""Looks for what may never be: gaps in a stream, a head beside its log, a chain that breaks."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg

from domain.changes import GENESIS, chain, digest, head_digest
from infra.findings import Finding

# Rows held at once while the chain is followed.
BATCH = 500

_STREAMS = "SELECT id, head, head_hash, floor, floor_hash FROM workspace ORDER BY id"
_ROWS = """
SELECT stream, seq, kind, at, actor, subject, fields, key, before, payload, hash
FROM change WHERE stream = $1 ORDER BY seq"""
_STRAYS = """
SELECT count(*) FROM change c WHERE NOT EXISTS (SELECT FROM workspace w WHERE w.id = c.stream)"""


async def findings(connection: asyncpg.Connection) -> AsyncIterator[Finding]:
    """Yields what is wrong with the log, from one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if strays := await connection.fetchval(_STRAYS):
            yield Finding(
                f"{strays} change(s) belong to no workspace", "restore the database from a backup"
            )
        for stream in await connection.fetch(_STREAMS):
            async for finding in _stream(connection, stream):
                yield finding


async def _stream(connection: asyncpg.Connection, stream: asyncpg.Record) -> AsyncIterator[Finding]:
    """Follows one chain to its first break; what follows a break proves nothing."""
    seq, hash_ = stream["floor"], stream["floor_hash"]
    if seq == 0 and hash_ != GENESIS:
        yield _broken(stream["id"], "the chain does not begin at its beginning")
        return
    async for row in connection.cursor(_ROWS, stream["id"], prefetch=BATCH):
        if row["seq"] <= stream["floor"]:
            continue
        if row["seq"] != seq + 1:
            yield _broken(stream["id"], f"seq {row['seq']} follows {seq}")
            return
        hash_, seq = _hash(hash_, row), row["seq"]
        if hash_ != row["hash"]:
            yield _broken(stream["id"], f"change {seq} is not what was written")
            return
    if seq != stream["head"]:
        yield _broken(stream["id"], f"the log ends at {seq}, the head says {stream['head']}")
    elif hash_ != stream["head_hash"]:
        yield _broken(stream["id"], f"the head's hash is not that of change {seq}")


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


def _broken(stream: UUID, what: str) -> Finding:
    return Finding(
        f"workspace {stream}: {what}",
        "somebody or something else wrote to the database; compare with a backup",
    )
