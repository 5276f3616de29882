"""Calls to addresses that users gave, over real connections: where they go, and when they end."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from infra import outbound as module
from infra.outbound import BODY_MAX_BYTES, Answer, NotAllowed, Outbound
from tests import tls

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\nok"
Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Remote:
    """A server that says what it was told to, and keeps what it heard."""

    port: int = 0
    connections: int = 0
    heard: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)

    async def take(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply
    ) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.heard.append(head + await reader.readexactly(length))
                await reply(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


def says(answer: bytes) -> Reply:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return reply


@asynccontextmanager
async def remote(
    reply: Reply, *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> AsyncIterator[Remote]:
    found = Remote()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await found.take(reader, writer, reply)

    if context is not None:
        context.sni_callback = lambda _socket, name, _context: found.names.append(name)
    server = await asyncio.start_server(connected, host, 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Names:
    """A resolver that answers one thing after the other, and the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def post(outbound: Outbound, url: str) -> Answer:
    return await outbound.post(url, headers={"TTL": "60"}, content=b"ring")


async def test_a_call_goes_to_the_checked_address_under_the_name_that_was_given() -> None:
    names = Names(["127.0.0.2"])
    context = tls.server("push.example")
    async with (
        remote(says(OK), host="127.0.0.2", context=context) as server,
        Outbound(resolve=names, loopback=True, tls=tls.client()) as outbound,
    ):
        answer = await post(outbound, f"https://push.example:{server.port}/a?b=c")
        again = await post(outbound, f"https://push.example:{server.port}/d")

    assert (answer.status, answer.body, answer.headers["retry-after"]) == (200, b"ok", "7")
    assert server.heard[0].startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert b"Host: push.example:%d\r\n" % server.port in server.heard[0]
    assert b"TTL: 60\r\n" in server.heard[0]
    assert server.heard[0].endswith(b"\r\n\r\nring")
    assert again.status == 200
    # One connection, one look-up: what was checked is what is called.
    assert (server.connections, server.names, names.asked) == (
        1,
        ["push.example"],
        ["push.example"],
    )


async def test_a_name_that_turns_inside_after_its_check_is_not_called() -> None:
    async with remote(says(OK)) as server:
        names = Names(["203.0.114.1"], ["127.0.0.1"])
        async with Outbound(resolve=names) as outbound:
            url = await outbound.check("https://push.example/")
            with pytest.raises(NotAllowed):
                await post(outbound, url)

    assert names.asked == ["push.example"] * 2
    assert server.connections == 0


async def test_nothing_is_sent_to_a_name_that_is_half_inside() -> None:
    async with (
        remote(says(OK), context=tls.server("push.example")) as server,
        Outbound(resolve=Names(["127.0.0.1", "10.0.0.1"]), loopback=True) as outbound,
    ):
        with pytest.raises(NotAllowed):
            await post(outbound, f"https://push.example:{server.port}/")

    assert server.connections == 0


async def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    names = Names(["127.0.0.3", "127.0.0.1"])
    async with (
        remote(says(OK), context=tls.server("push.example")) as server,
        Outbound(resolve=names, loopback=True, tls=tls.client()) as outbound,
    ):
        assert (await post(outbound, f"https://push.example:{server.port}/")).status == 200


async def test_a_certificate_of_another_name_is_refused_before_anything_is_said() -> None:
    async with (
        remote(says(OK), context=tls.server("other.example")) as server,
        Outbound(resolve=Names(["127.0.0.1"]), loopback=True, tls=tls.client()) as outbound,
    ):
        with pytest.raises(ConnectionError, match="certificate"):
            await post(outbound, f"https://push.example:{server.port}/")

    assert server.heard == []


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with remote(says(OK)) as inside:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{inside.port}/\r\n"
        async with (
            remote(says(moved.encode() + b"Content-Length: 0\r\n\r\n")) as server,
            Outbound(loopback=True) as outbound,
        ):
            answer = await post(outbound, f"http://127.0.0.1:{server.port}/")

    assert answer.status == 307
    assert inside.connections == 0


async def test_a_huge_answer_is_cut_and_its_connection_closed() -> None:
    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with remote(pour) as server, Outbound(loopback=True) as outbound:
        answer = await post(outbound, f"http://127.0.0.1:{server.port}/")
        await post(outbound, f"http://127.0.0.1:{server.port}/")

    assert answer.body == b"x" * BODY_MAX_BYTES
    assert server.connections == 2


async def test_headers_without_an_end_are_an_error() -> None:
    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x: " + b"y" * 65_536 + b"\r\n")
            await writer.drain()

    async with remote(pour) as server, Outbound(loopback=True) as outbound:
        with pytest.raises(ConnectionError):
            await post(outbound, f"http://127.0.0.1:{server.port}/")


@pytest.mark.parametrize(
    "_case,first",
    [
        ("nothing", b""),
        ("half a header", b"HTTP/1.1 200 OK\r\nA: "),
        ("half a body", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nab"),
        ("only promises", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
)
async def test_an_answer_that_drips_ends_in_time(
    _case: str, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Shorter, or the suite waits for each: the constant is the only thing that differs.
    monkeypatch.setattr(module, "TOTAL_WAIT_S", 0.3)

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" if b"102" in first else first[-1:])
            await asyncio.sleep(0.05)

    async with remote(drip) as server, Outbound(loopback=True) as outbound:
        with pytest.raises(TimeoutError, match="did not answer in time"):
            await post(outbound, f"http://127.0.0.1:{server.port}/")


@pytest.mark.parametrize(
    "_case,answer", [("nothing", b""), ("no HTTP", b"220 mail.example ESMTP\r\n\r\n")]
)
async def test_what_speaks_no_http_is_an_error(_case: str, answer: bytes) -> None:
    async def once(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with remote(once) as server, Outbound(loopback=True) as outbound:
        with pytest.raises(ConnectionError):
            await post(outbound, f"http://127.0.0.1:{server.port}/")


async def test_where_nobody_listens_is_an_error() -> None:
    async with remote(says(OK)) as server:
        pass
    async with Outbound(loopback=True) as outbound:
        with pytest.raises(ConnectionError):
            await post(outbound, f"http://127.0.0.1:{server.port}/")


async def test_the_system_s_own_names_are_checked_too() -> None:
    async with Outbound() as outbound:
        with pytest.raises(NotAllowed):
            await post(outbound, "https://localhost/")
