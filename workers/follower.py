"""Brings a consumer what it has not had, from the log itself, where no broker delivers or did not.

What does not concern the consumer is passed over many changes at a time; what does is taken one by
one, as a delivery is.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from uuid import UUID

from domain.changes import Change
from domain.errors import PASSING
from domain.events import Delivered
from domain.outbox import Backlog, Entry, Lag, Pending, Streams
from workers.deliveries import Taker
from workers.relay import advanced
from workers.shards import Shards

log = logging.getLogger(__name__)

STREAMS_MAX = 1_000
BATCH_MAX = 200
# Looking costs as much as a small mutation: many commits share one look.
PACE_S = 0.1
# Where nobody wakes us: how late a change of another process may be.
POLL_S = 1.0
# Beside a broker: it takes milliseconds, and a look costs little.
CATCH_UP_S = 5.0
RETRY_S = 2.0


class Overdue:
    """The part of a backlog that a broker has had its time for, and did not bring.

    A sidecar that gave up on an event never brings it again, nor the end of its stream. A stream is
    overdue when it has not come as far as its head was at the look before.
    """

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._heads: Mapping[UUID, int] = {}

    async def pending(
        self, consumer: str, streams: Streams, shards: Sequence[int], limit: int
    ) -> Sequence[Pending]:
        """See `Backlog.pending`; all of it where it fills the limit, and looks do not compare."""
        found = await self._backlog.pending(consumer, streams, shards, limit)
        before, self._heads = self._heads, {one.stream: one.head for one in found}
        if len(found) < limit:
            found = [one for one in found if one.after < before.get(one.stream, 0)]
        if found:
            log.warning("follower.overdue", extra={"consumer": consumer, "streams": len(found)})
        return found

    async def entries(self, pending: Sequence[Pending], limit: int) -> Sequence[Entry]:
        """See `Backlog.entries`."""
        return await self._backlog.entries(pending, limit)

    async def move(self, consumer: str, positions: Mapping[UUID, int]) -> None:
        """See `Backlog.move`."""
        await self._backlog.move(consumer, positions)

    async def lag(self, consumer: str, streams: Streams, shards: Sequence[int]) -> Lag:
        """See `Backlog.lag`."""
        return await self._backlog.lag(consumer, streams, shards)


class Follower:
    """Follows the log of all workspaces, among the shards that are ours, for one consumer."""

    def __init__(
        self,
        consumer: Taker,
        concerns: Callable[[Change], bool],
        *,
        backlog: Backlog,
        shards: Shards,
        poll_s: float = POLL_S,
    ) -> None:
        self._consumer = consumer
        self._concerns = concerns
        self._backlog = backlog
        self._shards = shards
        self._poll_s = poll_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Learns that something was committed; a lost wake costs one poll."""
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled; whatever fails is tried again."""
        while True:
            self._woken.clear()
            try:
                await self.step()
            except Exception as error:  # noqa: BLE001 - the loop goes on, and tells
                self._warn(error)
                await asyncio.sleep(RETRY_S)
                continue
            await asyncio.sleep(PACE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._woken.wait()

    async def step(self) -> None:
        """Brings all that is pending; one stream that fails is left where it is.

        Raises:
            Unavailable: the database did not answer.
        """
        name, shards = self._consumer.name, self._shards.held
        if not shards:
            return
        left = await self._backlog.pending(name, Streams.WORKSPACES, shards, STREAMS_MAX)
        while left:
            entries = await self._backlog.entries(left, BATCH_MAX)
            if not entries:
                break
            last, failed = await self._brought(entries)
            left = [one for one in advanced(left, last) if one.stream not in failed]

    async def _brought(self, entries: Sequence[Entry]) -> tuple[dict[UUID, int], set[UUID]]:
        """Returns the last seq of each stream, and which of them failed."""
        last: dict[UUID, int] = {}
        passed: dict[UUID, int] = {}
        failed: set[UUID] = set()
        for entry in entries:
            change = entry.change
            if change.stream in failed:
                continue
            last[change.stream] = change.seq
            if not self._concerns(change):
                passed[change.stream] = change.seq
                continue
            if change.stream in passed:
                await self._move({change.stream: passed.pop(change.stream)})
            if not await self._is_taken(change):
                failed.add(change.stream)
        if passed:
            await self._move(passed)
        return last, failed

    async def _is_taken(self, change: Change) -> bool:
        delivered = Delivered(
            stream=change.stream, seq=change.seq, version=change.version, change=change
        )
        try:
            await self._consumer.take(delivered)
        except Exception as error:  # noqa: BLE001 - told, and tried again
            # It is brought again by the next step, and parked where that is of no use.
            self._warn(error)
            return False
        return True

    async def _move(self, positions: dict[UUID, int]) -> None:
        await self._backlog.move(self._consumer.name, positions)

    def _warn(self, error: Exception) -> None:
        log.warning(
            "follower.failed",
            exc_info=None if isinstance(error, PASSING) else error,
            extra={"consumer": self._consumer.name, "said": str(error)},
        )
