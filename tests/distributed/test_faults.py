"""Whatever dies, hangs or repeats itself: nothing is lost, doubled or out of order.

Rounds of seeded faults run while clients write and read; after each, a scanner looks at everything.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from carillon.redrive import redriven
from carillon.settings import Settings
from cluster.broker import Kafka
from cluster.proxy import Proxy
from cluster.system import System, Wanted
from domain.inbox import Inbox
from domain.outbox import Topic
from infra.letters import opened
from tests.api import Person
from tests.distributed import scanner
from tests.distributed.faults import Injector
from tests.distributed.recorder import NAME, TABLES, record
from tests.distributed.traffic import Reader, Writer
from workers.consumer import Consumer
from workers.routes import API, DEAD_LETTERS, RECURRENCE, RELAY

RECORDER = [sys.executable, "-m", "tests.distributed.recorder"]
ROOT = Path(__file__).parents[2]
SEED = 20261124
ROUNDS = 6
FAULTS_A_ROUND = 35
# Rounds in which each writer makes one change that the recorder fails at, until it is mended.
POISONED_ROUNDS = {1, 4}
# A sidecar gives up within a minute.
OUTAGE_MAX_S = 120.0
WORKSPACES = 3
WRITERS = 6
READERS = 6
CONSUMERS = ["topic:task-events", "topic:audit-logs", NAME]
WORKERS_DATABASE = "worker to database"


@dataclass
class World:
    """The running system, and the doors through which its parts reach each other.

    `redriven` are changes that were parked and run again.
    """

    system: System
    kafka: Kafka
    proxies: dict[str, Proxy]
    connection: asyncpg.Connection
    database_url: str
    redriven: set[tuple[UUID, int]] = field(default_factory=set)

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
        broker, doors = await _broker(stack, tmp_path)
        for name in ("database", WORKERS_DATABASE):
            doors[name] = await stack.enter_async_context(Proxy(_socket_of(url)))
        workers_url = _through(url, doors[WORKERS_DATABASE].port)
        system = System(
            tmp_path / "system",
            [
                *(Wanted.of(API, number) for number in (1, 2)),
                *(Wanted.of(RELAY, number) for number in (1, 2)),
                Wanted(
                    name="recorder-1",
                    app=RECURRENCE,
                    command=RECORDER,
                    settings={
                        "PYTHONPATH": str(ROOT),
                        "CARILLON_DATABASE_URL": workers_url,
                        "CARILLON_DATABASE_DIRECT_URL": workers_url,
                    },
                ),
            ],
            database_url=_through(url, doors["database"].port),
            kafka_servers=f"127.0.0.1:{doors['replicas to kafka'].port}",
            sidecar_kafka_servers=f"127.0.0.1:{doors['sidecars to kafka'].port}",
        )
        stack.push_async_callback(system.stop)
        await system.start()
        watching = asyncio.create_task(system.watch())
        yield World(system, broker, doors, connection, url)
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


async def test_nothing_is_lost_doubled_or_out_of_order_under_two_hundred_faults_and_an_outage(
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
            for number in range(ROUNDS):
                await _round(world, injector, writers, is_poisoned=number in POISONED_ROUNDS)
            await _outage(world, everywhere[0], writers[0])
            for person in people:
                total[person.workspace] = await world.connection.fetchval(
                    "SELECT head FROM workspace WHERE id = $1", person.workspace
                )

    assert injector.done.total() >= 200
    assert {kind.split()[0] for kind in injector.done} >= {
        *("kill", "ask", "cut", "slow", "refuse", "lose", "deliver", "publish")
    }
    for number, reader in enumerate(readers):
        head = total[people[number % WORKSPACES].workspace]
        assert reader.seen == list(range(1, head + 1))
    made = sum(len(writer.made) for writer in writers)
    assert await world.connection.fetchval("SELECT count(*) FROM task") == made
    await _require_explained_dead_letters(world, injector)


async def _round(
    world: World, injector: Injector, writers: list[Writer], *, is_poisoned: bool
) -> None:
    """Faults while clients write; then everything comes to rest, and the scanner looks."""
    if is_poisoned:
        await world.connection.execute("INSERT INTO poison VALUES (true)")
        for writer in writers:
            writer.poisoned = 1
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as writing:
        for writer in writers:
            writing.create_task(writer.run(stop))
        for kind in injector.draw(FAULTS_A_ROUND):
            await injector.inject(kind)
            await asyncio.sleep(0.1)
        stop.set()
    await _require_all_well(world)
    parked = await scanner.parked(world.connection)
    assert set(parked.values()) <= {"RuntimeError: poison"}
    assert len(parked) == (len(writers) if is_poisoned else 0)
    if is_poisoned:
        await world.connection.execute("DELETE FROM poison")
        world.redriven |= parked.keys()
        settings = Settings(database_url=SecretStr(world.database_url))
        assert await redriven(settings, _consumers) == 0
        assert await scanner.parked(world.connection) == {}
        await scanner.require_applied_once(world.connection, world.redriven)


async def _outage(world: World, people: list[Person], writer: Writer) -> None:
    """The worker's database is away until its sidecar has given up on the last change of all."""
    await world.system.ready()
    await world.proxies[WORKERS_DATABASE].refuse()
    written = len(writer.made)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as writing:
        writing.create_task(writer.run(stop))
        while len(writer.made) == written:
            await asyncio.sleep(0.01)
        stop.set()
    last = (UUID(people[0].workspace), writer.made[-1])
    async with asyncio.timeout(OUTAGE_MAX_S):
        while last not in await _given_up(world):
            await asyncio.sleep(1)
    await world.proxies[WORKERS_DATABASE].restore()
    await _require_all_well(world)
    assert await scanner.parked(world.connection) == {}


def _consumers(inbox: Inbox) -> Mapping[str, Consumer]:
    return {NAME: Consumer(NAME, handler=record, inbox=inbox)}


async def _require_all_well(world: World) -> None:
    """Waits until everybody has had everything, and looks whether once and in order."""
    await scanner.rest(world.connection, CONSUMERS)
    await scanner.require_sound_log(world.connection)
    await scanner.require_applied_once(world.connection, world.redriven)
    for topic in (Topic.TASK_EVENTS, Topic.AUDIT_LOGS):
        seen = await scanner.published(world.kafka.servers, topic)
        for stream, head in (await scanner.heads(world.connection)).items():
            assert seen[stream] == set(range(1, head + 1)), (topic, stream)


async def _require_explained_dead_letters(world: World, injector: Injector) -> None:
    """Each dead letter is junk that was published, and says what is wrong with it.

    Or it is a change on which the sidecar gave up while no worker took it: the log has it, and the
    scanner has seen it applied.
    """
    ids = set()
    for ours in filter(None, map(opened, await _letters(world))):
        assert ours.reason == "The event has no stream, seq and schemaversion."
        ids.add(json.loads(ours.body)["id"])
    # Junk that the sidecar gave up on while no worker took it is no letter of ours.
    ids |= {json.loads(letter)["id"] for letter in await _letters(world) if b"junk-" in letter}
    heads = await scanner.heads(world.connection)
    assert all(seq <= heads[stream] for stream, seq in await _given_up(world))
    assert ids == {f"junk-{number}" for number in range(1, injector.junk + 1)}


async def _given_up(world: World) -> set[tuple[UUID, int]]:
    """Returns the changes that the worker's sidecar put among the dead letters."""
    events = [json.loads(one) for one in await _letters(world) if opened(one) is None]
    return {(UUID(event["stream"]), int(event["seq"])) for event in events if "stream" in event}


async def _letters(world: World) -> list[bytes]:
    assert RECURRENCE.dead_letters is not None
    return await scanner.bodies(world.kafka.servers, RECURRENCE.dead_letters)
