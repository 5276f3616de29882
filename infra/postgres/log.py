"""Reads the log. Implements domain.ports.Log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from domain.changes import Change
from domain.ids import ChangeId, UserId, WorkspaceId
from domain.ports import Head
from infra.postgres.lanes import Statements

# Rows of one read, whatever the caller asks for: payloads reach 900 kB, and a reader needs no
# more than it can send. The first row always comes, or a large one would stop its stream.
READ_MAX_BYTES = 1_048_576

COLUMNS = (
    "stream, seq, id, kind, at, actor, actor_name, subject, fields, key, payload, trace, version"
)
# octet_length knows the size of a stored text without fetching it.
_FOLLOWING = f"""
    SELECT {COLUMNS} FROM (
        SELECT *, sum(octet_length(payload)) OVER (ORDER BY seq) - octet_length(payload) AS earlier
        FROM (SELECT * FROM change WHERE stream = {{stream}} AND seq > {{after}}
              ORDER BY seq LIMIT {{limit}}) AS rows
    ) AS sized
    WHERE earlier < {READ_MAX_BYTES} ORDER BY seq"""  # noqa: S608 - constants only

_READ = _FOLLOWING.format(stream="$1", after="$2", limit="$3")
# Everybody has a stream of their own; before its first change it has no row.
_HEADS = """
SELECT id, head, floor FROM workspace WHERE id = ANY($1)
UNION ALL
SELECT a.id, coalesce(u.head, 0), coalesce(u.floor, 0)
FROM account a LEFT JOIN user_stream u USING (id) WHERE a.id = ANY($1)"""
# One statement, so one snapshot: head and rows agree. Streams at their cursor give no row.
_MOVED = f"""
SELECT w.id AS moved, w.head, c.*
FROM unnest($1::uuid[], $2::bigint[]) AS cursor(stream, after)
JOIN (
    SELECT id, head FROM workspace UNION ALL SELECT id, head FROM user_stream
) AS w ON w.id = cursor.stream AND w.head <> cursor.after
LEFT JOIN LATERAL ({
    _FOLLOWING.format(stream="cursor.stream", after="cursor.after", limit="$3")
}) AS c ON w.head > cursor.after
ORDER BY w.id, c.seq"""  # noqa: S608 - constants only


# Nothing where the viewer is no member; without rows where the log does not continue `after`.
_PAGE = f"""
SELECT w.head, w.floor, c.*
FROM workspace w JOIN member m ON m.workspace_id = w.id AND m.user_id = $4
LEFT JOIN LATERAL ({
    _FOLLOWING.format(stream="w.id", after="$2", limit="$3")
}) AS c ON $2 BETWEEN w.floor AND w.head
WHERE w.id = $1 ORDER BY c.seq"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where a stream stands, and the changes after a position, from one snapshot."""

    head: int
    floor: int
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A stream whose head is not where the cursor is, and the next changes, if any."""

    head: int
    changes: Sequence[Change]


class PostgresLog:
    """Reads changes in their order."""

    def __init__(self, lanes: Statements) -> None:
        self._lanes = lanes

    async def heads(self, streams: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, Head]:
        """See `Log.heads`."""
        rows = await self._lanes.fetch(_HEADS, list(streams))
        return {row["id"]: Head(head=row["head"], floor=row["floor"]) for row in rows}

    async def read(self, stream: UUID, after: int, limit: int) -> Sequence[Change]:
        """See `Log.read`; large changes make a shorter page, never an empty one."""
        rows = await self._lanes.fetch(_READ, stream, after, limit)
        return [change_of(row) for row in rows]

    async def page(
        self, stream: WorkspaceId, after: int, limit: int, viewer: UserId
    ) -> Page | None:
        """Returns what `read` does with the stream's head; None for who is no member."""
        rows = await self._lanes.fetch(_PAGE, stream, after, limit, viewer)
        if not rows:
            return None
        changes = [change_of(row) for row in rows if row["seq"] is not None]
        return Page(head=rows[0]["head"], floor=rows[0]["floor"], changes=changes)

    async def moved(self, cursors: Mapping[UUID, int], limit: int) -> Mapping[UUID, Moved]:
        """Returns the streams that are not at their cursor, each with its next changes."""
        rows = await self._lanes.fetch(_MOVED, list(cursors), list(cursors.values()), limit)
        changes: dict[UUID, list[Change]] = {}
        heads: dict[UUID, int] = {}
        for row in rows:
            heads[row["moved"]] = row["head"]
            found = changes.setdefault(row["moved"], [])
            if row["seq"] is not None:
                found.append(change_of(row))
        return {stream: Moved(head=heads[stream], changes=changes[stream]) for stream in heads}


def change_of(row: asyncpg.Record) -> Change:
    """Returns a row of COLUMNS as a change."""
    return Change(
        id=ChangeId(row["id"]),
        stream=row["stream"],
        seq=row["seq"],
        kind=row["kind"],
        at=datetime.fromisoformat(row["at"]),
        actor=None if row["actor"] is None else UserId(row["actor"]),
        actor_name=row["actor_name"],
        subject=row["subject"],
        fields=tuple(row["fields"]),
        key=row["key"],
        payload=row["payload"],
        trace=row["trace"],
        version=row["version"],
    )
