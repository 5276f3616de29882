"""Follows the log of the workspaces that somebody listens to. Implements EventSource.

There is one cursor per active workspace and none over all: commits of different workspaces
overtake each other, so no position in one order would be safe to continue from.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from domain.ids import WorkspaceId
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

    async def moved(
        self, cursors: Mapping[WorkspaceId, int], limit: int
    ) -> Mapping[WorkspaceId, Moved]:
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
        self._cursors: dict[WorkspaceId, _Cursor] = {}
        self._hinted: set[WorkspaceId] = set()
        self._woken = asyncio.Event()

    def follow(self, workspace: WorkspaceId, after: int, sink: Sink) -> None:
        """See `EventSource.follow`."""
        self._cursors[workspace] = _Cursor(after, sink)
        # What was committed between the reading of `after` and now has had its hint.
        self._wake(workspace)

    def unfollow(self, workspace: WorkspaceId) -> None:
        """See `EventSource.unfollow`."""
        self._cursors.pop(workspace, None)

    def hint(self, workspace: WorkspaceId, seq: int) -> None:
        """See `EventSource.hint`."""
        cursor = self._cursors.get(workspace)
        if cursor is not None and seq > cursor.seq:
            self._wake(workspace)

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

    def _wake(self, workspace: WorkspaceId) -> None:
        self._hinted.add(workspace)
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

    async def _round(self, cursors: Mapping[WorkspaceId, _Cursor]) -> None:
        asked = dict(cursors)
        if not asked:
            return
        async with asyncio.timeout(READ_TIMEOUT_S):
            moved = await self._log.moved({s: cursor.seq for s, cursor in asked.items()}, ROWS_MAX)
        for stream, news in moved.items():
            # Somebody may have left, and come again with another cursor, while this was read.
            if self._cursors.get(stream) is asked[stream]:
                self._deliver(stream, asked[stream], news)

    def _deliver(self, stream: WorkspaceId, cursor: _Cursor, news: Moved) -> None:
        if news.changes and news.changes[0].seq == cursor.seq + 1:
            cursor.sink.append(news.changes)
            cursor.seq = news.changes[-1].seq
            if cursor.seq < news.head:
                self._wake(stream)
            return
        # The log went backwards, or no longer reaches back to the cursor.
        log.warning(
            "tail.jumped",
            extra={"workspace": str(stream), "cursor": cursor.seq, "head": news.head},
        )
        cursor.sink.jump(news.head)
        cursor.seq = news.head
