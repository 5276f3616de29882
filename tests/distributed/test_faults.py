"""Whatever dies, hangs or repeats itself: nothing is lost, doubled or out of order.

Rounds of seeded faults run while clients write and read; after each, a scanner looks at everything.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest

from cluster.broker import Kafka
from cluster.proxy import Proxy
from cluster.system import System, Wanted
from domain.outbox import Topic
from infra.envelope import delivered
from infra.letters import opened
from tests.api import Person
from tests.distributed import scanner
from tests.distributed.faults import Injector
from tests.distributed.recorder import TABLES
from tests.distributed.traffic import Reader, Writer
from workers.routes import API, DEAD_LETTERS, RECURRENCE, RELAY

RECORDER = [sys.executable, "-m", "tests.distributed.recorder"]
ROOT = Path(__file__).parents[2]
SEED = 20261124
ROUNDS = 8
FAULTS_A_ROUND = 26
WORKSPACES = 3
WRITERS = 6
READERS = 6
CONSUMERS = ["topic:task-events", "topic:audit-logs", "recorder"]


@dataclass
class World:
    """The running system, and the doors through which its parts reach each other."""

    system: System
    kafka: Kafka
    proxies: dict[str, Proxy]
    connection: asyncpg.Connection

    def people(self, person: Person) -> list[Person]:
        """The same person at each replica."""
        urls = [one.url for name, one in self.system.processes.items() if name.startswith("api")]
        return [
            Person(
                url,
                person.token,
                person.refresh_token,
                person.user,
                person.workspace,
                person.email,
                person.http,
            )
            for url in urls
        ]


@pytest.fixture
async def world(
    fresh_database: Callable[[], AbstractAsyncContextManager[str]],
    tmp_path: Path,
    kafka: Kafka,  # noqa: ARG001 - skips where the parts are missing
) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(fresh_database())
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        await connection.execute(TABLES)
        database = await stack.enter_async_context(Proxy(_socket_of(url)))
        broker, doors = await _broker(stack, tmp_path)
        system = System(
            tmp_path / "system",
            [
                *(Wanted.of(API, number) for number in (1, 2)),
                *(Wanted.of(RELAY, number) for number in (1, 2)),
                Wanted(
                    name="recorder-1",
                    app=RECURRENCE,
                    command=RECORDER,
                    settings={"PYTHONPATH": str(ROOT)},
                ),
            ],
            database_url=_through(url, database.port),
            kafka_servers=f"127.0.0.1:{doors['replicas to kafka'].port}",
            sidecar_kafka_servers=f"127.0.0.1:{doors['sidecars to kafka'].port}",
        )
        stack.push_async_callback(system.stop)
        await system.start()
        watching = asyncio.create_task(system.watch())
        yield World(system, broker, {**doors, "database": database}, connection)
        watching.cancel()


async def _broker(stack: AsyncExitStack, folder: Path) -> tuple[Kafka, dict[str, Proxy]]:
    """Returns a Kafka of the test's own, and a door for each kind of client."""
    doors = {name: Proxy(0) for name in ("replicas to kafka", "sidecars to kafka")}
    for door in doors.values():
        await stack.enter_async_context(door)
    broker = Kafka(folder / "kafka", doors=[door.port for door in doors.values()])
    for door in doors.values():
        door.lead(broker.behind(door.port))
    stack.push_async_callback(broker.stop)
    await broker.start()
    await broker.create_topics(dict.fromkeys([*Topic, *DEAD_LETTERS], 12))
    return broker, doors


def _socket_of(url: str) -> Path:
    folder = parse_qs(urlsplit(url).query)["host"][0]
    return Path(folder) / ".s.PGSQL.5432"


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    return f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}?sslmode=disable"


async def test_nothing_is_lost_doubled_or_out_of_order_under_two_hundred_faults(
    world: World,
) -> None:
    random = Random(SEED)
    injector = Injector(random, world.system, world.kafka, world.proxies, world.connection)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=15, limits=limits) as http:
        url = world.system.processes["api-1"].url
        people = [await Person.sign_up(url, http) for _ in range(WORKSPACES)]
        everywhere = [world.people(person) for person in people]
        readers = [Reader(everywhere[n % WORKSPACES], Random(n)) for n in range(READERS)]
        writers = [Writer(everywhere[n % WORKSPACES], Random(n)) for n in range(WRITERS)]
        total: dict[str, int] = {}
        async with asyncio.timeout(1_500), asyncio.TaskGroup() as group:
            for number, reader in enumerate(readers):
                workspace = people[number % WORKSPACES].workspace
                group.create_task(reader.run(lambda of=workspace: total.get(of)))  # type: ignore[misc]
            for _ in range(ROUNDS):
                await _round(world, injector, writers)
            for person in people:
                total[person.workspace] = await world.connection.fetchval(
                    "SELECT head FROM workspace WHERE id = $1", person.workspace
                )

    assert injector.done.total() >= 200
    assert {kind.split()[0] for kind in injector.done} >= {"kill", "cut", "slow", "deliver", "lose"}
    for number, reader in enumerate(readers):
        head = total[people[number % WORKSPACES].workspace]
        assert reader.seen == list(range(1, head + 1))
    made = sum(len(writer.made) for writer in writers)
    assert await world.connection.fetchval("SELECT count(*) FROM task") == made
    await _require_explained_dead_letters(world, injector)


async def _round(world: World, injector: Injector, writers: list[Writer]) -> None:
    """Faults while clients write; then everything comes to rest, and the scanner looks."""
    stop = asyncio.Event()
    writing = asyncio.gather(*(writer.run(stop) for writer in writers))
    for kind in injector.draw(FAULTS_A_ROUND):
        await injector.inject(kind)
        await asyncio.sleep(0.1)
    stop.set()
    await writing
    await scanner.rest(world.connection, CONSUMERS)
    await scanner.require_sound_log(world.connection)
    await scanner.require_applied_once(world.connection)
    for topic in (Topic.TASK_EVENTS, Topic.AUDIT_LOGS):
        seen = await scanner.published(world.kafka.servers, topic)
        for stream, head in (await scanner.heads(world.connection)).items():
            assert seen[stream] == set(range(1, head + 1)), (topic, stream)


async def _require_explained_dead_letters(world: World, injector: Injector) -> None:
    """Each dead letter is junk that was published, and says what is wrong with it.

    Or it is a change on which the sidecar gave up while no worker took it: the log had it.
    """
    assert RECURRENCE.dead_letters is not None
    letters = await scanner.bodies(world.kafka.servers, RECURRENCE.dead_letters)
    ids = set()
    for letter in letters:
        if (ours := opened(letter)) is None:
            assert delivered(letter).change is not None
            continue
        assert ours.reason == "The event has no stream, seq and schemaversion."
        ids.add(json.loads(ours.body)["id"])
    assert ids == {f"junk-{number}" for number in range(1, injector.junk + 1)}
