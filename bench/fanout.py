"""CPU of one delivered event, and memory of an idle socket, by the hub and by bare transports.

The server runs in a process of its own under uvloop, so that its CPU is its own. `raw` writes a
frame that was built beforehand to each transport: what the loop and the kernel take, and the least
any server could. Rounds of both ways alternate, and the least of each counts: noise only adds.
"""

import asyncio
import base64
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvloop

from domain.access import Viewer
from infra.wire import Wire
from resolvers.batches import text_frame
from resolvers.hub import Hub
from resolvers.origins import Origins
from resolvers.sockets import Limits, Sockets
from resolvers.streams import Opened
from resolvers.websocket import WebSocketEndpoint
from tests.live import ManualEvents, MemoryLog, TextStream, eventually, port_of, served

SOCKETS = (100, 1_000)
# About one task with its display fields.
PAYLOAD = json.dumps("x" * 800)
CHANGES_A_TICK = (1, 4, 16)
DELIVERIES = 20_000
ROUNDS = 5
PAUSE_S = 0.02


async def main() -> None:
    """Prints the figures."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8_192, 8_192))
    for sockets in SOCKETS:
        await measured(sockets)


async def measured(sockets: int) -> None:
    """Starts a server, connects to it, and prints what it says about itself."""
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.fanout",
        str(sockets),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    port = int(await server.stdout.readline())
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(sockets):
        client, _ = await loop.create_connection(Client, "127.0.0.1", port)
        clients.append(client)
    async for line in server.stdout:
        print(line.decode(), end="")
    for client in clients:
        client.close()
    await server.wait()


class Client(asyncio.Protocol):
    """Subscribes and reads whatever comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the websocket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._key = base64.b64encode(os.urandom(16)).decode()
        self._is_open = False
        transport.write(
            f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {self._key}\r\n"
            f"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Subscribes once it is open; reads on without looking."""
        if not self._is_open:
            self._is_open = True
            payload = {"query": "subscription"}
            self._transport.write(
                masked({"type": "connection_init", "payload": {"token": "t"}})
                + masked({"type": "subscribe", "id": self._key, "payload": payload})
            )

    def close(self) -> None:
        """Leaves."""
        self._transport.close()


def masked(message: Mapping[str, object]) -> bytes:
    """Returns a client's frame, its mask zero."""
    text = json.dumps(message).encode()
    assert len(text) < 126
    return bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text


class Bench:
    """The server's side."""

    def __init__(self, sockets: int) -> None:
        self.sockets = sockets
        self.log = MemoryLog()
        self.workspace = self.log.create()
        self.viewer = self.log.join(self.workspace)
        self.hub = Hub(log=self.log, access=self.log, events=ManualEvents(self.log))
        self.open = Sockets(self.hub, Limits(sockets_a_user=sockets))
        self.stream = TextStream(self.workspace)
        self.server: Any = None

    async def authenticate(self, token: str) -> Viewer:
        """Lets everybody in as the same user."""
        return self.viewer

    async def subscribe(self, viewer: Viewer | None, payload: Mapping[str, object]) -> Opened:
        """Opens the stream."""
        return self.stream

    async def run(self) -> None:
        """Serves, waits for the clients, measures, prints."""
        endpoint = WebSocketEndpoint(
            sockets=self.open,
            authenticate=self.authenticate,
            subscribe=self.subscribe,
            origins=Origins(()),
        )
        options = {"ws": Wire, "ws_ping_interval": None, "backlog": 2_048}
        async with served(endpoint, **options) as server:
            self.server = server
            before = resident_kib()
            print(port_of(server), flush=True)
            await eventually(lambda: len(self.stream.rendered) == self.sockets, within_s=60)
            await asyncio.sleep(0.5)
            idle = (resident_kib() - before) / self.sockets
            title = f"{self.sockets:5} sockets"
            print(f"{title}: idle {idle:.1f} KiB each", flush=True)
            for together in CHANGES_A_TICK:
                hub, raw = await self.both(together)
                print(
                    f"{title}, {together:2} changes a tick: hub {hub:.1f} us an event,"
                    f" raw {raw:.1f} us, ratio {hub / raw:.2f}",
                    flush=True,
                )
            await self.open.stop()

    async def both(self, together: int) -> tuple[float, float]:
        """Returns the least CPU of an event in microseconds: by the hub, and raw."""
        ways: list[Callable[[int], Awaitable[None]]] = [self.by_hub, self.raw]
        least = [float("inf"), float("inf")]
        ticks = max(1, DELIVERIES // (self.sockets * together))
        for _ in range(ROUNDS):
            for index, way in enumerate(ways):
                spent = 0.0
                for _ in range(ticks):
                    await asyncio.sleep(PAUSE_S)
                    began = time.process_time()
                    await way(together)
                    # uvloop writes at the end of a turn, or when the socket takes more.
                    await asyncio.sleep(0.001)
                    spent += time.process_time() - began
                events = ticks * together * self.sockets
                least[index] = min(least[index], 1e6 * spent / events)
        return least[0], least[1]

    async def by_hub(self, together: int) -> None:
        """Commits; one delivery of the event source is one write a socket."""
        for _ in range(together):
            self.log.commit(self.workspace, payload=PAYLOAD)
        self.hub.committed(self.workspace, self.log.head(self.workspace))

    async def raw(self, together: int) -> None:
        """Writes as many bytes, built beforehand, in as many writes."""
        frame = text_frame(b"x" * 930) * together
        for connection in self.server.server_state.connections:
            connection.transport.write(frame)


def resident_kib() -> int:
    """Returns this process's resident memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_024


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (8_192, 8_192))
    uvloop.run(Bench(int(sys.argv[1])).run())
