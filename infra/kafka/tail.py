"""Reads every partition of the topics and offers what it finds; each replica reads all of them.

No consumer group: every replica needs every change, and an offset is worth nothing here, since
what was missed is repaired from the log. So partitions are assigned by hand, read from their end,
and those that are added later from their beginning.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from opentelemetry import metrics

from domain.changes import Change
from domain.events import Malformed
from infra.envelope import delivered
from infra.kafka.connection import KafkaOptions

log = logging.getLogger(__name__)

# Records taken at once: about what one tick of the hub sends.
RECORDS_MAX = 500
# How soon a broker's silence and a new partition are noticed.
CHECK_EVERY_S = 2.0
PARTITIONS_EVERY_S = 10.0
ANSWER_WAIT_S = 5.0
START_WAIT_S = 20.0
RETRY_FIRST_S = 0.2
RETRY_LAST_S = 5.0
# Fetches come back as soon as there is something, and at the latest after so long.
FETCH_WAIT_MS = 500

_meter = metrics.get_meter("carillon.kafka")
_read = _meter.create_counter("carillon.kafka.records", description="Records read, by outcome")

Offer = Callable[[Sequence[Change]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who is told what the tail finds.

    `offer` takes changes of one stream in their order, maybe again; `placed` learns whether all
    partitions are being read: until then, and while the broker is away, the log has to be polled.
    """

    offer: Offer
    placed: Callable[[bool], None]


class KafkaTail:
    """One loop that survives the broker: it starts anew where its consumer cannot go on."""

    def __init__(self, options: KafkaOptions, topics: Collection[str], listener: Listener) -> None:
        self._options = options
        self._topics = sorted(topics)
        self._listener = listener
        self._places: dict[TopicPartition, int] = {}
        self._placed = False
        self._wait = RETRY_FIRST_S
        self._was_placed = asyncio.Event()

    @property
    def was_placed(self) -> bool:
        """Whether all partitions have been read from since this tail began, if not now."""
        return self._was_placed.is_set()

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError) as error:
                facts = {"kind": type(error).__name__, "said": str(error)}
                log.warning("kafka.tail_failed", extra=facts)
                await asyncio.sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                self._wait = min(RETRY_LAST_S, 2 * self._wait)

    async def _follow(self) -> None:
        """Reads until something fails, or there are more partitions than were assigned."""
        consumer = self._consumer()
        try:
            async with asyncio.timeout(START_WAIT_S):
                await consumer.start()
                partitions = await self._partitions()
                consumer.assign(partitions)
                await self._seek(consumer, partitions)
            self._place(placed=True)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(consumer))
                await self._watch(consumer, partitions)
                reading.cancel()
        except (KafkaError, OSError, ExceptionGroup) as error:
            # Told before the consumer stops, which may wait for the broker.
            self._place(placed=False)
            # Reading and watching fail together, of one cause.
            raise error.exceptions[0] if isinstance(error, ExceptionGroup) else error from error
        finally:
            await _stop(consumer)

    async def _seek(self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> None:
        """Goes on where this tail was; a partition that is new since then begins at its start."""
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.beginning_offsets(partitions)
        # At first at the end: readers take what was before from the log.
        first = starts if self._places else ends
        self._places = {one: self._places.get(one, first[one]) for one in partitions}
        for partition, offset in self._places.items():
            consumer.seek(partition, offset)

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._options.arguments(),
            enable_auto_commit=False,
            # Where retention has overtaken us: the oldest there is, and the log fills the gap.
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_poll_records=RECORDS_MAX,
        )

    async def _partitions(self) -> list[TopicPartition]:
        """Returns all partitions, asked of the broker: a consumer knows only subscribed topics."""
        admin = AIOKafkaAdminClient(**self._options.arguments())
        async with asyncio.timeout(ANSWER_WAIT_S):
            await admin.start()
            try:
                found = await admin.describe_topics(self._topics)
            finally:
                await admin.close()
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in found
            for partition in topic["partitions"]
        ]
        missing = set(self._topics) - {partition.topic for partition in partitions}
        if missing:
            raise ConnectionError(f"The broker has no topics {', '.join(sorted(missing))} yet.")
        return sorted(partitions)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=FETCH_WAIT_MS, max_records=RECORDS_MAX)
            for partition, records in batches.items():
                self._offer([record.value for record in records])
                self._places[partition] = records[-1].offset + 1

    def _offer(self, bodies: Sequence[bytes | None]) -> None:
        streams: dict[UUID, list[Change]] = {}
        for body in bodies:
            try:
                found = delivered(body or b"")
            except Exception as error:
                # Workers put it into their dead letters; here the log will have what it hides.
                known = isinstance(error, Malformed)
                facts = {"reason": str(error)}
                log.warning("kafka.malformed", exc_info=None if known else error, extra=facts)
                _read.add(1, {"outcome": "malformed"})
                continue
            if found.change is None:
                _read.add(1, {"outcome": "newer"})
                continue
            streams.setdefault(found.stream, []).append(found.change)
        for stream, changes in streams.items():
            try:
                self._listener.offer(changes)
            except Exception as error:
                log.warning("kafka.not_taken", exc_info=error, extra={"stream": str(stream)})
                _read.add(len(changes), {"outcome": "failed"})
            else:
                _read.add(len(changes), {"outcome": "read"})

    async def _watch(
        self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
    ) -> None:
        """Notices a broker that is away; returns where there are new partitions."""
        loop = asyncio.get_running_loop()
        look_at = loop.time() + PARTITIONS_EVERY_S
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            async with asyncio.timeout(ANSWER_WAIT_S):
                await consumer.end_offsets(partitions)
            if loop.time() >= look_at:
                look_at = loop.time() + PARTITIONS_EVERY_S
                if set(await self._partitions()) != set(partitions):
                    log.info("kafka.partitions_changed")
                    return

    def _place(self, *, placed: bool) -> None:
        if placed:
            self._was_placed.set()
            self._wait = RETRY_FIRST_S
        if placed is not self._placed:
            self._placed = placed
            log.info("kafka.tail_placed" if placed else "kafka.tail_lost")
            self._listener.placed(placed)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Ends a consumer also where it waits for a broker that is away.

    In a task of its own: aiokafka 0.14 lets the CancelledError of its own cancelled fetches come
    out of `stop`, which would end our task, and then leaves its connections open.
    """
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait([stopping], timeout=ANSWER_WAIT_S)
    if stopping.cancel() or stopping.cancelled():
        await consumer._client.close()  # noqa: SLF001 - what `stop` has left open
    else:
        stopping.result()
