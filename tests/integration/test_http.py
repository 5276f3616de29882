"""The HTTP protocol over real sockets: whatever a client draws out comes to an end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect

from infra.http import Http, HttpLimits
from infra.wire import Wire
from resolvers.sender import Receive, Scope, Send
from tests.live import eventually, port_of, served

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
# Beyond what the buffers of two kernels hold, and below.
LARGE = b"x" * 20_000_000
SMALL = b"x" * 100_000
LIMITS = HttpLimits(
    head_max_bytes=2_000,
    headers_max=10,
    head_wait_s=0.3,
    body_wait_s=0.6,
    pipeline_max=3,
    stall_s=0.3,
    stall_min_bytes=50_000,
    linger_s=0.3,
)


class Quick(Http):
    limits = LIMITS


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the size of the body; /large and /small with much, /early before the body comes.

    /never does not answer, and ends when its client is gone.
    """
    path = scope["path"]
    size, more = 0, path != "/early"
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    if path == "/never":
        await receive()
        return
    body = {"/large": LARGE, "/small": SMALL}.get(path, b"%d" % size)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Any]:
    async with served(echo, http=Quick, timeout_keep_alive=1, **options) as server:
        yield server


@pytest.fixture
async def server() -> AsyncIterator[Any]:
    async with serving() as server:
        yield server
        await eventually(lambda: not server.server_state.connections)
        await eventually(lambda: not server.server_state.tasks)


class Client:
    """A bare TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> tuple[int, bytes]:
        """Returns the next response's status and body."""
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return int(head.split()[1]), await self.reader.readexactly(size)

    async def is_closed(self, within_s: float = 2.0) -> bool:
        """Tells whether the server ends the connection without another word."""
        try:
            async with asyncio.timeout(within_s):
                return await self.reader.read() == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    async def trickle(self, piece: bytes) -> float:
        """Sends a piece over and over; returns after how many seconds the server had enough."""
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(5):
                while not self.reader.at_eof():
                    self.writer.write(piece)
                    await self.writer.drain()
                    await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        return asyncio.get_running_loop().time() - began


@asynccontextmanager
async def client(server: Any) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def test_good_clients_notice_nothing(server: Any) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    async with client(server) as one:
        for _ in range(3):
            one.writer.write(GET)
            assert await one.answer() == (200, b"0")
        one.writer.write(GET * 3)
        assert [await one.answer() for _ in range(3)] == [(200, b"0")] * 3
        # A body larger than a head may be, in one piece with its head, and in several.
        one.writer.write(head % 50_000 + b"x" * 50_000)
        assert await one.answer() == (200, b"50000")
        one.writer.write(head % 30_000)
        for _ in range(3):
            await asyncio.sleep(0.1)
            one.writer.write(b"x" * 10_000)
        assert await one.answer() == (200, b"30000")
        await asyncio.sleep(LIMITS.head_wait_s + 0.1)
        one.writer.write(GET)
        assert await one.answer() == (200, b"0")
        # Longer than the wait for a request: the answer takes its time.
        one.writer.write(GET.replace(b"/ ", b"/never "))
        assert not await one.is_closed(within_s=LIMITS.body_wait_s + 0.3)


@pytest.mark.parametrize(
    "_case, head",
    [
        ("one header", b"GET / HTTP/1.1\r\nX: " + b"a" * 2_000 + b"\r\n\r\n"),
        ("many headers", b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 11 + b"\r\n"),
        ("an address", b"GET /" + b"a" * 2_000 + b" HTTP/1.1\r\n\r\n"),
        (
            "with its body",
            b"POST / HTTP/1.1\r\nContent-Length: 9\r\nX: " + b"a" * 2_000 + b"\r\n\r\nx",
        ),
        ("one without end", b"GET / HTTP/1.1\r\nX: " + b"a" * 3_000),
        ("many without end", b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 12),
        ("line breaks", b"\r\n" * 2_000),
    ],
)
@pytest.mark.parametrize("before", [b"", GET])
async def test_a_head_that_is_too_large_is_refused(
    server: Any, _case: str, head: bytes, before: bytes
) -> None:
    async with client(server) as one:
        if before:
            one.writer.write(before)
            assert await one.answer() == (200, b"0")
        one.writer.write(head)

        assert (await one.answer())[0] == 431
        assert await one.is_closed(within_s=4)


async def test_a_header_without_end_is_not_kept(server: Any) -> None:
    async with client(server) as one:
        one.writer.write(b"GET / HTTP/1.1\r\nX: ")
        sent = 0
        try:
            async with asyncio.timeout(5):
                while True:
                    one.writer.write(b"a" * 100_000)
                    await one.writer.drain()
                    sent += 100_000
        except ConnectionError:
            pass
    assert sent > 0


@pytest.mark.parametrize(
    "_case, first, limit_s",
    [
        ("nothing", b"", LIMITS.head_wait_s),
        ("half a head", b"GET / HTTP/1.1\r\nHost: x\r\n", LIMITS.head_wait_s),
        ("half a body", b"POST /early HTTP/1.1\r\nContent-Length: 9\r\n\r\nx", LIMITS.body_wait_s),
        ("no body", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", LIMITS.body_wait_s),
        ("a request, and half of one", GET + GET[:5], LIMITS.head_wait_s),
        ("a request, and line breaks", GET + b"\r\n", 1.0),
        ("a request", GET, 1.0),
    ],
)
async def test_who_says_nothing_more_is_cut_off(
    server: Any, _case: str, first: bytes, limit_s: float
) -> None:
    loop = asyncio.get_running_loop()
    async with client(server) as one:
        one.writer.write(first)
        began = loop.time()
        answers = b""
        try:
            async with asyncio.timeout(4):
                answers = await one.reader.read()
        except ConnectionResetError:
            pass
        took = loop.time() - began

    assert limit_s - 0.1 < took < limit_s + 1.0
    assert answers.count(b"HTTP/1.1 200") <= 1


@pytest.mark.parametrize(
    "first, piece, limit_s",
    [
        (b"GET / HTTP/1.1\r\n", b"X: 1\r\n", 1.0),
        (b"GET / HTTP/1.1\r\nX: ", b"a", 1.0),
        (b"", b"\r\n", 1.0),
        (b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", b"x", 1.5),
        (b"POST /early HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", b"x", 1.5),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 1.5),
        (GET, b"\r\n", 1.0),
    ],
)
async def test_who_trickles_is_cut_off_too(
    server: Any, first: bytes, piece: bytes, limit_s: float
) -> None:
    async with client(server) as one:
        one.writer.write(first)
        if first == GET:
            await one.answer()

        assert await one.trickle(piece) < limit_s


async def test_a_request_learns_that_its_client_left_also_behind_another(server: Any) -> None:
    async with client(server) as one:
        one.writer.write(GET.replace(b"/ ", b"/never ") + GET)
        await eventually(lambda: len(server.server_state.tasks) == 1)

    await eventually(lambda: not server.server_state.tasks)


async def test_a_crowd_of_pipelined_requests_is_cut_off(server: Any) -> None:
    async with client(server) as one:
        one.writer.write(GET.replace(b"/ ", b"/never ") + GET * 10)

        assert await one.is_closed()


@pytest.mark.parametrize("path", [b"/large", b"/small"])
@pytest.mark.parametrize("header", [b"", b"Connection: close\r\n"])
async def test_who_does_not_read_an_answer_is_cut_off(
    server: Any, path: bytes, header: bytes
) -> None:
    """Large answers fill the buffers before they are complete; small ones after many of them."""
    count = 1 if path == b"/large" else 60
    async with client(server) as deaf:
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(count):
            deaf.writer.write(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, header if count == 1 else b""))
            await asyncio.sleep(0.01)

        await eventually(lambda: not server.server_state.connections)


async def test_who_reads_slowly_gets_it_all(server: Any) -> None:
    async with client(server) as slow:
        slow.writer.write(GET.replace(b"/ ", b"/large "))
        got = 0
        async with asyncio.timeout(20):
            await slow.reader.readuntil(b"\r\n\r\n")
            while got < len(LARGE):
                got += len(await slow.reader.read(200_000))
                await asyncio.sleep(0.02)

    assert got == len(LARGE)


async def test_a_socket_is_not_cut_off_like_a_request_that_does_not_get_on() -> None:
    async def quiet(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": "heard"})

    async with (
        served(quiet, http=Quick, ws=Wire) as server,
        connect(f"ws://127.0.0.1:{port_of(server)}/") as socket,
    ):
        await asyncio.sleep(LIMITS.head_wait_s + LIMITS.body_wait_s)
        await socket.send("still there?")
        assert await socket.recv() == "heard"


async def test_connections_are_bounded_and_one_that_ends_makes_room() -> None:
    async with serving(limit_concurrency=2) as server, client(server) as first:
        first.writer.write(GET)
        await first.answer()
        async with client(server) as second, client(server) as third:
            second.writer.write(GET)
            assert await second.answer() == (200, b"0")
            assert await third.is_closed(within_s=0.2)
            first.writer.write(GET)
            assert await first.answer() == (200, b"0")
        await eventually(lambda: len(server.server_state.connections) == 1)
        async with client(server) as fourth:
            fourth.writer.write(GET)
            assert await fourth.answer() == (200, b"0")
