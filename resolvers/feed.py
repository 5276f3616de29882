"""One workspace's changes, from memory where it reaches back far enough, else from the log."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from domain.changes import Change
from domain.errors import Invisible, Unavailable
from domain.ids import WorkspaceId
from domain.messages import ResyncReason, ResyncRequired
from domain.ports import Head, Log
from resolvers.ring import RING_MAX_CHANGES, Ring

T = TypeVar("T")

# What a reader catching up takes at once: about one write.
PAGE_MAX_CHANGES = 64
# A gap that is there each time is no race with a commit or with pruning.
PAGE_ATTEMPTS = 5
# Waits while the database is away, doubled from first to last, with jitter: every reader has one.
RETRY_FIRST_S = 0.1
RETRY_LAST_S = 3.0


class Feed:
    """The changes after any position; `reads` bounds the readers of the log in this process."""

    def __init__(self, workspace: WorkspaceId, log: Log, reads: asyncio.Semaphore) -> None:
        self.workspace = workspace
        self._log = log
        self._reads = reads
        self._ring = Ring(0)

    @property
    def head(self) -> int:
        """The last seq that has arrived here."""
        return self._ring.head

    def extend(self, changes: Sequence[Change], max_bytes: int) -> None:
        """Takes what follows the head; keeps the latest `max_bytes`."""
        self._ring.extend(changes, max_bytes)

    def reset(self, head: int) -> None:
        """Begins anew; what follows is after `head`."""
        self._ring.clear(head)

    def recent(self, after: int) -> list[Change] | None:
        """Returns all that follows `after`, None where memory does not reach back to it."""
        return self._ring.after(after, RING_MAX_CHANGES)

    async def page(self, after: int) -> Sequence[Change] | ResyncRequired:
        """Returns what follows `after`, empty at the head, from memory or else the log."""
        recent = self._ring.after(after, PAGE_MAX_CHANGES)
        if recent is not None:
            return recent
        for _ in range(PAGE_ATTEMPTS):
            async with self._reads:
                changes = await self._log.read(self.workspace, after, PAGE_MAX_CHANGES)
            if changes and changes[0].seq == after + 1:
                return changes
            stored = await self.stored()
            if stored.head < after:
                reason = ResyncReason.LOG_RESTORED
                return ResyncRequired(seq=after, reason=reason, head=stored.head)
            if stored.floor > after:
                reason = ResyncReason.LOG_PRUNED
                return ResyncRequired(seq=after, reason=reason, head=stored.head)
            if stored.head == after:
                return []
        raise RuntimeError(f"the log of {self.workspace} has a gap after {after}")

    async def stored(self) -> Head:
        """Returns where the workspace's log stands in the database.

        Raises:
            Invisible: there is no such workspace.
        """
        heads = await self._log.heads([self.workspace])
        if self.workspace not in heads:
            raise Invisible
        return heads[self.workspace]


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Returns what `call` returns, once the database answers; its outage is logged by the tail."""
    wait = RETRY_FIRST_S
    while True:
        try:
            return await call()
        except (OSError, Unavailable):
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait = min(2 * wait, RETRY_LAST_S)
