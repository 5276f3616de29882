"""The adapters at a real daprd: state that expires, publishing that says what it refused, calls."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from cluster.broker import Kafka
from cluster.resources import Resources
from cluster.sidecar import Sidecar as Daprd
from domain.errors import Unavailable
from domain.ids import ChangeId
from domain.outbox import Entry, PublishFailed, Topic
from infra.dapr.dead_letters import DaprDeadLetters
from infra.dapr.invoker import DaprInvoker
from infra.dapr.publisher import DaprPublisher
from infra.dapr.sidecar import Sidecar
from infra.dapr.state import DaprStateStore
from infra.envelope import delivered
from tests.distributed import scanner
from tests.live import change
from workers.routes import (
    API,
    INVOKE_PREFIX,
    NOTIFICATIONS,
    PUBSUB,
    RECURRENCE,
    RELAY,
    STATE_STORE,
    App,
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Run = Callable[[App], AbstractAsyncContextManager[Daprd]]


@pytest.fixture
def opened(resources: Resources) -> Callable[[Daprd], Sidecar]:
    return lambda daprd: Sidecar(daprd.url, api_token=resources.api_token)


@pytest.fixture
async def relay(relay_sidecar: Daprd, opened: Callable[[Daprd], Sidecar]) -> AsyncIterator[Sidecar]:
    async with opened(relay_sidecar) as sidecar:
        yield sidecar


def entry(stream: UUID, seq: int, payload: str = '{"title":"Käse"}') -> Entry:
    # Without a trace, a sidecar begins one.
    made = change(stream, seq, payload=payload, trace=TRACE, id=ChangeId(uuid4()))
    return Entry(change=made, before="{}", hash=b"")


async def test_state_is_shared_replaced_and_gone_in_time(
    sidecar_of: Run, opened: Callable[[Daprd], Sidecar]
) -> None:
    async with AsyncExitStack() as stack:
        daprds = [await stack.enter_async_context(sidecar_of(API)) for _ in range(2)]
        mine, theirs = [
            DaprStateStore(await stack.enter_async_context(opened(daprd)), STATE_STORE)
            for daprd in daprds
        ]
        key = f"query:{uuid4()}/ü"
        assert await mine.get(key) is None
        await mine.put(key, "{ a }", timedelta(hours=1))
        await theirs.put(key, '{ b "❄" }', timedelta(seconds=1))
        assert await mine.get(key) == '{ b "❄" }'
        async with asyncio.timeout(10):
            while await mine.get(key) is not None:
                await asyncio.sleep(0.1)


async def test_a_store_that_the_app_may_not_use_is_unavailable(relay: Sidecar) -> None:
    with pytest.raises(Unavailable):
        await DaprStateStore(relay, STATE_STORE).get("a")


async def test_what_is_published_arrives_as_it_was(relay: Sidecar, kafka: Kafka) -> None:
    stream = uuid4()
    entries = [entry(stream, seq) for seq in (2**60 + 1, 2**60 + 2)]

    assert await DaprPublisher(relay, PUBSUB).publish(Topic.TASK_EVENTS, entries) == ()

    bodies = await scanner.bodies(kafka.servers, Topic.TASK_EVENTS)
    found = [one for body in bodies if (one := delivered(body)).stream == stream]
    assert [one.change for one in found] == [one.change for one in entries]


async def test_the_largest_change_is_published_in_the_audit_trail(
    relay: Sidecar, kafka: Kafka
) -> None:
    """A task of 900 kB before and after, every character of which JSON escapes once more."""
    stream = uuid4()
    large = '{"description":"' + '\\"' * 450_000 + '"}'
    one = Entry(change=entry(stream, 1, large).change, before=large, hash=b"")

    assert await DaprPublisher(relay, PUBSUB).publish(Topic.AUDIT_LOGS, [one]) == ()

    bodies = await scanner.bodies(kafka.servers, Topic.AUDIT_LOGS)
    assert any(str(stream).encode() in body and len(body) > 3_000_000 for body in bodies)


async def test_a_topic_that_the_app_may_not_publish_fails_as_a_whole(
    sidecar_of: Run, opened: Callable[[Daprd], Sidecar]
) -> None:
    async with sidecar_of(NOTIFICATIONS) as daprd, opened(daprd) as sidecar:
        with pytest.raises(PublishFailed) as failed:
            await DaprPublisher(sidecar, PUBSUB).publish(Topic.TASK_EVENTS, [entry(uuid4(), 1)])

    assert failed.value.kind.startswith("status_")


async def test_a_sidecar_that_is_away_fails_and_is_not_ready(
    sidecar_of: Run, opened: Callable[[Daprd], Sidecar]
) -> None:
    async with sidecar_of(RELAY) as daprd, opened(daprd) as sidecar:
        assert await sidecar.is_ready()
        await daprd.kill()

        assert not await sidecar.is_ready()
        with pytest.raises(PublishFailed) as failed:
            await DaprPublisher(sidecar, PUBSUB).publish(Topic.TASK_EVENTS, [entry(uuid4(), 1)])
        assert failed.value.kind == "unreachable"
        with pytest.raises(Unavailable):
            await DaprInvoker(sidecar, INVOKE_PREFIX).call(
                RECURRENCE.id, "preview", {}, timeout_s=2
            )


async def test_a_dead_letter_tells_its_reason(
    sidecar_of: Run, opened: Callable[[Daprd], Sidecar], kafka: Kafka
) -> None:
    assert RECURRENCE.dead_letters is not None
    async with sidecar_of(RECURRENCE) as daprd, opened(daprd) as sidecar:
        letters = DaprDeadLetters(sidecar, PUBSUB, RECURRENCE.dead_letters)
        await letters.put(b"\xff junk", "It is junk.")

    bodies = await scanner.bodies(kafka.servers, RECURRENCE.dead_letters)
    assert any(b"It is junk." in body and b"/yBqdW5r" in body for body in bodies)
