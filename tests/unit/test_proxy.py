"""The proxy for faults, between real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.proxy import Proxy


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
    writer.close()


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def proxy(echo_port: int) -> AsyncIterator[Proxy]:
    async with Proxy(echo_port) as proxy:
        yield proxy


class Client:
    """A connection through the proxy, closed with its test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def says(self, words: bytes) -> bytes:
        self.writer.write(words)
        return await self.reader.readexactly(len(words))


async def connected(proxy: Proxy) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", proxy.port))


async def test_bytes_pass_unchanged_in_both_directions(proxy: Proxy) -> None:
    client = await connected(proxy)
    words = bytes(range(256)) * 4_000

    assert await client.says(words) == words

    client.writer.write_eof()
    assert await client.reader.read() == b""
    client.writer.close()


async def test_it_leads_to_a_unix_socket_as_well(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with await asyncio.start_unix_server(echo, path), Proxy(path) as proxy:
        client = await connected(proxy)

        assert await client.says(b"hello") == b"hello"

        client.writer.close()


async def test_a_cut_resets_what_is_open_and_lets_in_what_comes(proxy: Proxy) -> None:
    client = await connected(proxy)
    await client.says(b"hello")
    assert proxy.connections == 1

    await proxy.cut()

    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await client.says(b"hello")
    client.writer.close()
    again = await connected(proxy)
    assert await again.says(b"again") == b"again"
    again.writer.close()


async def test_refusing_ends_with_restore_on_the_same_port(proxy: Proxy) -> None:
    client = await connected(proxy)
    await client.says(b"hello")
    port = proxy.port

    await proxy.refuse()

    with pytest.raises(ConnectionRefusedError):
        await connected(proxy)
    client.writer.close()
    await proxy.restore()
    assert proxy.port == port
    again = await connected(proxy)
    assert await again.says(b"again") == b"again"
    again.writer.close()


async def test_a_stall_closes_nothing_and_loses_nothing(proxy: Proxy) -> None:
    client = await connected(proxy)
    await client.says(b"hello")

    proxy.stall()
    client.writer.write(b"stalled")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.reader.read(1)

    await proxy.restore()
    assert await client.reader.readexactly(7) == b"stalled"
    client.writer.close()


async def test_slow_holds_up_both_directions(proxy: Proxy) -> None:
    client = await connected(proxy)
    proxy.slow(0.1)

    begun = time.monotonic()
    await client.says(b"hello")

    assert time.monotonic() - begun >= 0.2
    client.writer.close()


async def test_a_target_that_is_away_resets_the_client(unused_tcp_port: int) -> None:
    async with Proxy(unused_tcp_port) as proxy:
        client = await connected(proxy)

        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.says(b"hello")

        client.writer.close()
