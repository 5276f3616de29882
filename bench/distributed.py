"""The distributed profile: from commit to a subscriber of another replica, the relay, recoveries.

Everything on this machine: clients, PostgreSQL, a small Kafka, a daprd beside each process. The
recorder of the tests stands in a worker's place.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx

from cluster.broker import Kafka
from cluster.system import System, Wanted
from domain.outbox import Topic
from infra.postgres.embedded import embedded_postgres
from infra.postgres.migrate import upgrade
from tests.api import Person
from tests.distributed.recorder import TABLES
from workers.routes import API, APPS, RECURRENCE, RELAY

CHANGES_PER_S = 200
SECONDS = 10
BACKLOG = 20_000
WORKSPACES = 50
FOLLOW = """
subscription ($workspaceId: ID!, $after: Sequence) {
  changes(workspaceId: $workspaceId, after: $after) { __typename seq ... on Change { at } }
}"""
RECORDER = [sys.executable, "-m", "tests.distributed.recorder"]
ROOT = Path(__file__).parents[1]
# A payload of the size of a small task's.
_PENDING = """
WITH w AS (UPDATE workspace SET head = head + $2 WHERE id = $1 RETURNING head)
INSERT INTO change (stream, seq, id, kind, at, subject, fields, before, payload, hash)
SELECT $1, w.head - $2 + i, gen_random_uuid(), 'task.updated', now()::text, $1, '{title}',
       '{"title":"Buy milk"}', json_build_object('title', repeat('x', 500))::text, ''
FROM w, generate_series(1, $2) AS i"""


async def main() -> None:
    """Prints the figures."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carillon-bench-")))
        os.chmod(folder, 0o711)  # noqa: S103 - for PostgreSQL's user, where we are root
        system, kafka, connection = await started(stack, folder)
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        person = await Person.sign_up(system.processes["api-1"].url, http)
        other = replace(person, url=system.processes["api-2"].url)
        await latency(person, other)
        await throughput(system, connection)
        await recoveries(system, kafka, connection, person)
        for name, part in sorted(system.parts.items()):
            print(f"memory of {name}: {resident_mib(part.pid):.0f} MiB")
        print(f"memory of kafka: {resident_mib(kafka.pid):.0f} MiB")


async def started(stack: AsyncExitStack, folder: Path) -> tuple[System, Kafka, asyncpg.Connection]:
    """Returns the running system."""
    settings = {"max_connections": "200"}
    url = await stack.enter_async_context(embedded_postgres(folder / "postgres", settings=settings))
    kafka = Kafka(folder / "kafka")
    stack.push_async_callback(kafka.stop)
    await kafka.start()
    letters = [app.dead_letters for app in APPS if app.dead_letters is not None]
    await kafka.create_topics(dict.fromkeys([*Topic, *letters], 12))
    await upgrade(url)
    connection = await asyncpg.connect(url)
    stack.push_async_callback(connection.close)
    await connection.execute(TABLES)
    recorder = Wanted(
        name="worker-1", app=RECURRENCE, command=RECORDER, settings={"PYTHONPATH": str(ROOT)}
    )
    wanted = [Wanted.of(API, 1), Wanted.of(API, 2), Wanted.of(RELAY), recorder]
    system = System(folder / "run", wanted, database_url=url, kafka_servers=kafka.servers)
    stack.push_async_callback(system.stop)
    await system.start()
    watching = asyncio.create_task(system.watch())
    stack.callback(watching.cancel)
    return system, kafka, connection


async def latency(person: Person, other: Person) -> None:
    """Prints percentiles from commit to a subscriber of the other replica."""
    total = CHANGES_PER_S * SECONDS
    lags: list[float] = []
    async with other.socket() as socket:
        messages = socket.follow(person.workspace, None, query=FOLLOW)
        assert (await anext(messages))["__typename"] == "CaughtUp"

        async def read() -> None:
            async for message in messages:
                now = datetime.now(UTC)
                lags.append(1_000 * (now - datetime.fromisoformat(message["at"])).total_seconds())
                if len(lags) == total:
                    return

        reading = asyncio.create_task(read())
        start = time.perf_counter()
        writes = []
        for number in range(total):
            await asyncio.sleep(max(0.0, start + number / CHANGES_PER_S - time.perf_counter()))
            writes.append(asyncio.create_task(person.create(f"Task {number}")))
        await asyncio.gather(*writes)
        took = time.perf_counter() - start
        await asyncio.wait_for(reading, 60)
    p50, p99 = (statistics.quantiles(lags, n=100)[at] for at in (49, 98))
    print(
        f"commit to a subscriber of another replica, {total / took:.0f} changes/s:"
        f" p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )


async def throughput(system: System, connection: asyncpg.Connection) -> None:
    """Prints how fast the relay publishes a backlog to both topics of workspaces."""
    # Nobody reads meanwhile: two cores are few for all of it at once.
    for name in ("relay-1", "worker-1", "worker-1.daprd"):
        await system.rest(name)
    streams = [
        await connection.fetchval(
            """INSERT INTO workspace (id, name, created_at, head, head_hash, floor_hash)
            VALUES (gen_random_uuid(), 'Home', now(), 0, '', '') RETURNING id"""
        )
        for _ in range(WORKSPACES)
    ]
    for stream in streams:
        await connection.execute(_PENDING, stream, BACKLOG // WORKSPACES)
    system.wake("relay-1")
    topics = {topic: f"topic:{topic}" for topic in (Topic.TASK_EVENTS, Topic.AUDIT_LOGS)}
    begun = time.perf_counter()
    while await done(connection, topics[Topic.TASK_EVENTS], streams) == 0:
        await asyncio.sleep(0.01)
        begun = time.perf_counter()
    for topic, consumer in topics.items():
        while await done(connection, consumer, streams) < BACKLOG:  # noqa: ASYNC110 - polls a table
            await asyncio.sleep(0.02)
        took = time.perf_counter() - begun
        print(f"relay, {topic} from a backlog: {BACKLOG / took:,.0f} changes/s (both at once)")
    for name in ("worker-1", "worker-1.daprd"):
        system.wake(name)
    begun = time.perf_counter()
    while await done(connection, "recorder", streams) < BACKLOG:  # noqa: ASYNC110 - polls a table
        await asyncio.sleep(0.1)
    print(f"worker, from its topic: {BACKLOG / (time.perf_counter() - begun):,.0f} changes/s")


async def done(connection: asyncpg.Connection, consumer: str, streams: list[UUID]) -> int:
    """Returns how many changes of the streams the consumer has had."""
    count: int = await connection.fetchval(
        "SELECT coalesce(sum(seq), 0)::int FROM position WHERE consumer = $1 AND stream = ANY($2)",
        consumer,
        streams,
    )
    return count


async def recoveries(
    system: System, kafka: Kafka, connection: asyncpg.Connection, person: Person
) -> None:
    """Prints how long after each kind of fault a change made right then has been applied."""

    async def restart_kafka() -> None:
        await kafka.kill()
        await kafka.start()

    async def lose_database() -> None:
        await connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        )

    faults: dict[str, Callable[[], Awaitable[None]]] = {
        name: system.parts[name].kill
        for name in ("relay-1", "relay-1.daprd", "worker-1", "worker-1.daprd")
    }
    faults |= {"kafka": restart_kafka, "every database connection": lose_database}
    for name, fault in faults.items():
        await applied(connection, person.workspace)
        await fault()
        begun = time.perf_counter()
        while True:
            try:
                await person.create("after the fault")
                break
            except (httpx.TransportError, AssertionError):
                await asyncio.sleep(0.05)
        await applied(connection, person.workspace)
        print(f"recovery after the death of {name}: {time.perf_counter() - begun:.1f} s")


async def applied(connection: asyncpg.Connection, workspace: str) -> None:
    """Waits until the worker has applied all changes of the workspace."""
    statement = """
        SELECT w.head = coalesce((SELECT seq FROM position
            WHERE consumer = 'recorder' AND stream = w.id), 0) FROM workspace w WHERE id = $1"""
    async with asyncio.timeout(120):
        while not await connection.fetchval(statement, workspace):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)


def resident_mib(pid: int) -> float:
    """Returns the process's resident memory."""
    for row in Path(f"/proc/{pid}/status").read_text().splitlines():
        if row.startswith("VmRSS:"):
            return int(row.split()[1]) / 1_024
    raise LookupError(pid)


if __name__ == "__main__":
    asyncio.run(main())
