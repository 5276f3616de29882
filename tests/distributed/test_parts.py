"""The parts themselves: that daprd and Kafka do here what the design counts on."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from cluster.broker import Kafka
from cluster.processes import free_ports
from cluster.proxy import Proxy
from cluster.resources import Resources
from cluster.sentry import Sentry
from cluster.sidecar import Probes, Sidecar
from domain.outbox import Topic
from tests.distributed import scanner
from tests.distributed.receiver import Receiver
from workers.routes import (
    API,
    INVOKE_PREFIX,
    NOTIFICATIONS,
    PUBSUB,
    RECURRENCE,
    SECRET,
    SECRET_STORE,
    STATE_STORE,
    App,
)

# The retry policy `delivery` of kustomize/components/dapr/resiliency.yaml.
ATTEMPTS = 8
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def entry(change: str, *, stream: str) -> dict[str, Any]:
    """An entry of a bulk publish: a change as the relay sends it."""
    return {
        "entryId": change,
        "contentType": "application/cloudevents+json",
        "event": {
            "specversion": "1.0",
            "id": change,
            "type": "task.created",
            "source": "carillon",
            "time": "2026-11-23T10:00:00Z",
            "stream": stream,
            "seq": "9007199254740993",
            "traceid": TRACEPARENT,
            "traceparent": TRACEPARENT,
            "data": {"title": "Buy milk"},
        },
        "metadata": {"partitionKey": stream},
    }


async def publish(sidecar: Sidecar, topic: str, *entries: dict[str, Any]) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        return await client.post(
            f"{sidecar.url}/v1.0/publish/bulk/{PUBSUB}/{topic}",
            json=entries,
            headers={"dapr-api-token": sidecar.api_token},
        )


async def ask(sidecar: Sidecar, method: str, path: str, body: object = None) -> httpx.Response:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        return await client.request(
            method,
            f"{sidecar.url}/v1.0/{path}",
            json=body,
            headers={"dapr-api-token": sidecar.api_token},
        )


async def read(servers: str, topic: str, change: str) -> ConsumerRecord:
    """Returns the record of an event, read as an API replica reads: all partitions, no group."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(12)])
        async with asyncio.timeout(30):
            async for record in consumer:
                if json.loads(record.value)["id"] == change:
                    return record
        raise AssertionError("the consumer ended")
    finally:
        await consumer.stop()


async def test_an_event_reaches_its_route_as_it_was_sent(
    relay_sidecar: Sidecar, receiver: Receiver, resources: Resources
) -> None:
    change, stream = str(uuid4()), str(uuid4())

    answer = await publish(relay_sidecar, Topic.TASK_EVENTS, entry(change, stream=stream))

    assert answer.status_code == 204, answer.text
    (delivery,) = await receiver.until_delivered(change)
    assert delivery.path == NOTIFICATIONS.subscriptions[Topic.TASK_EVENTS]
    assert delivery.token == resources.app_token
    sent = entry(change, stream=stream)["event"]
    assert {name: delivery.event[name] for name in sent} == sent


async def test_events_of_a_stream_share_a_partition_and_keep_their_order(
    kafka: Kafka, relay_sidecar: Sidecar, receiver: Receiver
) -> None:
    stream, ids = str(uuid4()), [str(uuid4()) for _ in range(20)]

    await publish(relay_sidecar, Topic.REMINDERS, *(entry(change, stream=stream) for change in ids))

    await receiver.until_delivered(ids[-1])
    arrived = [d.event["id"] for d in receiver.deliveries if d.event.get("stream") == stream]
    assert arrived == ids
    records = [await read(kafka.servers, Topic.REMINDERS, change) for change in (ids[0], ids[-1])]
    assert records[0].partition == records[1].partition
    assert records[0].key == stream.encode()


async def test_an_event_that_is_refused_each_time_becomes_a_dead_letter_and_holds_up_nobody(
    kafka: Kafka, relay_sidecar: Sidecar, receiver: Receiver
) -> None:
    stream, refused, next_one = str(uuid4()), str(uuid4()), str(uuid4())
    receiver.refused.add(refused)

    await publish(
        relay_sidecar,
        Topic.TASK_EVENTS,
        entry(refused, stream=stream),
        entry(next_one, stream=stream),
    )

    await receiver.until_delivered(next_one)
    arrived = [d.event["id"] for d in receiver.deliveries if d.event.get("stream") == stream]
    assert arrived == [refused] * ATTEMPTS + [next_one]
    assert NOTIFICATIONS.dead_letters is not None
    letter = await read(kafka.servers, NOTIFICATIONS.dead_letters, refused)
    assert json.loads(letter.value)["data"] == {"title": "Buy milk"}
    assert dict(letter.headers)["__topic"] == Topic.TASK_EVENTS.encode()


async def test_a_consumer_cannot_publish_the_log_nor_the_relay_a_dead_letter(
    relay_sidecar: Sidecar, notifications_sidecar: Sidecar
) -> None:
    assert NOTIFICATIONS.dead_letters is not None
    event = entry(str(uuid4()), stream=str(uuid4()))

    by_consumer = await publish(notifications_sidecar, Topic.TASK_EVENTS, event)
    by_relay = await publish(relay_sidecar, NOTIFICATIONS.dead_letters, event)

    assert [by_consumer.status_code, by_relay.status_code] == [403, 403]


async def test_a_sidecar_answers_nobody_without_its_token(relay_sidecar: Sidecar) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{relay_sidecar.url}/v1.0/publish/{PUBSUB}/task-events")

    assert answer.status_code == 401


async def test_ticks_arrive_at_the_route_of_their_name(
    receiver: Receiver, resources: Resources
) -> None:
    tick = await receiver.until_called("/reminder-checker")

    assert tick.token == resources.app_token


async def test_state_is_kept_in_postgresql_and_only_for_those_in_scope(
    notifications_sidecar: Sidecar, relay_sidecar: Sidecar
) -> None:
    key = str(uuid4())
    path = f"state/{STATE_STORE}"

    await ask(notifications_sidecar, "POST", path, [{"key": key, "value": {"is": "kept"}}])

    assert (await ask(notifications_sidecar, "GET", f"{path}/{key}")).json() == {"is": "kept"}
    out_of_scope = await ask(relay_sidecar, "GET", f"{path}/{key}")
    assert out_of_scope.json()["errorCode"] == "ERR_STATE_STORE_NOT_CONFIGURED"


async def test_the_secret_store_tells_our_secret_and_no_other(relay_sidecar: Sidecar) -> None:
    ours = await ask(relay_sidecar, "GET", f"secrets/{SECRET_STORE}/{SECRET}")
    other = await ask(relay_sidecar, "GET", f"secrets/{SECRET_STORE}/other")

    assert list(ours.json()) == ["CARILLON_DATABASE_DIRECT_URL"]
    assert other.status_code == 403


async def test_the_api_calls_what_a_worker_offers_and_nothing_else_of_it(
    sidecar_of: Callable[[App], AbstractAsyncContextManager[Sidecar]],
    relay_sidecar: Sidecar,
    receiver: Receiver,
) -> None:
    worker = f"invoke/{NOTIFICATIONS.id}/method"
    offered = f"{INVOKE_PREFIX}echo"
    route = NOTIFICATIONS.subscriptions[Topic.REMINDERS]
    event = {"id": str(uuid4())}
    async with sidecar_of(API) as api:
        allowed = await ask(api, "POST", f"{worker}{offered}", event)
        refused = [
            await ask(api, "POST", f"{worker}{route}", event),
            await ask(api, "POST", f"{worker}{INVOKE_PREFIX}..{route}", event),
            await ask(relay_sidecar, "POST", f"{worker}{offered}", event),
        ]

    assert allowed.status_code == 200, allowed.text
    assert not any(answer.is_success for answer in refused)
    assert [d.path for d in receiver.deliveries if d.path in {offered, route}] == [offered]


async def test_a_killed_daprd_starts_again_on_its_port_and_delivers_what_came_meanwhile(
    relay_sidecar: Sidecar, notifications_sidecar: Sidecar, receiver: Receiver
) -> None:
    change = str(uuid4())
    await notifications_sidecar.kill()
    await publish(relay_sidecar, Topic.TASK_EVENTS, entry(change, stream=str(uuid4())))

    await notifications_sidecar.start()

    await receiver.until_delivered(change)


async def test_an_app_that_crashed_finds_what_came_meanwhile_at_the_pace_of_the_cluster(
    kafka: Kafka, relay_sidecar: Sidecar, resources: Resources, sentry: Sentry, tmp_path: Path
) -> None:
    assert RECURRENCE.dead_letters is not None
    stream, before, meanwhile = (str(uuid4()) for _ in range(3))
    (port,) = free_ports(1)
    daprd = Sidecar(
        RECURRENCE.id,
        port,
        folder=tmp_path,
        resources=resources,
        sentry=sentry,
        probes=Probes.of_the_cluster(),
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(daprd.stop)
        await daprd.start()
        async with Receiver(port) as receiver:
            await daprd.ready()
            await publish(relay_sidecar, Topic.TASK_EVENTS, entry(before, stream=stream))
            await receiver.until_delivered(before)

        await publish(relay_sidecar, Topic.TASK_EVENTS, entry(meanwhile, stream=stream))
        async with asyncio.timeout(60):
            while "App entered un-healthy status" not in daprd.log.read_text():
                await asyncio.sleep(0.1)

        async with Receiver(port) as receiver:
            await receiver.until_delivered(meanwhile)
        letters = await scanner.bodies(kafka.servers, RECURRENCE.dead_letters)
        assert meanwhile not in {json.loads(letter)["id"] for letter in letters}


@pytest.mark.parametrize("ended", ["stop", "kill"])
async def test_kafka_comes_back_on_its_port_with_its_data_and_daprd_finds_it(
    ended: str, kafka: Kafka, relay_sidecar: Sidecar
) -> None:
    before, after = str(uuid4()), str(uuid4())
    await publish(relay_sidecar, Topic.AUDIT_LOGS, entry(before, stream="a"))

    await (kafka.stop() if ended == "stop" else kafka.kill())
    await kafka.start()

    answer = await publish(relay_sidecar, Topic.AUDIT_LOGS, entry(after, stream="a"))
    assert answer.status_code == 204, answer.text
    for change in (before, after):
        assert (await read(kafka.servers, Topic.AUDIT_LOGS, change)).key == b"a"


async def test_a_topic_grows_by_partitions(kafka: Kafka) -> None:
    topic = f"growing-{uuid4()}"
    await kafka.create_topics({topic: 2})

    await kafka.grow(topic, 5)

    assert await kafka.partitions(topic) == 5


@pytest.mark.usefixtures("kafka")
async def test_a_broker_has_its_data_again_when_another_run_starts_it_on_other_ports(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("again")
    first = Kafka(folder)
    await first.start()
    try:
        await first.create_topics({"kept": 3})
    finally:
        await first.stop()

    second = Kafka(folder)
    await second.start()
    try:
        assert second.servers != first.servers
        assert await second.partitions("kept") == 3
        await second.create_topics({"new": 1})
        producer = AIOKafkaProducer(bootstrap_servers=second.servers)
        await producer.start()
        await producer.send_and_wait("kept", b"after")
        await producer.stop()
    finally:
        await second.stop()


@pytest.mark.usefixtures("kafka")
async def test_who_comes_through_a_door_is_cut_off_alone_and_goes_on_where_it_stopped(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    (door,) = free_ports(1)
    async with AsyncExitStack() as stack:
        other = Kafka(tmp_path_factory.mktemp("doors"), doors=[door])
        stack.push_async_callback(other.stop)
        await other.start()
        await other.create_topics({"through": 1})
        proxy = await stack.enter_async_context(Proxy(other.behind(door), port=door))
        producer = AIOKafkaProducer(bootstrap_servers=other.servers)
        consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{door}", retry_backoff_ms=50)
        for client in (producer, consumer):
            await client.start()
            stack.push_async_callback(client.stop)
        consumer.assign([TopicPartition("through", 0)])
        await consumer.seek_to_beginning()

        await producer.send_and_wait("through", b"before")
        assert (await consumer.getone()).value == b"before"
        await proxy.refuse()
        await producer.send_and_wait("through", b"meanwhile")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", door)
        await proxy.restore()

        async with asyncio.timeout(30):
            assert (await consumer.getone()).value == b"meanwhile"
