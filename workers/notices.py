"""What nobody asked for one by one: that a task has become overdue, and the daily digest.

Both are rows of the ledger like any other, made when their time comes near, so that writing a task
costs nothing for them.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from domain.errors import Unavailable
from domain.ports import Clock

log = logging.getLogger(__name__)

# People who look at a task see it turn overdue at once; being told may take this long.
EVERY_S = 1.0
AWAY_S = 10.0


class Notices(Protocol):
    """Makes the rows; several processes may ask at once."""

    async def overdue(self, at: datetime) -> int:
        """Makes those of tasks that became overdue up to then; returns how many tasks it saw."""
        ...

    async def digests(self, at: datetime) -> int:
        """Makes the next digest of each person who wants one and has none; returns how many."""
        ...


class NoticeMaker:
    """One loop; what it makes, the notifier sends."""

    def __init__(self, notices: Notices, wake: Callable[[], None], clock: Clock) -> None:
        self._notices = notices
        self._wake = wake
        self._clock = clock

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            wait = EVERY_S
            try:
                if await self.step():
                    self._wake()
            except Exception as error:  # the loop of a worker: it goes on, and tells
                known = isinstance(error, OSError | Unavailable)
                log.warning(
                    "notices.failed",
                    exc_info=None if known else error,
                    extra={"said": str(error)},
                )
                wait = AWAY_S
            await asyncio.sleep(wait * random.uniform(0.8, 1.0))  # noqa: S311 - jitter

    async def step(self) -> int:
        """Makes what is to be made by now.

        Raises:
            Unavailable: the database is away; the next step does it.
        """
        at = self._clock.now()
        made = 0
        while count := await self._notices.overdue(at):
            made += count
        return made + await self._notices.digests(at)
