"""Applies each change of each stream exactly once and in order, whatever delivers them.

A delivery may come twice, late, or not at all; the position says what comes next, and the log has
it. Each change is applied in one transaction with the position's move:

1. Take the stream's turn. A change at or before the position was applied: nothing to do.
2. The next change is the delivered one, or, where something is missing, the log's.
3. The handler does its work within the turn, then the position moves.
4. What fails each time is parked in its place, and the stream goes on.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

from opentelemetry import metrics

from domain.changes import Change
from domain.errors import Stale, Unavailable
from domain.events import KINDS, VERSION, Delivered
from domain.inbox import Inbox, Parked, Turn

log = logging.getLogger(__name__)

# A bug fails each time; what fails for another reason has had three chances by then.
ATTEMPTS = 3
# Failing changes whose attempts are counted at once; forgetting one only tries it more often.
FAILING_MAX = 1_000
# Somebody reads it to find out what to mend.
REASON_MAX_CHARS = 1_000

# Does its work through the turn's store, so that it commits with the position.
Handler: TypeAlias = Callable[[Change, Turn], Awaitable[None]]

_meter = metrics.get_meter("carillon.workers")
_changes = _meter.create_counter(
    "carillon.consumer.changes",
    description="Deliveries by outcome: applied, repeated, failed, parked",
)


class Unreadable(Exception):
    """A change of a kind, or in a version, that this release does not know: newer code wrote it."""


class Consumer:
    """One consumer of one kind of streams; `name` is its position's."""

    def __init__(self, name: str, *, handler: Handler, inbox: Inbox) -> None:
        self.name = name
        self._handler = handler
        self._inbox = inbox
        self._failures: OrderedDict[tuple[UUID, int], int] = OrderedDict()

    async def take(self, delivered: Delivered) -> None:
        """Applies the delivered change, and all before it in its stream that were not applied yet.

        Raises:
            Exception: the handler's; deliver again, and it is tried again.
            Unavailable: the database did not answer; deliver again.
        """
        while await self._step(delivered):
            pass

    async def redrive(self) -> tuple[int, int]:
        """Runs what is parked again, from the log; returns how many were applied, how many not."""
        done = left = 0
        for parked in await self._inbox.parked(self.name):
            try:
                async with self._inbox.again(parked) as turn:
                    if turn is not None:
                        await self._apply(await _logged(parked, turn), turn)
            except Exception as error:
                log.warning("consumer.still_parked", exc_info=error, extra=self._facts(parked))
                left += 1
            else:
                done += 1
        return done, left

    async def _step(self, delivered: Delivered) -> bool:
        """Takes one change; returns whether there is more to take."""
        due: Change | None = None
        try:
            async with self._inbox.turn(self.name, delivered.stream) as turn:
                due = await self._due(turn, delivered)
                if due is None:
                    return False
                await self._apply(
                    due, turn, delivered.version if due.seq == delivered.seq else VERSION
                )
                await turn.move(due.seq)
        except Exception as error:
            if due is None or not self._is_final(due, error):
                raise
            await self._park(due, error)
        else:
            self._failures.pop((due.stream, due.seq), None)
            self._count("applied")
        return due.seq < delivered.seq

    async def _due(self, turn: Turn, delivered: Delivered) -> Change | None:
        """Returns the change that comes next in the stream; None where it is all applied."""
        if turn.position >= delivered.seq:
            self._count("repeated")
            return None
        if delivered.change is not None and delivered.seq == turn.position + 1:
            return delivered.change
        stream = delivered.stream
        following = await turn.following(turn.position)
        facts = {"consumer": self.name, "stream": str(stream), "position": turn.position}
        if following is None:
            # Delivered, and not in the log: the database was restored from a backup.
            log.error("consumer.beyond_log", extra={**facts, "seq": delivered.seq})
            return None
        if following.seq > turn.position + 1:
            log.error("consumer.log_pruned", extra={**facts, "seq": following.seq})
        return following

    async def _apply(self, change: Change, turn: Turn, version: int = VERSION) -> None:
        # The log's own word, where the change came from there.
        version = max(version, change.version)
        if version > VERSION:
            raise Unreadable(f"A newer release wrote it, in version {version}.")
        if change.kind not in KINDS:
            raise Unreadable(f"This release knows no change of kind {change.kind}.")
        await self._handler(change, turn)

    def _is_final(self, change: Change, error: Exception) -> bool:
        """Counts a failure; tells whether trying again would be of no use."""
        if isinstance(error, Unreadable):
            return True
        if isinstance(error, OSError | Unavailable | Stale):
            return False
        key = (change.stream, change.seq)
        failures = self._failures.pop(key, 0) + 1
        self._failures[key] = failures
        if len(self._failures) > FAILING_MAX:
            self._failures.popitem(last=False)
        self._count("failed")
        log.warning("consumer.failed", exc_info=error, extra=self._facts(change))
        return failures >= ATTEMPTS

    async def _park(self, change: Change, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"[:REASON_MAX_CHARS]
        async with self._inbox.turn(self.name, change.stream) as turn:
            # Another process may have come further meanwhile.
            if turn.position < change.seq:
                await turn.park(change.seq, reason)
                await turn.move(change.seq)
        self._failures.pop((change.stream, change.seq), None)
        self._count("parked")
        log.error("consumer.parked", extra={**self._facts(change), "reason": reason})

    def _facts(self, at: Change | Parked) -> dict[str, object]:
        return {"consumer": self.name, "stream": str(at.stream), "seq": at.seq}

    def _count(self, outcome: str) -> None:
        _changes.add(1, {"consumer": self.name, "outcome": outcome})


async def _logged(parked: Parked, turn: Turn) -> Change:
    found = await turn.following(parked.seq - 1)
    if found is None or found.seq != parked.seq:
        raise LookupError("The log does not have this change any more.")
    return found
