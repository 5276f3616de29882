"""What the tests of the live path share: logs to write to, streams, readers, a served endpoint."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import uvicorn

from domain.access import Viewer
from domain.changes import Change
from domain.errors import Unavailable
from domain.events import VERSION
from domain.ids import ChangeId, SessionId, UserId, WorkspaceId
from domain.messages import CaughtUp, EventSource, Message, ResyncRequired, Sink
from domain.ports import Head
from domain.workspaces import Role
from infra.postgres.log import Moved
from resolvers.batches import Batch
from resolvers.streams import Error

T = TypeVar("T")

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def viewer(user: UserId | None = None, *, expires_at: datetime | None = None) -> Viewer:
    return Viewer(
        user=user or UserId(uuid4()),
        session=SessionId(uuid4()),
        expires_at=expires_at or datetime.now(UTC) + timedelta(hours=1),
    )


def removal(user: UserId) -> tuple[str, str]:
    """The kind and payload of somebody's removal."""
    return "member.removed", json.dumps({"id": str(uuid4()), "user": {"id": str(user)}})


def change(stream: UUID, seq: int, **given: Any) -> Change:
    """A change of a stream, as the log has it."""
    made: dict[str, Any] = {
        "id": ChangeId(uuid4()),
        "stream": stream,
        "seq": seq,
        "kind": "task.updated",
        "at": AT,
        "actor": None,
        "actor_name": None,
        "subject": stream,
        "fields": ("title",),
        "key": None,
        "payload": "{}",
        "version": VERSION,
    }
    return Change(**{**made, **given})


@dataclass(eq=False)
class TextStream:
    """Renders messages as small JSON texts, at once or (`waits`) after a switch."""

    workspace: WorkspaceId
    after: int | None = None
    group: str = "everybody"
    key: str = "changes"
    cost: int = 1
    waits: bool = False
    rendered: list[Message] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def render(self, message: Message) -> Any:
        self.rendered.append(message)
        return self._later(message) if self.waits else self._text(message)

    async def _later(self, message: Message) -> bytes:
        await asyncio.sleep(0)
        return self._text(message)

    def _text(self, message: Message) -> bytes:
        if self.failures:
            raise self.failures.pop()
        match message:
            case CaughtUp():
                body: dict[str, object] = {"caughtUp": message.seq}
            case ResyncRequired():
                body = {
                    "resync": message.reason.value,
                    "seq": message.seq,
                    "head": message.head,
                }
            case Change():
                body = {"seq": message.seq, "payload": json.loads(message.payload)}
        return json.dumps({"data": {self.key: body}}).encode()


class Reader:
    """An outlet that keeps what it gets; `pause` and `go_on` fill and drain it.

    With `room` it also fills by itself after so many batches, and drains a moment later.
    """

    def __init__(self, room: int | None = None) -> None:
        self._room = room
        self._paused = False
        self.bodies: list[dict[str, Any]] = []
        self.errors: list[Error] = []
        self.pushes = 0
        self.closed = False
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def seqs(self) -> list[int]:
        return [body["seq"] for body in self.bodies if "payload" in body]

    @property
    def caught_up(self) -> list[int]:
        return [body["caughtUp"] for body in self.bodies if "caughtUp" in body]

    @property
    def resyncs(self) -> list[dict[str, Any]]:
        return [body for body in self.bodies if "resync" in body]

    def pause(self) -> None:
        self._paused = True
        self._writable.clear()

    def go_on(self) -> None:
        self._paused = False
        self._writable.set()

    def _drain(self) -> None:
        if not self._paused:
            self._writable.set()

    def close(self) -> None:
        self.closed = True
        self._writable.set()

    def push(self, batch: Batch) -> bool:
        if self.closed or not self._writable.is_set():
            return False
        self.pushes += 1
        for line in batch.events().splitlines():
            if line.startswith(b"data: "):
                self.bodies.append(json.loads(line[6:])["data"]["changes"])
        if self._room is not None and self.pushes % self._room == 0:
            self._writable.clear()
            asyncio.get_running_loop().call_later(0.001, self._drain)
        return True

    async def drained(self) -> bool:
        await self._writable.wait()
        return not self.closed

    def end(self, error: Error) -> None:
        self.errors.append(error)


class MemoryLog:
    """Implements Log, Access and the tail's source; `down` makes it unreachable."""

    def __init__(self) -> None:
        self.changes: dict[UUID, list[Change]] = {}
        self.floors: dict[UUID, int] = {}
        self.members: set[tuple[UserId, WorkspaceId]] = set()
        self.down = False
        self.reads = 0
        # An answer takes up to so many turns of the loop, not each the same.
        self.turns = 1

    def create(self) -> WorkspaceId:
        workspace = WorkspaceId(uuid4())
        self.changes[workspace] = []
        self.floors[workspace] = 0
        return workspace

    def join(self, workspace: WorkspaceId) -> Viewer:
        somebody = viewer()
        self.members.add((somebody.user, workspace))
        return somebody

    def commit(
        self, workspace: WorkspaceId, kind: str = "task.updated", payload: str = "{}"
    ) -> int:
        rows = self.changes[workspace]
        seq = rows[-1].seq + 1 if rows else self.floors[workspace] + 1
        rows.append(
            Change(
                id=ChangeId(uuid4()),
                stream=workspace,
                seq=seq,
                kind=kind,
                at=AT,
                actor=None,
                actor_name=None,
                subject=UUID(int=0),
                fields=(),
                key=None,
                payload=payload,
                version=VERSION,
            )
        )
        return seq

    def prune(self, workspace: WorkspaceId, floor: int) -> None:
        self.floors[workspace] = floor
        self.changes[workspace] = [c for c in self.changes[workspace] if c.seq > floor]

    def restore(self, workspace: WorkspaceId, head: int) -> None:
        self.changes[workspace] = [c for c in self.changes[workspace] if c.seq <= head]

    def head(self, workspace: UUID) -> int:
        rows = self.changes[workspace]
        return rows[-1].seq if rows else self.floors[workspace]

    async def heads(self, streams: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, Head]:
        found = {
            stream: Head(head=self.head(stream), floor=self.floors[stream])
            for stream in streams
            if stream in self.changes
        }
        return await self._answered(found)

    async def read(self, stream: UUID, after: int, limit: int) -> Sequence[Change]:
        found = [change for change in self.changes[stream] if change.seq > after][:limit]
        return await self._answered(found)

    async def moved(self, cursors: Mapping[UUID, int], limit: int) -> Mapping[UUID, Moved]:
        found = {
            stream: Moved(
                head=self.head(stream),
                changes=[c for c in self.changes[stream] if c.seq > after][:limit],
            )
            for stream, after in cursors.items()
            if self.head(stream) != after
        }
        return await self._answered(found)

    async def role(self, user: UserId, workspace: WorkspaceId) -> Role | None:
        found = Role.MEMBER if (user, workspace) in self.members else None
        return await self._answered(found)

    async def _answered(self, found: T) -> T:
        # What was found is old by the time it arrives, as with a real database.
        if self.down:
            raise Unavailable("The database is away.")
        self.reads += 1
        for _ in range(1 + self.reads * 7 % self.turns):
            await asyncio.sleep(0)
        return found


class ManualEvents(EventSource):
    """Delivers when it is told to."""

    def __init__(self, log: MemoryLog) -> None:
        self.sinks: dict[UUID, Sink] = {}
        self._log = log
        self._cursors: dict[UUID, int] = {}

    def follow(self, stream: UUID, after: int, sink: Sink) -> None:
        self.sinks[stream] = sink
        self._cursors[stream] = after

    def unfollow(self, stream: UUID) -> None:
        self.sinks.pop(stream, None)

    def hint(self, stream: UUID, seq: int) -> None:
        self.deliver(stream)

    def deliver(self, workspace: UUID) -> None:
        after = self._cursors[workspace]
        changes = [change for change in self._log.changes[workspace] if change.seq > after]
        if changes:
            self._cursors[workspace] = changes[-1].seq
            self.sinks[workspace].append(changes)


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.rounds = 0
        self.jumps: list[int] = []

    def append(self, changes: Sequence[Change]) -> None:
        self.rounds += 1
        self.seqs += [change.seq for change in changes]

    def jump(self, head: int) -> None:
        self.jumps.append(head)


class Database:
    """Writes rows of the log as a flush would, by plain SQL."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def user(self) -> Viewer:
        """An account with one session."""
        somebody = viewer()
        await self.connection.execute(
            """INSERT INTO account
            (id, email, email_key, name, time_zone, password_hash, created_at)
            VALUES ($1, $2, $2, 'Ada', 'UTC', '', now())""",
            somebody.user,
            f"{somebody.user}@example.com",
        )
        await self.connection.execute(
            """INSERT INTO session (id, user_id, created_at, expires_at, refresh_digest)
            VALUES ($1, $2, now(), now() + interval '1 day', sha256(convert_to($3, 'UTF8')))""",
            somebody.session,
            somebody.user,
            str(somebody.session),
        )
        return somebody

    async def workspace(self, *members: Viewer) -> WorkspaceId:
        workspace = WorkspaceId(uuid4())
        await self.connection.execute(
            """INSERT INTO workspace (id, name, created_at, head, head_hash, floor_hash)
            VALUES ($1, 'Home', now(), 0, '', '')""",
            workspace,
        )
        for member in members:
            await self.connection.execute(
                """INSERT INTO member (id, workspace_id, user_id, role, created_at)
                VALUES ($1, $2, $3, 1, now())""",
                uuid4(),
                workspace,
                member.user,
            )
        return workspace

    async def commit(
        self,
        workspace: WorkspaceId,
        count: int = 1,
        kind: str = "task.updated",
        payload: str = "{}",
    ) -> int:
        """Appends changes and returns the new head."""
        head: int = await self.connection.fetchval(
            """WITH w AS (UPDATE workspace SET head = head + $2 WHERE id = $1 RETURNING head),
            c AS (INSERT INTO change (stream, seq, id, kind, at, subject, fields, before, payload,
                                      hash)
                  SELECT $1, w.head - $2 + i, gen_random_uuid(), $3, '2026-11-23T12:00:00+00:00',
                         $1, '{}', '{}', $4, ''
                  FROM w, generate_series(1, $2) AS i)
            SELECT head FROM w""",
            workspace,
            count,
            kind,
            payload,
        )
        return head

    async def prune(self, workspace: WorkspaceId, floor: int) -> None:
        await self._set("floor", workspace, floor)
        await self.connection.execute(
            "DELETE FROM change WHERE stream = $1 AND seq <= $2", workspace, floor
        )

    async def restore(self, workspace: WorkspaceId, head: int) -> None:
        await self._set("head", workspace, head)
        await self.connection.execute(
            "DELETE FROM change WHERE stream = $1 AND seq > $2", workspace, head
        )

    async def _set(self, column: str, workspace: WorkspaceId, seq: int) -> None:
        await self.connection.execute(
            f"UPDATE workspace SET {column} = $2 WHERE id = $1",  # noqa: S608 - two constants
            workspace,
            seq,
        )

    async def remove(self, workspace: WorkspaceId, user: UserId) -> None:
        await self.connection.execute(
            "DELETE FROM member WHERE workspace_id = $1 AND user_id = $2", workspace, user
        )

    async def revoke(self, session: SessionId) -> None:
        await self.connection.execute(
            "UPDATE session SET revoked_at = now() WHERE id = $1", session
        )


async def eventually(condition: Callable[[], object], within_s: float = 5.0) -> None:
    """Waits for a condition; fails when it does not come true in time."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def served(application: Any, **options: Any) -> AsyncIterator[uvicorn.Server]:
    """Serves an ASGI application by uvicorn in this loop, on a free port."""
    settings: dict[str, Any] = {"lifespan": "off", "log_config": None, "access_log": False}
    config = uvicorn.Config(
        application,
        host="127.0.0.1",
        port=0,
        ws_per_message_deflate=False,
        **{**settings, **options},
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server
    finally:
        await server.shutdown()


def port_of(server: uvicorn.Server) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
