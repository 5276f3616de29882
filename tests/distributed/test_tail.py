"""The tail at a real Kafka: every partition, new ones too, through restarts and retention."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from cluster.broker import Kafka
from domain.changes import Change
from domain.outbox import Entry, Topic
from infra.envelope import event
from infra.kafka import tail as module
from infra.kafka.connection import KafkaOptions
from infra.kafka.tail import KafkaTail, Listener
from tests.live import change, eventually


class Heard:
    """What a tail told its listener."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.placed: list[bool] = []
        self.listener = Listener(offer=self.offer, placed=self.placed.append)

    def offer(self, changes: Sequence[Change]) -> None:
        self.changes += changes

    def seqs(self, stream: UUID) -> list[int]:
        return [one.seq for one in self.changes if one.stream == stream]


@pytest.fixture
async def topic(kafka: Kafka) -> str:
    name = f"tail-{uuid4()}"
    await kafka.create_topics({name: 2})
    return name


@asynccontextmanager
async def tailing(kafka: Kafka, topic: str) -> AsyncIterator[tuple[KafkaTail, Heard]]:
    heard = Heard()
    tail = KafkaTail(KafkaOptions(servers=kafka.servers), [topic], heard.listener)
    running = asyncio.create_task(tail.run())
    try:
        yield tail, heard
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def publish(
    kafka: Kafka, topic: str, stream: UUID, seqs: Sequence[int], partition: int = 0
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    for seq in seqs:
        made = Entry(change=change(stream, seq), before="{}", hash=b"")
        body = orjson.dumps(event(Topic.TASK_EVENTS, made))
        await producer.send_and_wait(topic, body, partition=partition)
    await producer.stop()


async def placed(tail: KafkaTail) -> None:
    await eventually(lambda: tail.was_placed, within_s=30)


async def test_all_partitions_are_read_from_their_end_on(kafka: Kafka, topic: str) -> None:
    stream, other = uuid4(), uuid4()
    await publish(kafka, topic, stream, [1])
    async with tailing(kafka, topic) as (tail, heard):
        assert not tail.was_placed
        await placed(tail)

        await publish(kafka, topic, stream, [2, 3])
        await publish(kafka, topic, other, [7], partition=1)

        await eventually(lambda: heard.seqs(stream) == [2, 3] and heard.seqs(other) == [7])
    assert heard.placed == [True]


async def test_a_new_partition_is_read_from_its_beginning(
    kafka: Kafka, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only sooner: nothing of what is tested is another.
    monkeypatch.setattr(module, "CHECK_EVERY_S", 0.2)
    monkeypatch.setattr(module, "PARTITIONS_EVERY_S", 0.5)
    stream, other = uuid4(), uuid4()
    async with tailing(kafka, topic) as (tail, heard):
        await placed(tail)
        await publish(kafka, topic, stream, [1])

        await kafka.grow(topic, 4)
        await publish(kafka, topic, other, [1, 2], partition=3)
        await publish(kafka, topic, stream, [2])

        await eventually(lambda: heard.seqs(other) == [1, 2], within_s=20)
        await eventually(lambda: heard.seqs(stream) == [1, 2])


async def test_it_goes_on_after_a_restart_of_the_broker_and_tells_that_it_was_away(
    kafka: Kafka, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    stream = uuid4()
    caplog.set_level(logging.INFO, logger="infra.kafka.tail")
    async with tailing(kafka, topic) as (tail, heard):
        await placed(tail)
        await kafka.kill()
        await eventually(lambda: heard.placed == [True, False], within_s=30)
        assert tail.was_placed

        await kafka.start()
        await publish(kafka, topic, stream, [1])

        await eventually(lambda: heard.seqs(stream) == [1], within_s=30)
    assert heard.placed == [True, False, True]
    assert "kafka.tail_lost" in caplog.messages


async def test_what_retention_took_away_while_it_was_gone_is_passed_over(
    kafka: Kafka, topic: str
) -> None:
    stream = uuid4()
    heard = Heard()
    tail = KafkaTail(KafkaOptions(servers=kafka.servers), [topic], heard.listener)
    running = asyncio.create_task(tail.run())
    await placed(tail)
    await publish(kafka, topic, stream, [1])
    await eventually(lambda: heard.seqs(stream) == [1])
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    await publish(kafka, topic, stream, [2, 3, 4])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=3)})
    await admin.close()
    running = asyncio.create_task(tail.run())

    # The log has what is missing; see `PostgresTail.offer`.
    await eventually(lambda: heard.seqs(stream) == [1, 4], within_s=30)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_it_waits_for_topics_that_are_not_there_yet(kafka: Kafka) -> None:
    name = f"late-{uuid4()}"
    async with tailing(kafka, name) as (tail, heard):
        await asyncio.sleep(1)  # nothing tells that it looked and found none
        assert not tail.was_placed

        await kafka.create_topics({name: 1})

        await placed(tail)
    assert heard.placed == [True]


async def test_what_cannot_be_read_is_told_and_passed_over(
    kafka: Kafka, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    stream = uuid4()
    async with tailing(kafka, topic) as (tail, heard):
        await placed(tail)
        producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
        await producer.start()
        overflowing = event(Topic.TASK_EVENTS, Entry(change=change(stream, 1), before="", hash=b""))
        overflowing["time"] = "0001-01-01T00:00:00+14:00"
        for body in (b"junk", b"", None, b'{"stream": 1}', orjson.dumps(overflowing)):
            await producer.send_and_wait(topic, body, key=b"any", partition=0)
        await producer.stop()
        await publish(kafka, topic, stream, [1])

        await eventually(lambda: heard.seqs(stream) == [1])
    assert caplog.messages.count("kafka.malformed") == 5
