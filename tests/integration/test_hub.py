"""Hub, tail, poll, endpoint and PostgreSQL together, as they are composed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from domain.access import Viewer
from domain.ids import WorkspaceId
from infra.clock import SystemClock
from infra.postgres.access import AccessPoll, PostgresAccess
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.tail import PostgresTail
from infra.wire import Wire
from resolvers.hub import Hub
from resolvers.origins import Origins
from resolvers.sockets import Limits, Sockets
from resolvers.streams import Opened
from resolvers.websocket import WebSocketEndpoint
from tests.live import Database, Reader, TextStream, eventually, port_of, removal, served


class Replica:
    """The live half of one process, on a real database."""

    def __init__(self, lanes: Lanes) -> None:
        log = PostgresLog(lanes)
        self.tail = PostgresTail(log)
        self.hub = Hub(log=log, access=PostgresAccess(lanes), events=self.tail)
        self.sockets = Sockets(self.hub, Limits())
        self.poll = AccessPoll(lanes, SystemClock(), token_lifetime=timedelta(hours=1))
        self.viewers: dict[str, Viewer] = {}
        self.server: Any = None
        self.endpoint = WebSocketEndpoint(
            sockets=self.sockets,
            authenticate=self.authenticate,
            subscribe=self.subscribe,
            origins=Origins(()),
        )

    async def authenticate(self, token: str) -> Viewer:
        return self.viewers[token]

    async def subscribe(self, viewer: Viewer | None, payload: Mapping[str, object]) -> Opened:
        variables: Any = payload["variables"]
        return TextStream(WorkspaceId(UUID(variables["workspace"])), after=variables.get("after"))

    @asynccontextmanager
    async def connected(self, viewer: Viewer) -> AsyncIterator[ClientConnection]:
        url = f"ws://127.0.0.1:{port_of(self.server)}/graphql"
        self.viewers[str(viewer.session)] = viewer
        async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            payload = {"token": str(viewer.session)}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            yield socket


@asynccontextmanager
async def replica_of(url: str) -> AsyncIterator[Replica]:
    async with AsyncExitStack() as stack:
        lanes = await stack.enter_async_context(Lanes(url, LaneOptions(size=4)))
        replica = Replica(lanes)
        for work in (replica.tail.run(), replica.poll.run(replica.sockets)):
            task = asyncio.create_task(work)
            stack.push_async_callback(_ended, task)
        replica.server = await stack.enter_async_context(served(replica.endpoint, ws=Wire))
        stack.push_async_callback(replica.sockets.stop)
        yield replica


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def replica(database_url: str) -> AsyncIterator[Replica]:
    async with replica_of(database_url) as replica:
        yield replica


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(database_url)
    yield Database(connection)
    await connection.close()


async def subscribed(
    socket: ClientConnection, workspace: WorkspaceId, after: int | None = None
) -> None:
    variables = {"workspace": str(workspace), "after": after}
    payload = {"query": "subscription", "variables": variables}
    await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))


async def heard(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(5):
        message = json.loads(await socket.recv())
    body: dict[str, Any] = message["payload"]["data"]["changes"]
    return body


async def closed(socket: ClientConnection) -> float:
    began = time.monotonic()
    async with asyncio.timeout(5):
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return time.monotonic() - began


async def test_two_replicas_tell_the_same(database_url: str, database: Database) -> None:
    somebody = await database.user()
    workspace = await database.workspace(somebody)
    head = await database.commit(workspace, 300)
    async with (
        replica_of(database_url) as writing,
        replica_of(database_url) as other,
        writing.connected(somebody) as near,
        other.connected(somebody) as far,
    ):
        got: dict[ClientConnection, list[int]] = {near: [], far: []}
        for socket in (near, far):
            await subscribed(socket, workspace, after=100)
            for _ in range(200):
                got[socket].append((await heard(socket))["seq"])
            assert await heard(socket) == {"caughtUp": head}
        for _ in range(50):
            writing.hub.committed(workspace, await database.commit(workspace))
        for socket in (near, far):
            for _ in range(50):
                got[socket].append((await heard(socket))["seq"])

    assert got[near] == got[far] == list(range(101, 351))


async def test_a_revoked_session_is_closed_within_a_second(
    replica: Replica, database: Database
) -> None:
    somebody = await database.user()
    workspace = await database.workspace(somebody)
    async with replica.connected(somebody) as socket:
        await subscribed(socket, workspace)
        await heard(socket)

        await database.revoke(somebody.session)

        assert await closed(socket) < 1
        assert (socket.close_code, socket.close_reason) == (4403, "Forbidden")


async def test_an_expired_token_is_closed_within_a_second_also_without_the_database(
    replica: Replica, database: Database
) -> None:
    somebody = await database.user()
    expiring = Viewer(
        user=somebody.user,
        session=somebody.session,
        expires_at=datetime.now(UTC) + timedelta(seconds=0.5),
    )
    async with replica.connected(expiring) as socket:
        await database.connection.execute("ALTER TABLE session RENAME TO gone")

        assert 0.2 < await closed(socket) < 1.5
        assert socket.close_code == 4403


@pytest.mark.parametrize("_case", ["change", "poll"])
async def test_a_lost_membership_ends_the_stream_within_a_second(
    replica: Replica, database: Database, _case: str
) -> None:
    somebody = await database.user()
    workspace = await database.workspace(somebody)
    async with replica.connected(somebody) as socket:
        await subscribed(socket, workspace)
        await heard(socket)

        began = time.monotonic()
        await database.remove(workspace, somebody.user)
        if _case == "change":
            await database.commit(workspace, 1, *removal(somebody.user))
        async with asyncio.timeout(5):
            error = json.loads(await socket.recv())

        assert time.monotonic() - began < 1
        assert (error["id"], error["type"]) == ("1", "error")
        assert error["payload"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_a_restored_and_a_pruned_log_say_so(replica: Replica, database: Database) -> None:
    somebody = await database.user()
    workspace = await database.workspace(somebody)
    await database.commit(workspace, 20)
    await database.prune(workspace, 5)
    live, old = Reader(), Reader()
    replica.hub.subscribe(TextStream(workspace), somebody, live, after=18)
    replica.hub.subscribe(TextStream(workspace), somebody, old, after=2)
    await eventually(lambda: live.caught_up and old.caught_up)

    await database.restore(workspace, 10)
    await eventually(lambda: live.resyncs and len(old.resyncs) == 2)
    await database.commit(workspace)
    await eventually(lambda: live.seqs[-1:] == old.seqs[-1:] == [11])

    assert live.resyncs == [{"resync": "LOG_RESTORED", "seq": 20, "head": 10}]
    assert old.resyncs == [
        {"resync": "LOG_PRUNED", "seq": 2, "head": 20},
        {"resync": "LOG_RESTORED", "seq": 20, "head": 10},
    ]


async def test_nothing_is_lost_when_every_connection_is_cut_again_and_again(
    replica: Replica, database: Database
) -> None:
    somebody = await database.user()
    workspace = await database.workspace(somebody)
    readers: list[Reader] = []

    async def cut() -> None:
        for _ in range(5):
            await asyncio.sleep(0.1)
            await database.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            # A newcomer in the middle of it.
            readers.append(Reader())
            replica.hub.subscribe(TextStream(workspace), somebody, readers[-1], after=0)
            replica.hub.committed(workspace, await database.commit(workspace, 40))

    await cut()
    await eventually(lambda: all(len(reader.seqs) == 200 for reader in readers), within_s=15)

    assert all(reader.seqs == list(range(1, 201)) for reader in readers)
