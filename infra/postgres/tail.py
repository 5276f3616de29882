"""Follows the log of the workspaces that somebody listens to. Implements EventSource.

There is one cursor per active workspace and none over all: commits of different workspaces
overtake each other, so no position in one order would be safe to continue from.
"""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from domain.changes import Change
from domain.messages import Sink
from infra.postgres.log import Moved

log = logging.getLogger(__name__)

# How long a change of another process may go unseen; a round costs one statement.
POLL_S = 0.25
# Of one workspace and round: a bulk write must not keep its neighbours waiting.
ROWS_MAX = 256
# A statement that takes longer hangs on a connection that is gone.
READ_TIMEOUT_S = 5.0
# Backoff while the database is away, doubled from the first to the last with jitter: long enough
# to let it start, short enough that nobody notices a restart.
RETRY_FIRST_S = 0.1
RETRY_LAST_S = 3.0


class Source(Protocol):
    """The part of the log that a tail reads."""

    async def moved(self, cursors: Mapping[UUID, int], limit: int) -> Mapping[UUID, Moved]:
        """Returns the streams that are not at their cursor, each with its next changes."""
        ...


@dataclass(slots=True)
class _Cursor:
    seq: int
    sink: Sink


class PostgresTail:
    """One loop: hints are read at once and together, everything else every `poll_s` seconds."""

    def __init__(self, source: Source, *, poll_s: float = POLL_S) -> None:
        self._log = source
        self._poll_s = poll_s
        self._cursors: dict[UUID, _Cursor] = {}
        self._hinted: set[UUID] = set()
        self._woken = asyncio.Event()

    def follow(self, stream: UUID, after: int, sink: Sink) -> None:
        """See `EventSource.follow`."""
        self._cursors[stream] = _Cursor(after, sink)
        # What was committed between the reading of `after` and now has had its hint.
        self._wake(stream)

    def unfollow(self, stream: UUID) -> None:
        """See `EventSource.unfollow`."""
        self._cursors.pop(stream, None)

    def hint(self, stream: UUID, seq: int) -> None:
        """See `EventSource.hint`."""
        cursor = self._cursors.get(stream)
        if cursor is not None and seq > cursor.seq:
            self._wake(stream)

    def offer(self, changes: Sequence[Change]) -> None:
        """Takes changes of one stream that a broker brought, in their order, maybe again.

        The next one is delivered at once; where one is missing the log is read.
        """
        cursor = self._cursors.get(changes[0].stream)
        if cursor is None:
            return
        new = [change for change in changes if change.seq > cursor.seq]
        if not new:
            return
        if new[0].seq == cursor.seq + 1 and new[-1].seq == cursor.seq + len(new):
            cursor.sink.append(new)
            cursor.seq = new[-1].seq
        else:
            self._wake(changes[0].stream)

    def pace(self, poll_s: float) -> None:
        """Changes how often the log is polled: seldom while a broker brings what happens."""
        self._poll_s = poll_s
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled; an outage of the database only delays it."""
        wait = RETRY_FIRST_S
        away = False
        poll_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:  # the loop of a worker: whatever happens, it goes on
                if loop.time() >= poll_at:
                    # Counted from the start of the round: a busy workspace postpones no poll.
                    poll_at = loop.time() + self._poll_s
                    self._hinted.clear()
                    await self._round(self._cursors)
                else:
                    await self._hinted_round()
            except Exception as error:
                if not away:
                    log.warning("tail.failed", exc_info=error)
                away = True
                poll_at = 0.0
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                wait = min(2 * wait, RETRY_LAST_S)
                continue
            if away:
                log.info("tail.recovered")
            away = False
            wait = RETRY_FIRST_S
            await self._pause(poll_at - loop.time())

    def _wake(self, stream: UUID) -> None:
        self._hinted.add(stream)
        self._woken.set()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _hinted_round(self) -> None:
        hinted, self._hinted = self._hinted, set()
        self._woken.clear()
        await self._round(
            {stream: self._cursors[stream] for stream in hinted if stream in self._cursors}
        )

    async def _round(self, cursors: Mapping[UUID, _Cursor]) -> None:
        asked = {stream: (cursor, cursor.seq) for stream, cursor in cursors.items()}
        if not asked:
            return
        async with asyncio.timeout(READ_TIMEOUT_S):
            moved = await self._log.moved({s: seq for s, (_, seq) in asked.items()}, ROWS_MAX)
        for stream, news in moved.items():
            cursor, seq = asked[stream]
            # Somebody may have left, and come again with another cursor, while this was read.
            if self._cursors.get(stream) is cursor:
                self._deliver(stream, cursor, seq, news)

    def _deliver(self, stream: UUID, cursor: _Cursor, asked: int, news: Moved) -> None:
        if news.changes and news.changes[0].seq == asked + 1:
            # What was offered while this was read has been delivered.
            new = [change for change in news.changes if change.seq > cursor.seq]
            if new:
                cursor.sink.append(new)
                cursor.seq = new[-1].seq
            if cursor.seq < news.head:
                self._wake(stream)
            return
        # The log went backwards, or no longer reaches back to the cursor.
        log.warning(
            "tail.jumped", extra={"stream": str(stream), "cursor": cursor.seq, "head": news.head}
        )
        cursor.sink.jump(news.head)
        cursor.seq = news.head
