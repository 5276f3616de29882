"""Sends what is due: claims it in time, begins it at its instant, records what became of it.

1. A tick claims all that is due before the next one; a scan, or a wake by what was just written,
   claims what has become due in between. What is late is settled by its person's wish.
2. At its instant each is begun: a conditional update, which finds it taken back, put off or taken
   over, and brings what is true now.
3. Preferences say whether it is sent now, later, or not.
4. It is sent, unless its provider is away, and the result is recorded with all that follows.
5. On the way out nothing new is begun, what was not begun is given back, the rest is finished.
"""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from domain.deliveries import Delivery
from domain.errors import Unavailable
from domain.ids import DeliveryId
from domain.lateness import is_late, settled
from domain.ledger import Claimed, Ended, Ledger
from domain.ports import Clock
from domain.reminders import next_nag
from workers.schedule import Schedule
from workers.sending import AT_ONCE, Sending

log = logging.getLogger(__name__)

# The cron binding ticks every 15 s; a late tick must not make a delivery late.
HORIZON = timedelta(seconds=20)
# How late something may be that becomes due right after it was written, where nobody wakes us.
SCAN_S = 1.0
# In memory at a time, at some 2 kB each; what is beyond stays in the ledger for others.
HELD_MAX = 5_000
# While the database is away, what is under way waits for it for so long; then it is claimed again.
PATIENCE_FIRST_S = 0.1
PATIENCE_LAST_S = 2.0
PATIENCE_S: Final = 30.0

Result = TypeVar("Result")


class Notifier:
    """One process's part in sending what is due."""

    def __init__(self, ledger: Ledger, sending: Sending, clock: Clock) -> None:
        self._ledger = ledger
        self._sending = sending
        self._clock = clock
        self._schedule = Schedule(self._deliver, clock, AT_ONCE)
        self._claiming = asyncio.Lock()
        self._woken = asyncio.Event()
        self._is_stopping = False

    @property
    def held(self) -> int:
        """How many deliveries wait here for their instants, or are under way."""
        return self._schedule.held

    def wake(self) -> None:
        """Learns that something was written that may be due soon; a lost wake costs one scan."""
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled; what the database's absence delays is done when it is back."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._schedule.run())
            group.create_task(self._scan())

    async def tick(self) -> None:
        """Claims what is due before the next tick; ticks may overlap.

        Raises:
            Unavailable: the database is away; the next tick does it.
        """
        while await self._claim():
            pass

    async def stop(self) -> None:
        """Begins nothing new, gives back what was not begun, and waits for what is under way.

        Call it while `run` runs, which keeps the holds meanwhile.
        """
        self._is_stopping = True
        async with self._claiming:
            left = self._schedule.stop()
        with suppress(OSError, Unavailable):
            # Otherwise their lease ends by itself.
            await self._ledger.release(left)
        await self._schedule.finished()

    async def _scan(self) -> None:
        wait = SCAN_S
        while True:
            self._woken.clear()
            try:
                await self.tick()
                wait = SCAN_S
            except Exception as error:  # the loop of a worker: it goes on, and tells
                known = isinstance(error, OSError | Unavailable)
                log.warning(
                    "notifications.scan_failed",
                    exc_info=None if known else error,
                    extra={"said": str(error)},
                )
                wait = min(10 * SCAN_S, 2 * wait)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait * random.uniform(0.8, 1.0)):  # noqa: S311 - jitter
                    await self._woken.wait()

    async def _claim(self) -> bool:
        """Claims what there is room for; tells whether there may be more that has room."""
        async with self._claiming:
            # Also without room: a claim says that this worker is alive, and keeps what it has.
            room = 0 if self._is_stopping else max(0, HELD_MAX - self._schedule.held)
            until = self._clock.now() + HORIZON
            found = await self._ledger.claim(until, room, self._schedule.tokens)
            self._schedule.add(await self._settled(found))
            return 0 < room <= len(found)

    async def _settled(self, found: Sequence[Claimed]) -> Sequence[Claimed]:
        """Returns what is to be sent, after what is late was settled and recorded."""
        at = self._clock.now()
        persons: dict[UUID, list[Claimed]] = defaultdict(list)
        for one in found:
            if is_late(one.delivery, at):
                persons[one.delivery.recipient].append(one)
        over: dict[DeliveryId, Delivery] = {}
        for late in persons.values():
            rows = settled(late[0].late, [one.delivery for one in late], at).over
            over |= {row.id: row for row in rows}
        ended = [self._over(one, over[one.delivery.id]) for one in found if one.delivery.id in over]
        if ended:
            await self._patiently(lambda: self._ledger.end(ended))
        return [one for one in found if one.delivery.id not in over]

    def _over(self, claimed: Claimed, row: Delivery) -> Ended:
        following = next_nag(row, claimed.nag, self._clock.now())
        return Ended(
            claimed=claimed, delivery=row, follow=() if following is None else (following,)
        )

    async def _deliver(self, claimed: Claimed) -> None:
        try:
            ready = await self._patiently(lambda: self._ledger.begin(claimed))
            if ready is None:
                return
            ended = await self._sending.send(claimed, ready)
            await self._patiently(lambda: self._ledger.end([ended]))
        except (OSError, Unavailable) as error:
            facts = {"delivery": str(claimed.delivery.id), "said": str(error)}
            log.warning("delivery.left", extra=facts)
            return
        if ended.follow:
            self.wake()

    async def _patiently(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Calls the ledger again while it is away, but not for ever."""
        loop = asyncio.get_running_loop()
        until, wait = loop.time() + PATIENCE_S, PATIENCE_FIRST_S
        while True:
            try:
                return await call()
            except (OSError, Unavailable):
                if loop.time() + wait > until:
                    raise
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait = min(PATIENCE_LAST_S, 2 * wait)
