"""Applies each change of each stream exactly once and in order, whatever delivers them.

A delivery may come twice, late, or not at all; the position says what comes next, and the log has
it. Each change is applied in one transaction with the position's move:

1. Take the stream's turn. A change at or before the position was applied: nothing to do.
2. The next change is the delivered one, or, where something is missing, the log's.
3. The handler does its work within the turn, then the position moves.
4. What fails each time is parked in its place, and the stream goes on. So is what the log does not
   have any more, its first number for all of it.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeAlias
from uuid import UUID

from opentelemetry import metrics

from domain.changes import Change
from domain.errors import PASSING
from domain.events import KINDS, VERSION, Delivered, Malformed
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
    description="Deliveries by outcome: applied, repeated, failed, parked, beyond (the log's end)",
)


class Unreadable(Exception):
    """A change of a kind, or in a version, that this release does not know: newer code wrote it."""


class Redriven(NamedTuple):
    """What came of parked changes.

    Attributes:
        applied: how many were.
        left: stay parked: they failed, or follow one that did.
        gone: are parked no more, but not by us: another redrive had them, or the log lost them.
    """

    applied: int
    left: int
    gone: int


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
            Malformed: the log ends before it: nobody who writes to this database made it.
            Unavailable: the database did not answer; deliver again.
        """
        while await self._step(delivered):
            pass

    async def redrive(self) -> Redriven:
        """Runs what is parked again, from the log; a stream's first failure ends its turn."""
        applied = left = gone = 0
        failed: set[UUID] = set()
        for parked in await self._inbox.parked(self.name):
            if parked.stream in failed:
                left += 1
                continue
            try:
                if await self._again(parked):
                    applied += 1
                else:
                    gone += 1
            except Exception as error:
                log.warning("consumer.still_parked", exc_info=error, extra=self._facts(parked))
                failed.add(parked.stream)
                left += 1
        return Redriven(applied, left, gone)

    async def _again(self, parked: Parked) -> bool:
        """Applies a parked change; returns False where there is nothing to apply any more."""
        async with self._inbox.again(parked) as turn:
            if turn is None:
                return False
            found = await turn.following(parked.seq - 1)
            if found is None or found.seq != parked.seq:
                log.error("consumer.lost", extra={**self._facts(parked), "reason": parked.reason})
                return False
            await self._apply(found, turn)
            return True

    async def _step(self, delivered: Delivered) -> bool:
        """Takes one change; returns whether there is more to take."""
        due: Change | None = None
        try:
            async with self._inbox.turn(self.name, delivered.stream) as turn:
                following = await self._following(turn, delivered)
                if following is None:
                    return False
                if following.seq > turn.position + 1:
                    await self._pass_over(delivered.stream, turn, following.seq - 1)
                    return True
                due = following
                await self._apply(due, turn)
                await turn.move(due.seq)
        except Exception as error:
            # Whoever brought it logs what is raised.
            if due is None or not self._is_final(due, error):
                raise
            await self._park(due, error)
        else:
            self._failures.pop((due.stream, due.seq), None)
            self._count("applied")
        return due.seq < delivered.seq

    async def _following(self, turn: Turn, delivered: Delivered) -> Change | None:
        """Returns the first change after the position; None where all is applied."""
        if turn.position >= delivered.seq:
            self._count("repeated")
            return None
        if delivered.change is not None and delivered.seq == turn.position + 1:
            return delivered.change
        following = await turn.following(turn.position)
        if following is None:
            # As after the database was restored from a backup. Parked it cannot be: the log will
            # have another change of its number.
            self._count("beyond")
            raise Malformed(
                f"The log of {delivered.stream} ends at {turn.position},"
                f" and this is {delivered.seq}: was the database restored?"
            )
        return following

    async def _pass_over(self, stream: UUID, turn: Turn, last: int) -> None:
        """Parks what the log has lost, up to `last`: one row, for there may be very many."""
        first = turn.position + 1
        reason = f"Pruned: the log has lost {first} to {last}, and they were never applied."
        await turn.park(first, reason)
        await turn.move(last)
        self._count("parked")
        facts = {"consumer": self.name, "stream": str(stream), "seq": first}
        log.error("consumer.parked", extra={**facts, "reason": reason})

    async def _apply(self, change: Change, turn: Turn) -> None:
        # The log's own word, where the change came from there.
        if change.version > VERSION:
            raise Unreadable(f"A newer release wrote it, in version {change.version}.")
        if change.kind not in KINDS:
            raise Unreadable(f"This release knows no change of kind {change.kind}.")
        await self._handler(change, turn)

    def _is_final(self, change: Change, error: Exception) -> bool:
        """Counts a failure; tells whether trying again would be of no use."""
        if isinstance(error, Unreadable):
            return True
        if isinstance(error, PASSING):
            return False
        key = (change.stream, change.seq)
        failures = self._failures.pop(key, 0) + 1
        self._failures[key] = failures
        if len(self._failures) > FAILING_MAX:
            self._failures.popitem(last=False)
        self._count("failed")
        log.warning("consumer.failed", extra={**self._facts(change), "failures": failures})
        return failures >= ATTEMPTS

    async def _park(self, change: Change, error: Exception) -> None:
        reason = _storable(f"{type(error).__name__}: {error}")[:REASON_MAX_CHARS]
        async with self._inbox.turn(self.name, change.stream) as turn:
            # Another process may have come further meanwhile.
            if turn.position < change.seq:
                await turn.park(change.seq, reason)
                await turn.move(change.seq)
        self._failures.pop((change.stream, change.seq), None)
        self._count("parked")
        log.error(
            "consumer.parked", exc_info=error, extra={**self._facts(change), "reason": reason}
        )

    def _facts(self, at: Change | Parked) -> dict[str, object]:
        return {"consumer": self.name, "stream": str(at.stream), "seq": at.seq}

    def _count(self, outcome: str) -> None:
        _changes.add(1, {"consumer": self.name, "outcome": outcome})


def _storable(text: str) -> str:
    """Returns a text without what PostgreSQL keeps in none: NUL, and halves of pairs."""
    return text.encode(errors="replace").decode().replace("\0", "?")
