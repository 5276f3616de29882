"""The whole distributed profile: what one replica commits reaches every other part."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import pytest
import pytest_asyncio

from cluster.broker import Kafka
from cluster.system import System, Wanted
from domain.errors import Unavailable
from infra.dapr.invoker import DaprInvoker
from infra.dapr.sidecar import Sidecar
from tests.api import Person
from tests.distributed.recorder import TABLES
from workers.routes import API, INVOKE_PREFIX, RECURRENCE, RELAY

RECORDER = [sys.executable, "-m", "tests.distributed.recorder"]
ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture
async def system(
    kafka: Kafka,
    fresh_database: Callable[[], AbstractAsyncContextManager[str]],
    tmp_path: Path,
) -> AsyncIterator[System]:
    async with fresh_database() as url:
        connection = await asyncpg.connect(url)
        await connection.execute(TABLES)
        await connection.close()
        recorder = Wanted(
            name="recorder-1",
            app=RECURRENCE,
            command=RECORDER,
            settings={"PYTHONPATH": str(ROOT)},
        )
        system = System(
            tmp_path / "system",
            [Wanted.of(API, 1), Wanted.of(API, 2), Wanted.of(RELAY), recorder],
            database_url=url,
            kafka_servers=kafka.servers,
        )
        await system.start()
        yield system
        await system.stop()


async def test_a_change_of_one_replica_reaches_a_subscriber_of_another(system: System) -> None:
    one, other = system.processes["api-1"].url, system.processes["api-2"].url
    async with httpx.AsyncClient(timeout=30) as http, AsyncExitStack() as stack:
        ada = await Person.sign_up(one, http)
        there = replace(ada, url=other)
        socket = await stack.enter_async_context(there.socket())
        messages = socket.follow(ada.workspace, "0")
        for number in range(20):
            await ada.create(f"Task {number}")

        seen = []
        async for message in messages:
            if message["__typename"] == "Change":
                seen.append(int(message["seq"]))
            if len(seen) == 22:
                break

    assert seen == list(range(1, 23))


async def test_a_replica_calls_a_worker_by_the_sidecars(system: System) -> None:
    daprd = system.sidecars["api-1"]
    async with Sidecar(daprd.url, api_token=system.resources.api_token) as sidecar:
        invoker = DaprInvoker(sidecar, INVOKE_PREFIX)

        assert await invoker.call(RECURRENCE.id, "redrive", {}, timeout_s=10) == [0, 0]
        with pytest.raises(Unavailable):
            await invoker.call(RECURRENCE.id, "nothing", {}, timeout_s=10)
