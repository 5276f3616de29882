"""Whatever happens, each subscriber hears each change once and in order."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.access import Viewer
from domain.ids import WorkspaceId
from infra.postgres.tail import PostgresTail
from resolvers.hub import Hub
from resolvers.live import Subscription
from tests.live import MemoryLog, Reader, TextStream, eventually

READERS = 3
POLL_S = 0.01
# A page of such changes is several batches, and a reader is full after two.
PAYLOAD = '"' + "x" * 3_000 + '"'
ROOM = 2

readers = st.integers(0, READERS - 1)
steps = st.one_of(
    st.tuples(st.just("commit"), st.integers(1, 90)),
    st.tuples(st.just("commit unheard"), st.integers(1, 90)),
    st.tuples(st.just("pause"), readers),
    st.tuples(st.just("go on"), readers),
    st.tuples(st.just("reconnect"), readers),
    st.tuples(st.just("lag behind"), readers),
    st.tuples(st.just("restart the tail"), st.just(0)),
    st.tuples(st.just("restart the hub"), st.just(0)),
    st.tuples(st.just("outage"), st.just(0)),
    st.tuples(st.just("recovery"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(0, 12)),
)


@dataclass
class Client:
    """Comes back with the last seq it has, however its connection ended."""

    stream: TextStream
    reader: Reader
    subscription: Subscription
    heard: list[int]

    @property
    def last(self) -> int:
        return self.heard[-1] if self.heard else 0


class World:
    def __init__(self, waits: list[bool]) -> None:
        self.log = MemoryLog()
        self.log.turns = 11
        self.workspace: WorkspaceId = self.log.create()
        self.viewer: Viewer = self.log.join(self.workspace)
        self._boot()
        self.clients = [self._connect(slow, []) for slow in waits]

    def _boot(self) -> None:
        self.tail = PostgresTail(self.log, poll_s=POLL_S)
        self.hub = Hub(log=self.log, access=self.log, events=self.tail)
        self.running = asyncio.create_task(self.tail.run())

    def _connect(self, waits: bool, heard: list[int]) -> Client:
        stream = TextStream(self.workspace, group=str(waits), waits=waits)
        reader = Reader(ROOM)
        after = heard[-1] if heard else 0
        subscription = self.hub.subscribe(stream, self.viewer, reader, after=after)
        return Client(stream, reader, subscription, heard)

    def reconnect(self, index: int) -> None:
        client = self.clients[index]
        client.subscription.close()
        self.clients[index] = self._connect(client.stream.waits, self.collected(client))

    def collected(self, client: Client) -> list[int]:
        return client.heard + client.reader.seqs

    async def restart_tail(self) -> None:
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running
        self.running = asyncio.create_task(self.tail.run())

    async def restart_hub(self) -> None:
        await self.close()
        heard = [(client.stream.waits, self.collected(client)) for client in self.clients]
        self._boot()
        self.clients = [self._connect(waits, seqs) for waits, seqs in heard]

    async def close(self) -> None:
        await self.hub.stop()
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running

    async def do(self, step: str, value: int) -> None:
        client = self.clients[value % READERS]
        simple: dict[str, Callable[[], None]] = {
            "pause": client.reader.pause,
            "go on": client.reader.go_on,
            "lag behind": client.subscription.detour,
            "reconnect": lambda: self.reconnect(value),
            "outage": lambda: setattr(self.log, "down", True),
            "recovery": lambda: setattr(self.log, "down", False),
        }
        if step in simple:
            simple[step]()
        elif step == "restart the tail":
            await self.restart_tail()
        elif step == "restart the hub":
            await self.restart_hub()
        elif step == "wait":
            await asyncio.sleep(value / 1_000)
        else:
            for _ in range(value):
                seq = self.log.commit(self.workspace, payload=PAYLOAD)
                if step == "commit":
                    self.hub.committed(self.workspace, seq)
            await asyncio.sleep(0)


@settings(deadline=None, max_examples=60)
@given(
    schedule=st.lists(steps, max_size=40),
    waits=st.lists(st.booleans(), min_size=READERS, max_size=READERS),
)
def test_each_subscriber_hears_each_change_once_and_in_order(
    schedule: list[tuple[str, int]], waits: list[bool]
) -> None:
    asyncio.run(_run(schedule, waits))


async def _run(schedule: list[tuple[str, int]], waits: list[bool]) -> None:
    world = World(waits)
    for step, value in schedule:
        await world.do(step, value)
    world.log.down = False
    for client in world.clients:
        client.reader.go_on()
    head = world.log.head(world.workspace)

    await eventually(
        lambda: all(
            (world.collected(client) or [0])[-1] == head and client.reader.caught_up
            for client in world.clients
        ),
        within_s=15,
    )

    for client in world.clients:
        assert world.collected(client) == list(range(1, head + 1))
        assert len(client.reader.caught_up) == 1
        assert client.reader.errors == client.reader.resyncs == []
    await world.close()
