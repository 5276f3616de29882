"""Publishes the log: each topic from its position in every stream, in order, at least once.

1. Find streams with changes after the topic's position, among the shards that are ours.
2. Read the next changes of some of them, publish them in one call, and see what was refused.
3. Move each stream's position over its leading run of accepted changes; a refused change holds
   back its own stream and no other.
4. After a failure wait, and go on carefully: one small call at a time, until calls succeed again.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from domain.errors import Unavailable
from domain.outbox import Backlog, Entry, Lag, Pending, Publisher, PublishFailed, Topic
from domain.ports import Clock
from workers.shards import Shards

log = logging.getLogger(__name__)

# Looked at once; more only wait for the next look.
STREAMS_MAX = 1_000
# Of one call, and of calls at once: a broker answers one in some 10 ms whatever is in it. More in a
# call saves the sidecar little: 70 us a change by 100, 56 by 300, 48 by 1,000.
BATCH_MAX = 200
CALLS_MAX = 4
# Where nobody wakes us: how late a change may leave. Finding what is pending reads a row a stream,
# so with many streams the look itself sets the pace: it takes at most this share of the time.
POLL_S = 0.25
LOOKING_SHARE = 0.1
RETRY_FIRST_S = 0.1
RETRY_LAST_S = 5.0
LAG_EVERY_S = 5.0

_meter = metrics.get_meter("carillon.relay")
_published = _meter.create_counter(
    "carillon.relay.published", description="Changes that the broker accepted"
)
_failures = _meter.create_counter("carillon.relay.failures", description="Calls or changes refused")


class Relay:
    """Publishes one topic."""

    def __init__(
        self,
        topic: Topic,
        *,
        backlog: Backlog,
        publisher: Publisher,
        shards: Shards,
        clock: Clock,
    ) -> None:
        self.topic = topic
        self.consumer = topic.consumer
        self._backlog = backlog
        self._publisher = publisher
        self._shards = shards
        self._clock = clock
        self._woken = asyncio.Event()
        self._batch = BATCH_MAX
        self._wait = RETRY_FIRST_S
        self._lag = Lag(changes=0, oldest_at=None)
        _relays[topic] = self

    def wake(self) -> None:
        """Learns that something was committed; a lost wake costs one poll."""
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled; whatever fails is tried again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish())
            group.create_task(self._measure())

    async def step(self) -> int:
        """Publishes what is pending now; returns how many changes left.

        Raises:
            PublishFailed: a call was refused or not answered; what left before it is kept.
            Unavailable: the database did not answer.
        """
        shards = self._shards.held
        if not shards:
            return 0
        pending = await self._backlog.pending(
            self.consumer, self.topic.streams, shards, STREAMS_MAX
        )
        if not pending:
            return 0
        runs = CALLS_MAX if self._batch == BATCH_MAX else 1
        parts = [pending[start::runs] for start in range(min(runs, len(pending)))]
        results = await asyncio.gather(*map(self._drain, parts), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        if failed:
            self._batch = max(1, self._batch // 10)
            raise failed[0]
        return sum(result for result in results if isinstance(result, int))

    async def _drain(self, pending: Sequence[Pending]) -> int:
        """Publishes these streams up to their heads."""
        moved = 0
        left = list(pending)
        while left:
            entries = await self._backlog.entries(left, self._batch)
            if not entries:
                break
            refused = await self._publisher.publish(self.topic, entries)
            positions = accepted(entries, refused)
            if positions:
                await self._backlog.move(self.consumer, positions)
            count = len(entries) - len(refused)
            moved += count
            _published.add(count, {"topic": self.topic})
            if refused:
                raise PublishFailed("refused", f"{len(refused)} of {len(entries)} changes")
            self._batch = min(BATCH_MAX, self._batch * 10)
            left = advanced(left, positions)
        return moved

    async def _publish(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            started = loop.time()
            try:
                moved = await self.step()
            except Exception as error:  # noqa: BLE001 - the loop goes on, and tells
                await self._back_off(error)
                continue
            self._wait = RETRY_FIRST_S
            if not moved:
                looking = loop.time() - started
                await self._pause(max(POLL_S, looking / LOOKING_SHARE))

    async def _back_off(self, error: Exception) -> None:
        kind = error.kind if isinstance(error, PublishFailed) else type(error).__name__
        _failures.add(1, {"topic": self.topic, "kind": kind})
        known = isinstance(error, PublishFailed | Unavailable | OSError)
        facts = {"topic": self.topic, "kind": kind, "said": str(error)}
        log.warning("relay.step_failed", exc_info=None if known else error, extra=facts)
        # Jitter: relays that lost the broker together shall not come back together.
        await asyncio.sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311
        self._wait = min(RETRY_LAST_S, self._wait * 2)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _measure(self) -> None:
        while True:
            # An outage is told by `_publish`; the figure stays what it was.
            with suppress(OSError, Unavailable):
                self._lag = await self._backlog.lag(self.consumer, self.topic.streams)
            await asyncio.sleep(LAG_EVERY_S)

    @property
    def lag(self) -> Lag:
        """How far the topic was behind at the last look."""
        return self._lag

    @property
    def oldest_s(self) -> float:
        """How long the oldest change has waited that was pending at the last look."""
        at = self._lag.oldest_at
        return 0.0 if at is None else max(0.0, (self._clock.now() - at).total_seconds())


# Those of this process, by their topics.
_relays: dict[Topic, Relay] = {}


def _pending(_options: CallbackOptions) -> Sequence[Observation]:
    return [Observation(one.lag.changes, {"topic": topic}) for topic, one in _relays.items()]


def _oldest(_options: CallbackOptions) -> Sequence[Observation]:
    return [Observation(one.oldest_s, {"topic": topic}) for topic, one in _relays.items()]


_meter.create_observable_gauge(
    "carillon.relay.pending", [_pending], description="Changes not published yet"
)
_meter.create_observable_gauge(
    "carillon.relay.oldest", [_oldest], unit="s", description="Age of the oldest of them"
)


def accepted(entries: Sequence[Entry], refused: Sequence[Entry]) -> dict[UUID, int]:
    """Returns each stream's last seq before the first of its changes that was refused."""
    refused_ids = {entry.change.id for entry in refused}
    blocked: set[UUID] = set()
    positions: dict[UUID, int] = {}
    for entry in entries:
        stream = entry.change.stream
        if entry.change.id in refused_ids:
            blocked.add(stream)
        elif stream not in blocked:
            positions[stream] = entry.change.seq
    return positions


def advanced(pending: Sequence[Pending], positions: dict[UUID, int]) -> list[Pending]:
    """Returns what is still to be read of these streams."""
    moved = [
        Pending(stream=one.stream, after=positions.get(one.stream, one.after), head=one.head)
        for one in pending
    ]
    return [one for one in moved if one.after < one.head]
