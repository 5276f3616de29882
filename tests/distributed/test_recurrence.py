"""The recurrence worker as it is shipped: ticked by daprd, told by Kafka, called by sidecars."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
import pytest_asyncio

from cluster.broker import Kafka
from cluster.system import System, Wanted
from domain.errors import Refused
from domain.outbox import Topic
from infra.dapr.invoker import DaprInvoker
from infra.dapr.sidecar import Sidecar
from tests.api import Person
from workers.routes import API, INVOKE_PREFIX, RECURRENCE, RELAY

CREATE = """mutation ($at: ID!, $input: TaskCreateInput!) {
  taskCreate(workspaceId: $at, input: $input) { task { id } userErrors { code message } } }"""
COMPLETE = "mutation ($id: ID!) { taskComplete(id: $id) { userErrors { code message } } }"
SLOTS = """query ($at: ID!) { tasks(workspaceId: $at, filter: {isRecurring: true}) {
  nodes { status occurrence { slot } } } }"""
PATIENCE_S = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(
    fresh_database: Callable[[], AbstractAsyncContextManager[str]],
) -> AsyncIterator[str]:
    async with fresh_database() as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    kafka: Kafka, url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    system = System(
        tmp_path_factory.mktemp("recurrence") / "system",
        [Wanted.of(API), Wanted.of(RELAY), Wanted.of(RECURRENCE, 1), Wanted.of(RECURRENCE, 2)],
        database_url=url,
        kafka_servers=kafka.servers,
        schedules={"recurring-processor": "@every 1s"},
    )
    await system.start()
    yield system
    await system.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def ada(system: System) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(timeout=30) as http:
        yield await Person.sign_up(system.processes["api-1"].url, http)


async def _create(ada: Person, **recurrence: Any) -> str:
    given = {"title": "Water", "recurrence": {"timeZone": "UTC", **recurrence}}
    answer = await ada.ask(CREATE, at=ada.workspace, input=given)
    assert answer["taskCreate"]["userErrors"] == []
    id: str = answer["taskCreate"]["task"]["id"]  # noqa: A001 - its name in the API
    return id


async def _until(ada: Person, count: int) -> list[tuple[str, str]]:
    """Returns slot and status of the occurrences once there are so many."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            nodes = (await ada.ask(SLOTS, at=ada.workspace))["tasks"]["nodes"]
            if len(nodes) >= count:
                return sorted((one["occurrence"]["slot"], one["status"]) for one in nodes)
            await asyncio.sleep(0.2)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_tick_makes_what_is_due(ada: Person) -> None:
    today = datetime.now(UTC).date()
    start = {"date": str(today - timedelta(days=3)), "time": "00:00"}
    await _create(ada, preset="DAILY", start=start, policies={"catchUp": "ALL"})

    found = await _until(ada, 5)

    days = [today + timedelta(days=number) for number in (-3, -2, -1, 0, 1)]
    assert found == [(f"{day}T00:00", "OPEN") for day in days]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_completion_arrives_by_the_broker(ada: Person) -> None:
    task = await _create(ada, rule="FREQ=DAILY;INTERVAL=3", policies={"anchor": "COMPLETION"})

    await ada.ask(COMPLETE, id=task)

    assert [status for _, status in await _until(ada, 2)] == ["DONE", "OPEN"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_completion_that_the_broker_never_brings_is_caught_up_from_the_log(
    ada: Person, url: str
) -> None:
    task = await _create(ada, rule="FREQ=DAILY;INTERVAL=3", policies={"anchor": "COMPLETION"})
    connection = await asyncpg.connect(url)
    # As far as the relay knows, all of this workspace is on its topic.
    await connection.execute(
        """INSERT INTO position (consumer, stream, seq) VALUES ($1, $2, 1000)
        ON CONFLICT (consumer, stream) DO UPDATE SET seq = excluded.seq""",
        Topic.TASK_EVENTS.consumer,
        UUID(ada.workspace),
    )
    await connection.close()

    await ada.ask(COMPLETE, id=task)

    assert [status for _, status in await _until(ada, 2)] == ["DONE", "OPEN"]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_worker_answers_calls(system: System) -> None:
    daprd = system.sidecars["api-1"]
    async with Sidecar(daprd.url, api_token=system.resources.api_token) as sidecar:
        invoker = DaprInvoker(sidecar, INVOKE_PREFIX)
        asked = {"cron": "0 9 * * *", "timezone": "UTC", "start": "2027-01-01T00:00", "count": 2}

        shown = await invoker.call(RECURRENCE.id, "preview", asked, timeout_s=10)
        done = await invoker.call(RECURRENCE.id, "run-now", {}, timeout_s=10)
        of_one = await invoker.call(
            RECURRENCE.id, "run-now", {"series": str(uuid4())}, timeout_s=10
        )

        assert shown == {"occurrences": ["2027-01-01T09:00:00+00:00", "2027-01-02T09:00:00+00:00"]}
        assert done == of_one == {"done": True}
        for name, wrong in (("preview", {**asked, "count": 0}), ("run-now", {"series": "mine"})):
            with pytest.raises(Refused):
                await invoker.call(RECURRENCE.id, name, wrong, timeout_s=10)
