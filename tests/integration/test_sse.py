"""Server-sent events over real connections: replay, heartbeats, Last-Event-ID, every ending."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from domain.access import Viewer
from domain.ids import WorkspaceId
from resolvers.hub import Hub
from resolvers.sender import Receive, Scope, Send
from resolvers.sockets import Limits, Sockets
from resolvers.sse import ServerSentEvents
from resolvers.streams import Opened, problem
from tests.live import (
    ManualEvents,
    MemoryLog,
    TextStream,
    eventually,
    port_of,
    removal,
    served,
)


class Service:
    """An application that opens a stream for every request; the path says what."""

    def __init__(self, *, heartbeat_s: float = 15.0, limits: Limits | None = None) -> None:
        self.log = MemoryLog()
        self.workspace: WorkspaceId = self.log.create()
        self.member: Viewer | None = self.log.join(self.workspace)
        self.hub = Hub(log=self.log, access=self.log, events=ManualEvents(self.log))
        self.sockets = Sockets(self.hub, limits or Limits())
        self.answer = ServerSentEvents(self.sockets, heartbeat_s=heartbeat_s)
        self.server: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        after = scope["query_string"]
        answers: dict[str, Opened] = {
            "/stream": TextStream(self.workspace, after=int(after) if after else None),
            "/query": b'{"data":{"viewer":null}}',
            "/wrong": [problem("MALFORMED", "This is no document.")],
        }
        await self.answer(scope, receive, send, answers[scope["path"]], self.member)

    def commit(self, payload: str = "{}") -> None:
        self.hub.committed(self.workspace, self.log.commit(self.workspace, payload=payload))

    @asynccontextmanager
    async def get(self, path: str = "/stream", **headers: str) -> AsyncIterator[AsyncIterator[Any]]:
        url = f"http://127.0.0.1:{port_of(self.server)}{path}"
        async with (
            httpx.AsyncClient(timeout=5) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert response.headers["x-content-type-options"] == "nosniff"
            yield _events(response)


async def _events(response: httpx.Response) -> AsyncIterator[Any]:
    """Gives (event, id, data), and None for a comment."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            yield None
        elif line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        elif fields:
            text = fields.get("data")
            yield fields.get("event"), fields.get("id"), json.loads(text) if text else None
            fields = {}


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[Service]:
    async with AsyncExitStack() as stack:
        service.server = await stack.enter_async_context(served(service, http="httptools"))
        stack.push_async_callback(service.sockets.stop)
        yield service


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving(Service()) as service:
        yield service
        await eventually(lambda: len(service.sockets) == 0)
        assert service.hub.memberships() == set()


async def take(events: AsyncIterator[Any], count: int) -> list[Any]:
    async with asyncio.timeout(5):
        got: list[Any] = []
        while len(got) < count:
            event = await anext(events)
            if event is not None:
                got.append(event)
        return got


def seqs(events: list[Any]) -> list[int]:
    return [data["data"]["changes"]["seq"] for _, _, data in events]


def change(seq: int) -> Any:
    return ("next", str(seq), {"data": {"changes": {"seq": seq, "payload": {}}}})


def caught_up(seq: int) -> Any:
    return ("next", str(seq), {"data": {"changes": {"caughtUp": seq}}})


async def test_changes_are_replayed_then_live(service: Service) -> None:
    for _ in range(3):
        service.log.commit(service.workspace)
    async with service.get("/stream?1") as events:
        replayed = await take(events, 3)
        service.commit()
        live = await take(events, 1)

    assert replayed == [change(2), change(3), caught_up(3)]
    assert live == [change(4)]


async def test_a_reconnect_goes_on_after_the_last_event(service: Service) -> None:
    for _ in range(5):
        service.log.commit(service.workspace)

    for path, last, expected in [
        ("/stream", "3", [change(4), change(5), caught_up(5)]),
        ("/stream?1", "4", [change(5), caught_up(5)]),
        ("/stream?4", "2", [change(5), caught_up(5)]),
        ("/stream?4", "nonsense", [change(5), caught_up(5)]),
        ("/stream", "9" * 30, [caught_up(5)]),
    ]:
        async with service.get(path, **{"Last-Event-ID": last}) as events:
            assert await take(events, len(expected)) == expected


async def test_a_single_result_and_errors_are_followed_by_complete(service: Service) -> None:
    async with service.get("/query") as events:
        assert [e async for e in events if e] == [
            ("next", None, {"data": {"viewer": None}}),
            ("complete", None, None),
        ]
    async with service.get("/wrong") as events:
        [error, complete] = [e async for e in events if e]

    assert error[2]["errors"][0]["extensions"]["code"] == "MALFORMED"
    assert complete == ("complete", None, None)


async def test_without_a_viewer_there_is_no_stream(service: Service) -> None:
    service.member = None
    async with service.get() as events:
        [error, _] = [e async for e in events if e]
    assert error[2]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_an_idle_stream_has_heartbeats() -> None:
    async with serving(Service(heartbeat_s=0.05)) as service, service.get() as events:
        assert await anext(events) is None
        await take(events, 1)
        assert await anext(events) is None
        assert await anext(events) is None


@pytest.mark.parametrize("_case, code", [("removed", "NOT_FOUND"), ("revoked", "UNAUTHENTICATED")])
async def test_who_may_no_longer_listen_gets_an_error_and_the_end(
    service: Service, _case: str, code: str
) -> None:
    assert service.member is not None
    async with service.get() as events:
        await take(events, 1)
        if _case == "removed":
            service.log.members.clear()
            seq = service.log.commit(service.workspace, *removal(service.member.user))
            service.hub.committed(service.workspace, seq)
        else:
            service.sockets.sweep(datetime.now(UTC), lambda _: True)
        service.commit()
        [error, complete] = [e async for e in events if e]

    assert error[2]["errors"][0]["extensions"]["code"] == code
    assert complete == ("complete", None, None)


async def test_stopping_ends_the_stream(service: Service) -> None:
    async with service.get() as events:
        await take(events, 1)
        await service.sockets.stop()
        [error, complete] = [e async for e in events if e]

    assert error[2]["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert complete == ("complete", None, None)
    assert len(service.sockets) == 0


async def test_streams_count_as_sockets() -> None:
    limits = Limits(sockets_a_user=1)
    async with serving(Service(limits=limits)) as service, service.get() as events:
        await take(events, 1)
        async with service.get() as refused:
            [error, _] = [e async for e in refused if e]
        service.commit()
        assert await take(events, 1) == [change(1)]

    assert error[2]["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


async def test_a_slow_reader_is_replayed_and_its_neighbour_notices_nothing(
    service: Service,
) -> None:
    payload = json.dumps("x" * 50_000)
    async with service.get() as quick, service.get() as slow:
        for events in (quick, slow):
            await take(events, 1)
        got = []
        for _ in range(300):
            service.commit(payload)
            got += seqs(await take(quick, 1))
        buffered = [
            connection.transport.get_write_buffer_size()
            for connection in service.server.server_state.connections
        ]
        late = seqs(await take(slow, 300))
        service.commit()
        assert seqs(await take(slow, 1)) == [301]

    assert got == late == list(range(1, 301))
    assert 0 < max(buffered) < 400_000
