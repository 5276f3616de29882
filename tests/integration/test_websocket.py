"""graphql-transport-ws over real sockets: the rules of its document, and what clients may cost."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from domain.access import Viewer
from domain.errors import Unauthenticated
from domain.ids import WorkspaceId
from domain.reading import too_large
from infra.wire import Wire
from resolvers.cost import COST_MAX
from resolvers.hub import Hub
from resolvers.origins import Origins
from resolvers.sockets import FULL, Limits, Sockets
from resolvers.streams import Opened, problem
from resolvers.websocket import SocketLimits, WebSocketEndpoint
from tests.live import (
    ManualEvents,
    MemoryLog,
    TextStream,
    eventually,
    port_of,
    removal,
    served,
    viewer,
)

LARGE_BYTES = 3_000_000
LIMITS = SocketLimits(
    init_wait_s=0.3,
    anonymous_idle_s=0.6,
    message_max_bytes=2_000,
    id_max_chars=20,
    operations_max=5,
    answers_max=2,
    messages_burst=50,
)


@dataclass
class Service:
    """An endpoint on a port, and what stands behind it."""

    log: MemoryLog
    workspace: WorkspaceId
    member: Viewer
    hub: Hub
    sockets: Sockets
    server: Any = None
    opening: asyncio.Event = field(default_factory=asyncio.Event)
    viewers: dict[str, Viewer] = field(default_factory=dict)
    streams: list[TextStream] = field(default_factory=list)
    at_work: int = 0
    most_at_work: int = 0
    answered: int = 0

    @property
    def port(self) -> int:
        return port_of(self.server)

    async def authenticate(self, token: str) -> Viewer:
        if token not in self.viewers:
            raise Unauthenticated
        return self.viewers[token]

    async def subscribe(self, viewer: Viewer | None, payload: Mapping[str, object]) -> Opened:
        match payload["query"]:
            case "subscription":
                variables: Any = payload.get("variables") or {}
                stream = TextStream(
                    self.workspace,
                    after=variables.get("after"),
                    cost=variables.get("cost", 1),
                    group=variables.get("group", "everybody"),
                )
                self.streams.append(stream)
                return stream
            case "slow":
                self.at_work += 1
                self.most_at_work = max(self.most_at_work, self.at_work)
                try:
                    await self.opening.wait()
                finally:
                    self.at_work -= 1
                return b'{"data":{"slow":true}}'
            case "query":
                return json.dumps({"data": {"viewer": viewer is not None}}).encode()
            case "large":
                self.answered += 1
                return b'{"data":{"text":"' + b"x" * LARGE_BYTES + b'"}}'
            case "crash":
                raise ZeroDivisionError("secret")
            case _:
                return [problem("MALFORMED", "This is no document.")]

    def open(self, *protocols: str, **options: Any) -> connect:
        wanted = [Subprotocol(name) for name in protocols or ("graphql-transport-ws",)]
        url = f"ws://127.0.0.1:{self.port}/graphql"
        return connect(url, subprotocols=wanted, compression=None, **options)

    def commit(self, count: int = 1, payload: str = "{}") -> None:
        for _ in range(count):
            seq = self.log.commit(self.workspace, payload=payload)
            self.hub.committed(self.workspace, seq)


async def served_service(
    stack: AsyncExitStack, *, limits: Limits | None = None, ping_timeout_s: float = 20.0
) -> Service:
    log = MemoryLog()
    workspace = log.create()
    member = log.join(workspace)
    hub = Hub(log=log, access=log, events=ManualEvents(log))
    sockets = Sockets(hub, limits or Limits())
    service = Service(log, workspace, member, hub, sockets, viewers={"good": member})
    endpoint = WebSocketEndpoint(
        sockets=sockets,
        authenticate=service.authenticate,
        subscribe=service.subscribe,
        origins=Origins(["https://tasks.example"]),
        limits=LIMITS,
    )
    options = {"ws_max_size": 10_000, "ws_ping_interval": 0.2, "ws_ping_timeout": ping_timeout_s}
    service.server = await stack.enter_async_context(served(endpoint, ws=Wire, **options))
    stack.push_async_callback(sockets.stop)
    return service


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with AsyncExitStack() as stack:
        service = await served_service(stack)
        yield service
        await service.sockets.stop()
        assert len(service.sockets) == 0
        assert service.hub.memberships() == set()


async def send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def receive(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(5):
        message: dict[str, Any] = json.loads(await socket.recv())
        return message


async def init(socket: ClientConnection, who: str = "good") -> None:
    await send(socket, type="connection_init", payload={"token": who})
    assert await receive(socket) == {"type": "connection_ack"}


async def subscribe(
    socket: ClientConnection, id: str = "1", query: str = "subscription", **variables: Any
) -> None:
    payload = {"query": query, "variables": variables}
    await send(socket, type="subscribe", id=id, payload=payload)


async def closed(socket: ClientConnection, within_s: float = 3) -> tuple[int | None, str | None]:
    async with asyncio.timeout(within_s):
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code, socket.close_reason


def change(seq: int, id: str = "1", payload: Any = None) -> dict[str, Any]:
    body = {"changes": {"seq": seq, "payload": {} if payload is None else payload}}
    return {"id": id, "type": "next", "payload": {"data": body}}


def caught_up(seq: int, id: str = "1") -> dict[str, Any]:
    return {"id": id, "type": "next", "payload": {"data": {"changes": {"caughtUp": seq}}}}


async def test_only_this_subprotocol_is_spoken(service: Service) -> None:
    async with service.open("graphql-ws") as socket:
        assert socket.subprotocol is None
        assert await closed(socket) == (4406, "Subprotocol not acceptable")
    async with connect(f"ws://127.0.0.1:{service.port}/graphql") as socket:
        assert (await closed(socket))[0] == 4406
    async with service.open("graphql-ws", "graphql-transport-ws") as socket:
        assert socket.subprotocol == "graphql-transport-ws"
        await init(socket)


async def test_who_does_not_initialise_in_time_is_closed(service: Service) -> None:
    began = time.monotonic()
    async with service.open() as socket:
        assert await closed(socket) == (4408, "Connection initialisation timeout")
    assert 0.2 < time.monotonic() - began < 1.5


async def test_who_has_initialised_may_stay(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        await asyncio.sleep(2 * LIMITS.init_wait_s)
        await send(socket, type="ping")
        assert await receive(socket) == {"type": "pong"}


async def test_a_second_initialisation_is_one_too_many(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        await send(socket, type="connection_init")
        assert await closed(socket) == (4429, "Too many initialisation requests")


async def test_operations_wait_for_the_acknowledgement(service: Service) -> None:
    async with service.open() as socket:
        await subscribe(socket)
        assert await closed(socket) == (4401, "Unauthorized")


async def test_an_id_in_use_is_not_given_twice(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        await subscribe(socket, "a")
        await subscribe(socket, "a")
        assert await closed(socket) == (4409, "Subscriber for a already exists")


async def test_a_strange_id_in_use_is_not_given_twice_either(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        await subscribe(socket, "\ud800", "slow")
        await subscribe(socket, "\ud800", "slow")
        assert await closed(socket) == (4409, "Subscriber for ? already exists")


async def test_an_id_may_be_used_again_after_completion(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        for turn in range(3):
            await subscribe(socket, "a", after=0)
            assert await receive(socket) == caught_up(0, "a")
            await send(socket, type="complete", id="a")
            await subscribe(socket, "b", "query")
            answer = {"id": "b", "type": "next", "payload": {"data": {"viewer": True}}}
            assert await receive(socket) == answer, turn
            assert await receive(socket) == {"id": "b", "type": "complete"}
        await eventually(lambda: not service.hub.memberships())


@pytest.mark.parametrize(
    "_case, message",
    [
        ("no JSON", "{"),
        ("empty", ""),
        ("not an object", "[]"),
        ("null", "null"),
        ("NaN", '{"type":"ping","payload":{"a":NaN}}'),
        ("deep", '{"type":"ping","payload":' + "[" * 1_900),
        ("no type", "{}"),
        ("unknown type", '{"type":"start"}'),
        ("type is no string", '{"type":[]}'),
        ("a server's type", '{"type":"next","id":"1","payload":{}}'),
        ("a server's acknowledgement", '{"type":"connection_ack"}'),
        ("init's payload is no object", '{"type":"connection_init","payload":"x"}'),
        ("the token is no string", '{"type":"connection_init","payload":{"token":1}}'),
        ("ping's payload is no object", '{"type":"ping","payload":1}'),
        ("pong's payload is no object", '{"type":"pong","payload":[]}'),
        ("no id", '{"type":"subscribe","payload":{"query":"query"}}'),
        ("empty id", '{"type":"subscribe","id":"","payload":{"query":"query"}}'),
        ("id is a number", '{"type":"subscribe","id":1,"payload":{"query":"query"}}'),
        ("long id", '{"type":"complete","id":"' + "x" * 21 + '"}'),
        ("no payload", '{"type":"subscribe","id":"1"}'),
        ("payload is no object", '{"type":"subscribe","id":"1","payload":"query"}'),
        ("no query", '{"type":"subscribe","id":"1","payload":{}}'),
        ("query is no string", '{"type":"subscribe","id":"1","payload":{"query":{}}}'),
        (
            "variables are a list",
            '{"type":"subscribe","id":"1","payload":{"query":"query","variables":[]}}',
        ),
        (
            "operationName is a number",
            '{"type":"subscribe","id":"1","payload":{"query":"query","operationName":1}}',
        ),
        ("complete without id", '{"type":"complete"}'),
        ("binary", b'{"type":"ping"}'),
    ],
)
async def test_an_invalid_message_closes_the_socket(
    service: Service, _case: str, message: str | bytes
) -> None:
    async with service.open() as socket:
        await socket.send(message)
        assert (await closed(socket))[0] == 4400


async def test_a_message_that_is_too_big_closes_the_socket(service: Service) -> None:
    for size in (LIMITS.message_max_bytes, 20_000):
        async with service.open() as socket:
            await socket.send('{"type":"ping","payload":{"a":"' + "x" * size + '"}}')
            assert (await closed(socket))[0] == 1009


async def test_strange_ids_come_back_as_they_were(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        for name in ('"\\', "\ud800", "\x00", "é\n"):
            await subscribe(socket, name, after=0)
            assert await receive(socket) == caught_up(0, name)
            await send(socket, type="complete", id=name)


async def test_a_bad_token_is_refused(service: Service) -> None:
    async with service.open() as socket:
        await send(socket, type="connection_init", payload={"token": "bad"})
        assert await closed(socket) == (4403, "Forbidden")


async def test_without_a_token_there_are_no_streams(service: Service) -> None:
    async with service.open() as socket:
        await send(socket, type="connection_init")
        assert await receive(socket) == {"type": "connection_ack"}
        await subscribe(socket, "1", "query")
        assert (await receive(socket))["payload"] == {"data": {"viewer": False}}
        assert await receive(socket) == {"id": "1", "type": "complete"}
        await subscribe(socket)
        error = await receive(socket)

    assert (error["id"], error["type"]) == ("1", "error")
    assert error["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_pings_are_answered_with_their_payload_at_any_time(service: Service) -> None:
    async with service.open() as socket:
        await send(socket, type="ping", payload={"at": 1})
        assert await receive(socket) == {"type": "pong", "payload": {"at": 1}}
        await send(socket, type="pong", payload={})
        await init(socket)
        await send(socket, type="ping")
        assert await receive(socket) == {"type": "pong"}


async def test_errors_end_an_operation_without_complete(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        await subscribe(socket, "1", "nonsense")
        await subscribe(socket, "2", "query")
        first, second = await receive(socket), await receive(socket)

    assert (first["type"], first["id"]) == ("error", "1")
    assert first["payload"][0]["extensions"]["code"] == "MALFORMED"
    assert (second["type"], second["id"]) == ("next", "2")


async def test_a_crash_is_masked_and_ends_its_operation_alone(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async with service.open() as socket:
        await init(socket)
        await subscribe(socket, "1", "crash")
        error = await receive(socket)
        await subscribe(socket, "1", "query")
        assert (await receive(socket))["type"] == "next"

    assert error["payload"][0]["extensions"]["code"] == "INTERNAL"
    assert "secret" not in json.dumps(error)
    assert [r.message for r in caplog.records] == ["websocket.operation_failed"]


async def test_nothing_is_said_after_complete(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        await subscribe(socket, "s", "slow")
        await send(socket, type="complete", id="s")
        await subscribe(socket, "1", after=0)
        assert await receive(socket) == caught_up(0)
        service.commit()
        assert await receive(socket) == change(1)
        await send(socket, type="complete", id="1")
        await send(socket, type="complete", id="unknown")
        await send(socket, type="ping")
        assert await receive(socket) == {"type": "pong"}
        service.opening.set()
        service.commit(3)
        await send(socket, type="ping", payload={"end": 1})
        assert await receive(socket) == {"type": "pong", "payload": {"end": 1}}


async def test_changes_are_replayed_then_live_for_each_operation(service: Service) -> None:
    for _ in range(10):
        service.log.commit(service.workspace, payload='{"title":"Käse"}')
    async with service.open() as socket:
        await init(socket)
        await subscribe(socket, "a", after=7)
        got = [await receive(socket) for _ in range(4)]
        await subscribe(socket, "a-longer-one")
        assert await receive(socket) == caught_up(10, "a-longer-one")
        service.commit()
        live = [await receive(socket) for _ in range(2)]

    expected = [change(seq, "a", {"title": "Käse"}) for seq in (8, 9, 10)]
    assert got == [*expected, caught_up(10, "a")]
    assert sorted(live, key=lambda m: m["id"]) == [change(11, "a"), change(11, "a-longer-one")]


async def test_one_operation_too_many_is_refused_and_the_others_go_on(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        for number in range(LIMITS.operations_max):
            await subscribe(socket, str(number), "slow")
        await subscribe(socket, "more", "query")
        refused = await receive(socket)
        service.opening.set()
        rest = [await receive(socket) for _ in range(2 * LIMITS.operations_max)]
        await subscribe(socket, "more", "query")
        again = await receive(socket)

    assert (refused["id"], refused["type"]) == ("more", "error")
    assert refused["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert sum(message["type"] == "complete" for message in rest) == LIMITS.operations_max
    assert again["type"] == "next"


async def test_few_operations_of_a_socket_are_at_work_at_a_time(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        for number in range(LIMITS.operations_max):
            await subscribe(socket, str(number), "slow")
        await send(socket, type="ping")
        assert await receive(socket) == {"type": "pong"}
        assert service.at_work == LIMITS.answers_max
        # One of those at work and one that waits are given up; the rest has its turn.
        await send(socket, type="complete", id="0")
        await send(socket, type="complete", id="4")
        await send(socket, type="ping")
        assert await receive(socket) == {"type": "pong"}
        service.opening.set()
        ids = [(await receive(socket))["id"] for _ in range(6)]

    assert ids == ["1", "1", "2", "2", "3", "3"]
    assert service.most_at_work == LIMITS.answers_max


async def test_answers_that_a_client_does_not_take_are_few(service: Service) -> None:
    async with service.open(max_queue=1, max_size=None) as deaf:
        await init(deaf)
        deaf.transport.pause_reading()
        for number in range(LIMITS.operations_max):
            await subscribe(deaf, str(number), "large")
        await eventually(lambda: service.answered >= LIMITS.answers_max)
        await asyncio.sleep(0.3)
        answered = service.answered
        [connection] = service.server.server_state.connections
        buffered = connection.transport.get_write_buffer_size()
        deaf.transport.resume_reading()
        got = [await receive(deaf) for _ in range(2 * LIMITS.operations_max)]

    # What the kernels hold of the first counts as taken.
    assert answered <= LIMITS.answers_max + 1
    assert buffered <= LARGE_BYTES + 100
    assert sum(message["type"] == "complete" for message in got) == LIMITS.operations_max


async def test_messages_that_wait_for_their_turn_are_bounded(service: Service) -> None:
    filler = "x" * (LIMITS.message_max_bytes - 200)
    async with service.open() as socket:
        await init(socket)
        for turn in range(20):
            # Given up at once, before they have begun.
            await subscribe(socket, f"gone{turn}", "slow", filler=filler)
            await send(socket, type="complete", id=f"gone{turn}")
        for number in range(LIMITS.operations_max):
            await subscribe(socket, str(number), "slow", filler=filler)
        await send(socket, type="ping")
        with pytest.raises(TimeoutError):
            # Not read: the messages of two at work are as much as may be held.
            async with asyncio.timeout(0.5):
                await socket.recv()
        service.opening.set()
        got = [await receive(socket) for _ in range(2 * LIMITS.operations_max + 1)]

    assert sum(message["type"] == "complete" for message in got) == LIMITS.operations_max
    assert {"type": "pong"} in got


async def test_subscriptions_of_one_person_cost_so_much_together_and_no_more(
    service: Service,
) -> None:
    service.viewers["other"] = service.log.join(service.workspace)
    half = COST_MAX // 2
    async with service.open() as one, service.open() as two, service.open() as other:
        await init(one)
        await init(two)
        await init(other, "other")
        await subscribe(one, "1", cost=half)
        await subscribe(two, "1", cost=half)
        assert [await receive(socket) for socket in (one, two)] == [caught_up(0)] * 2
        await subscribe(two, "2", cost=1)
        refused = await receive(two)
        await subscribe(other, "1", cost=COST_MAX)
        assert await receive(other) == caught_up(0)
        await send(one, type="complete", id="1")
        await eventually(lambda: service.hub._costs[service.member.user] == half)
        await subscribe(two, "2", cost=half)
        assert await receive(two) == caught_up(0, "2")

    assert (refused["id"], refused["type"]) == ("2", "error")
    assert refused["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
    await eventually(lambda: not service.hub._costs)


async def test_a_stream_whose_message_is_too_large_ends_and_its_neighbours_go_on(
    service: Service,
) -> None:
    async with service.open() as socket:
        await init(socket)
        await subscribe(socket, "1", group="large")
        await receive(socket)
        await subscribe(socket, "2")
        await receive(socket)
        service.streams[0].failures.append(too_large(7))
        service.commit()
        messages = sorted([await receive(socket) for _ in range(2)], key=lambda one: one["id"])

    assert messages[0]["type"] == "error"
    assert messages[0]["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert "7 bytes" in messages[0]["payload"][0]["message"]
    assert messages[1] == change(1, "2")


async def test_a_flood_of_messages_is_slowed_down(service: Service) -> None:
    count = LIMITS.messages_burst + 25
    async with service.open() as socket:
        await init(socket)
        began = time.monotonic()
        for _ in range(count):
            await send(socket, type="ping")
        for _ in range(count):
            await receive(socket)
    assert time.monotonic() - began > 0.8 * 25 / LIMITS.messages_a_second


async def test_pages_of_other_sites_are_kept_out(service: Service) -> None:
    for origin in (
        "https://evil.example",
        "null",
        "http://[::1",
        "",
        f"http://127.0.0.1:{service.port + 1}",
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with service.open(origin=origin):
                raise AssertionError("it was let in")
        assert refused.value.response.status_code == 403
    for origin in (
        f"http://127.0.0.1:{service.port}",
        "https://tasks.example",
        "HTTPS://Tasks.example",
    ):
        async with service.open(origin=origin) as socket:
            await init(socket)


async def test_a_removed_member_gets_not_found_for_that_operation_alone(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        await subscribe(socket, "1")
        assert await receive(socket) == caught_up(0)
        service.log.members.clear()
        seq = service.log.commit(service.workspace, *removal(service.member.user))
        service.hub.committed(service.workspace, seq)
        error = await receive(socket)
        await subscribe(socket, "1", "query")
        assert (await receive(socket))["type"] == "next"

    assert (error["id"], error["type"]) == ("1", "error")
    assert error["payload"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_expiry_and_revocation_close_the_socket(service: Service) -> None:
    soon = viewer(expires_at=datetime.now(UTC) + timedelta(seconds=60))
    service.viewers["soon"] = soon
    async with service.open() as revoked, service.open() as expiring, service.open() as fine:
        await init(revoked)
        await init(expiring, "soon")
        await send(fine, type="connection_init")
        await receive(fine)
        await subscribe(revoked)
        await receive(revoked)

        service.sockets.sweep(datetime.now(UTC), lambda _: False)
        await send(expiring, type="ping")
        assert await receive(expiring) == {"type": "pong"}
        service.sockets.sweep(soon.expires_at, lambda session: session == service.member.session)
        service.commit()

        assert await closed(revoked) == (4403, "Forbidden")
        assert await closed(expiring) == (4403, "Forbidden")
        await send(fine, type="ping")
        assert await receive(fine) == {"type": "pong"}
    await eventually(lambda: len(service.sockets) == 0)


async def test_stopping_closes_every_socket_for_a_restart(service: Service) -> None:
    async with service.open() as idle, service.open() as busy:
        await init(busy)
        await subscribe(busy)
        await subscribe(busy, "2", "slow")
        await receive(busy)

        stopping = asyncio.create_task(service.sockets.stop())
        assert await closed(idle) == (1012, "Service restart")
        assert await closed(busy) == (1012, "Service restart")
        await stopping
        async with service.open() as late:
            assert await closed(late) == (1012, "Service restart")


async def test_a_client_that_vanishes_leaves_nothing_behind(service: Service) -> None:
    async with service.open() as socket:
        await init(socket)
        await subscribe(socket)
        await subscribe(socket, "2", "slow")
        await receive(socket)
        socket.transport.abort()
    await eventually(lambda: len(service.sockets) == 0 and not service.hub.memberships())


async def test_a_client_that_does_not_read_is_replayed_later_and_costs_little(
    service: Service,
) -> None:
    payload = json.dumps({"text": "x" * 20_000})
    async with service.open() as quick, service.open(max_queue=1) as slow:
        for socket in (quick, slow):
            await init(socket)
            await subscribe(socket)
            await receive(socket)
        # Nobody takes from `slow`, so its client stops reading, and its server's buffer fills.
        got = []
        for _ in range(700):
            service.commit(payload=payload)
            message = await receive(quick)
            got.append(message["payload"]["data"]["changes"]["seq"])
        buffered = [
            connection.transport.get_write_buffer_size()
            for connection in service.server.server_state.connections
        ]
        late = [(await receive(slow))["payload"]["data"]["changes"]["seq"] for _ in range(700)]
        service.commit()
        assert await receive(slow) == change(701)

    assert got == late == list(range(1, 701))
    assert max(buffered) < 400_000
    assert max(buffered) > 0


async def test_a_half_open_socket_is_dropped() -> None:
    async with AsyncExitStack() as stack:
        service = await served_service(stack, ping_timeout_s=0.3)
        socket = await stack.enter_async_context(service.open())
        await init(socket)
        await subscribe(socket)
        await receive(socket)

        socket.transport.pause_reading()  # the network is gone: nothing arrives, nothing is said
        await eventually(lambda: not service.server.server_state.connections)
        await eventually(lambda: len(service.sockets) == 0 and not service.hub.memberships())
        socket.transport.abort()


async def test_a_client_that_reads_nothing_cannot_hold_its_buffers_after_closing() -> None:
    async with AsyncExitStack() as stack:
        service = await served_service(stack)
        socket = await stack.enter_async_context(service.open(max_queue=1))
        await init(socket)
        await subscribe(socket)
        await receive(socket)
        [connection] = service.server.server_state.connections
        socket.transport.pause_reading()
        for _ in range(400):
            service.commit(payload=json.dumps("x" * 50_000))
            await asyncio.sleep(0)
        await eventually(lambda: connection.full)

        service.sockets.sweep(service.member.expires_at, lambda _: False)
        assert not service.hub.memberships()
        await eventually(lambda: not service.server.server_state.connections)
        socket.transport.abort()


async def test_pings_of_a_client_that_does_not_read_are_answered_once() -> None:
    async with AsyncExitStack() as stack:
        service = await served_service(stack)
        socket = await stack.enter_async_context(service.open(max_queue=1))
        await init(socket)
        await subscribe(socket)
        await receive(socket)
        [connection] = service.server.server_state.connections
        socket.transport.pause_reading()
        for _ in range(400):
            service.commit(payload=json.dumps("x" * 50_000))
            await asyncio.sleep(0)
        await eventually(lambda: connection.full)

        before = connection.transport.get_write_buffer_size()
        pongs = [await socket.ping(str(number)) for number in range(2_000)]
        await asyncio.sleep(0.2)
        # The server's own pings of that time, 6 bytes each; two thousand pongs would be 10 kB.
        assert connection.transport.get_write_buffer_size() - before < 100
        socket.transport.resume_reading()
        for seq in range(1, 401):
            assert (await receive(socket))["payload"]["data"]["changes"]["seq"] == seq
        await asyncio.wait_for(pongs[-1], 5)


async def test_sockets_are_bounded_for_the_process_and_for_each_user() -> None:
    async with AsyncExitStack() as stack:
        service = await served_service(stack, limits=Limits(sockets=3, sockets_a_user=2))
        service.viewers["other"] = viewer()
        first = await stack.enter_async_context(service.open())
        await init(first)
        second = await stack.enter_async_context(service.open())
        await init(second)

        third = await stack.enter_async_context(service.open())
        await send(third, type="connection_init", payload={"token": "good"})
        assert await closed(third) == (4429, "Too many sockets of this user")
        await eventually(lambda: len(service.sockets) == 2)
        fourth = await stack.enter_async_context(service.open())
        await init(fourth, "other")
        fifth = await stack.enter_async_context(service.open())
        assert await closed(fifth) == (1013, "Try again later")

        await first.close()
        await eventually(lambda: len(service.sockets) == 2)
        sixth = await stack.enter_async_context(service.open())
        await init(sixth)


@pytest.mark.parametrize("_case, message", [("silent", ""), ("pinging", '{"type":"ping"}')])
async def test_a_socket_without_a_token_does_not_stay_idle(
    service: Service, _case: str, message: str
) -> None:
    async with service.open() as anonymous, service.open() as member:
        await init(member)
        await send(anonymous, type="connection_init")
        await receive(anonymous)
        began = time.monotonic()
        await subscribe(anonymous, "1", "slow")
        await asyncio.sleep(LIMITS.anonymous_idle_s + 0.2)
        # What it waits for keeps it open, and the time counts from its end.
        service.opening.set()
        assert (await receive(anonymous))["id"] == "1"
        ended = time.monotonic()
        while anonymous.close_code is None and time.monotonic() - ended < 3:
            with suppress(ConnectionClosed):
                await anonymous.send(message) if message else None
                await asyncio.sleep(0.05)
        assert (anonymous.close_code, anonymous.close_reason) == (4408, "Idle without a token")
        assert LIMITS.anonymous_idle_s - 0.1 < time.monotonic() - ended < 2
        assert time.monotonic() - began > 2 * LIMITS.anonymous_idle_s
        await send(member, type="ping")
        assert await receive(member) == {"type": "pong"}


async def test_those_without_a_token_have_a_share_and_leave_room_for_others() -> None:
    async with AsyncExitStack() as stack:
        service = await served_service(stack, limits=Limits(sockets=30))
        share = Limits(sockets=30).anonymous
        strangers = [await stack.enter_async_context(service.open()) for _ in range(share)]
        # Before anybody has said who they are, an address has no more than the share.
        async with service.open() as refused:
            assert await closed(refused) == (1013, "Try again later")
        for socket in strangers[1:]:
            await send(socket, type="connection_init")
            await receive(socket)
        await init(strangers[0])
        late = await stack.enter_async_context(service.open())
        await init(late)
        last = await stack.enter_async_context(service.open())
        await send(last, type="connection_init")
        await receive(last)
        async with service.open() as refused:
            assert await closed(refused) == (1013, "Try again later")

        await last.close()
        await eventually(lambda: len(service.sockets) == share + 1)
        again = await stack.enter_async_context(service.open())
        await init(again)


async def test_the_share_of_those_without_a_token_is_one_for_all_addresses() -> None:
    class Nobody:
        def shut(self, code: int, reason: str) -> None:
            raise AssertionError(code)

    log = MemoryLog()
    sockets = Sockets(Hub(log=log, access=log, events=ManualEvents(log)), Limits(sockets=20))
    crowd = [Nobody() for _ in range(3)]
    for number, one in enumerate(crowd):
        assert sockets.refusal(f"192.0.2.{number}") is None
        sockets.enter(one, f"192.0.2.{number}")

    assert [sockets.stay_unknown(one) for one in crowd] == [None, None, FULL]
    sockets.leave(crowd[0])
    assert sockets.stay_unknown(crowd[2]) is None
    for one in crowd:
        sockets.leave(one)
    assert len(sockets) == 0
