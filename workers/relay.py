"""Publishes the log: each topic from its position in every stream, in order, at least once.

1. Find streams with changes after the topic's position, among the shards that are ours.
2. Read the next changes of some of them, publish them in one call, and see what was refused.
3. Move each stream's position over its leading run of accepted changes; a refused change holds
   back its own stream for a while, longer each time, and no other.
4. After a failure of a whole call wait, and go on carefully: one small call at a time, until calls
   succeed again.
"""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from domain.errors import Unavailable
from domain.outbox import Backlog, Entry, Lag, Pending, Publisher, PublishFailed, Topic, shard_of
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
# A stream that was held, is due again, and did not come for so long: another relay has it now.
FORGET_S = 60.0

_meter = metrics.get_meter("carillon.relay")
_published = _meter.create_counter(
    "carillon.relay.published", description="Changes that the broker accepted"
)
_failures = _meter.create_counter("carillon.relay.failures", description="Calls or changes refused")


@dataclass(frozen=True, slots=True)
class _Hold:
    """A stream with a refused change: left alone until then, the next time for longer."""

    until: float
    wait: float


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
        self._holds: dict[UUID, _Hold] = {}
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
            PublishFailed: a whole call was refused or not answered; what left before it is kept.
            Unavailable: the database did not answer.
        """
        shards = self._shards.held
        if not shards:
            return 0
        found = await self._backlog.pending(self.consumer, self.topic.streams, shards, STREAMS_MAX)
        pending = self._open(found)
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
        """Publishes these streams up to their heads, as long as they are ours and not held."""
        moved = 0
        left = list(pending)
        while left:
            entries = await self._backlog.entries(left, self._batch)
            if not entries:
                break
            refused = await self._call(entries)
            positions = accepted(entries, refused)
            if positions:
                await self._backlog.move(self.consumer, positions)
            self._settle(positions, refused)
            count = len(entries) - len(refused)
            moved += count
            _published.add(count, {"topic": self.topic})
            self._batch = min(BATCH_MAX, self._batch * 10)
            # Asked before each call: a newcomer may have got some of our shards meanwhile.
            held = self._shards.held
            left = [
                one for one in self._open(advanced(left, positions)) if shard_of(one.stream) in held
            ]
        return moved

    async def _call(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Publishes; returns what was refused."""
        try:
            return await self._publisher.publish(self.topic, entries)
        except PublishFailed:
            # Alone in its call, a refused change looks like a broker that is away. So its stream
            # is held too: the next call has another, and tells the two apart.
            if len({entry.change.stream for entry in entries}) == 1:
                self._hold(entries[0].change.stream)
            raise

    def _settle(self, positions: Mapping[UUID, int], refused: Sequence[Entry]) -> None:
        """Holds the streams of refused changes, and lets go those that went on."""
        bad = {entry.change.stream for entry in refused}
        for stream in positions.keys() - bad:
            self._holds.pop(stream, None)
        for stream in bad:
            self._hold(stream)
        if refused:
            _failures.add(len(refused), {"topic": self.topic, "kind": "refused"})
            first = refused[0].change
            facts = {"stream": str(first.stream), "seq": first.seq, "refused": len(refused)}
            log.warning("relay.refused", extra={"topic": self.topic, **facts})

    def _hold(self, stream: UUID) -> None:
        held = self._holds.get(stream)
        wait = RETRY_FIRST_S if held is None else min(RETRY_LAST_S, 2 * held.wait)
        self._holds[stream] = _Hold(asyncio.get_running_loop().time() + wait, wait)

    def _open(self, pending: Sequence[Pending]) -> list[Pending]:
        """Returns those of them that are not held now."""
        now = asyncio.get_running_loop().time()
        self._holds = {s: one for s, one in self._holds.items() if one.until + FORGET_S > now}
        return [
            one
            for one in pending
            if (held := self._holds.get(one.stream)) is None or held.until <= now
        ]

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
            try:
                await self.measure()
            except Exception as error:
                # An outage is told by `_publish`.
                if not isinstance(error, OSError | Unavailable):
                    log.warning("relay.not_measured", exc_info=error, extra={"topic": self.topic})
            await asyncio.sleep(LAG_EVERY_S)

    async def measure(self) -> None:
        """Looks how far the topic is behind, over the shards that are ours."""
        shards = self._shards.held
        self._lag = await self._backlog.lag(self.consumer, self.topic.streams, shards)

    @property
    def lag(self) -> Lag:
        """How far the topic was behind at the last look, over the shards that were ours."""
        return self._lag

    @property
    def held(self) -> int:
        """How many streams wait, because the broker refused a change of theirs."""
        return len(self._holds)

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


def _held(_options: CallbackOptions) -> Sequence[Observation]:
    return [Observation(one.held, {"topic": topic}) for topic, one in _relays.items()]


# Each process tells of its own shards: over processes, add up what is pending and held, and take
# the greatest age.
_meter.create_observable_gauge(
    "carillon.relay.pending", [_pending], description="Changes not published yet"
)
_meter.create_observable_gauge(
    "carillon.relay.held", [_held], description="Streams that wait since a change was refused"
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
