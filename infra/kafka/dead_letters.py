"""Reads dead letters, from where the last ones were acknowledged.

The offsets of a group of their own say which were. Nobody joins the group: partitions are assigned
by hand, so two who look at once disturb nobody.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from infra.kafka.connection import KafkaOptions, speaking_of_connections
from infra.kafka.topics import partitions
from infra.letters import Letter, opened

GROUP: Final = "carillon-redrive"
FETCH_WAIT_MS = 500
# Records held at once; a letter has at most some 140 kB.
RECORDS_MAX = 200
# Where Dapr says which topic an event came from that it gave up on.
ORIGIN_HEADER = "__topic"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that nobody could take; `place` is topic, partition and offset."""

    place: str
    at: datetime
    letter: Letter


class DeadLetters:
    """The letters of some topics that nobody has acknowledged; see `dead_letters`."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        places: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        self._consumer = consumer
        self._places = dict(places)
        self._ends = ends

    @property
    def count(self) -> int:
        """How many were there at the beginning, and are not read yet."""
        return sum(max(0, end - self._places[one]) for one, end in self._ends.items())

    async def read(self) -> AsyncIterator[DeadLetter]:
        """Yields those that were there at the beginning, each partition in its order."""
        while self.count > 0:
            batches = await self._consumer.getmany(
                timeout_ms=FETCH_WAIT_MS, max_records=RECORDS_MAX
            )
            for partition, records in batches.items():
                for record in records:
                    if record.offset < self._ends[partition]:
                        yield _read(partition, record)
            for partition in self._ends:
                self._places[partition] = await self._consumer.position(partition)

    async def acknowledge(self) -> None:
        """Keeps that all that were read are dealt with."""
        done = {one: min(self._places[one], end) for one, end in self._ends.items()}
        await self._consumer.commit(done)


@asynccontextmanager
async def dead_letters(
    options: KafkaOptions, topics: Collection[str]
) -> AsyncIterator[DeadLetters]:
    """Yields the letters of these topics.

    Raises:
        OSError: the brokers do not answer, or refuse; also while they are read.
    """
    found = await partitions(options, topics)
    all_of_them = [TopicPartition(topic, n) for topic, count in found.items() for n in range(count)]
    consumer = AIOKafkaConsumer(
        **options.arguments(),
        group_id=GROUP,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    with speaking_of_connections():
        try:
            await consumer.start()
            consumer.assign(all_of_them)
            ends = await consumer.end_offsets(all_of_them)
            places = await consumer.beginning_offsets(all_of_them)
            for partition, start in places.items():
                places[partition] = max(start, await consumer.committed(partition) or 0)
                consumer.seek(partition, places[partition])
            yield DeadLetters(consumer, places, ends)
        finally:
            await consumer.stop()


def _read(partition: TopicPartition, record: ConsumerRecord) -> DeadLetter:
    body: bytes = record.value or b""
    given_up = Letter(reason=_given_up(record.headers), body=body, size=len(body))
    return DeadLetter(
        place=f"{partition.topic}/{partition.partition}@{record.offset}",
        at=datetime.fromtimestamp(record.timestamp / 1_000, UTC),
        letter=opened(body) or given_up,
    )


def _given_up(headers: Sequence[tuple[str, bytes]]) -> str:
    origin = dict(headers).get(ORIGIN_HEADER, b"?").decode(errors="replace")
    return f"The sidecar gave up delivering it from {origin}."
