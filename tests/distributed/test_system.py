"""The whole distributed profile: what one replica commits reaches every other part."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from carillon import redrive
from carillon.doctor import doctor
from carillon.settings import Settings
from cluster.broker import Kafka
from cluster.system import System, Wanted
from domain.errors import Unavailable
from domain.outbox import Topic
from infra.dapr.invoker import DaprInvoker
from infra.dapr.sidecar import Sidecar
from tests.api import Person
from tests.distributed.recorder import TABLES
from workers.app import TOKEN_HEADER
from workers.routes import (
    API,
    INVOKE_PREFIX,
    READINESS_PATH,
    RECURRENCE,
    RELAY,
    SECRET_STORE,
)

RECORDER = [sys.executable, "-m", "tests.distributed.recorder"]
ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    kafka: Kafka,
    fresh_database: Callable[[], AbstractAsyncContextManager[str]],
    tmp_path_factory: pytest.TempPathFactory,
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
            tmp_path_factory.mktemp("distributed") / "system",
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

        came = await invoker.call(RECURRENCE.id, "redrive", {}, timeout_s=10)
        assert came == {"applied": 0, "left": 0, "gone": 0}
        with pytest.raises(Unavailable):
            await invoker.call(RECURRENCE.id, "nothing", {}, timeout_s=10)


async def test_the_doctor_takes_secrets_from_the_store_and_finds_the_system_well(
    system: System, kafka: Kafka, capsys: pytest.CaptureFixture[str]
) -> None:
    sidecar = system.sidecars["api-1"]
    settings = Settings(
        dapr_url=sidecar.url,
        dapr_api_token=SecretStr(sidecar.api_token),
        kafka_servers=kafka.servers,
        secret_store=SECRET_STORE,
    )
    # Those of tests that were here before.
    await redrive.dead(settings, acknowledge=True)
    async with httpx.AsyncClient(timeout=30) as http:
        await (await Person.sign_up(system.processes["api-1"].url, http)).create("Buy milk")
    capsys.readouterr()

    code = await doctor(settings)

    said = capsys.readouterr().out
    assert code == 0, said
    for link in ("sidecar", "components", "topics", "database", "clocks", "migrations", "log"):
        assert f"ok  {link}: " in said
    for consumer in ("topic:task-events", "topic:audit-logs", "topic:reminders"):
        assert f"ok  consumer {consumer}: " in said


async def test_a_worker_that_is_asked_to_stop_says_so_before_it_listens_no_more(
    system: System,
) -> None:
    recorder = system.processes["recorder-1"]
    event = recorder.url + RECURRENCE.subscriptions[Topic.TASK_EVENTS]
    token = {TOKEN_HEADER: system.resources.app_token}
    ready: list[int] = []
    taken: list[int] = []
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        stopping = asyncio.create_task(recorder.stop())
        with suppress(httpx.TransportError):
            while not stopping.done():
                ready.append((await http.get(recorder.url + READINESS_PATH)).status_code)
                taken.append((await http.post(event, content=b"{}", headers=token)).status_code)
                await asyncio.sleep(0.05)
        await stopping
        await recorder.start()
        await recorder.ready()

    assert (ready[-1], taken[-1]) == (503, 500)
