"""Calls something at its instant: never before it, at once when it has come, so many at a time.

Instants are of the wall clock, waiting is by the event loop's. Where the wall clock is set, nothing
is early, and what has become due by it is late by a nap at most.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

from domain.channels import ChannelName
from domain.ledger import Claimed
from domain.ports import Clock

log = logging.getLogger(__name__)

# How long a set clock may go unnoticed.
NAP_MAX_S = 1.0

Fire: TypeAlias = Callable[[Claimed], Awaitable[None]]


class Schedule:
    """The claimed deliveries of this process; one channel's slowness is no other's."""

    def __init__(self, fire: Fire, clock: Clock, at_once: Mapping[ChannelName, int]) -> None:
        """Takes how many of each channel may be under way at a time."""
        self._lanes = {channel: _Lane(fire, clock, at_most) for channel, at_most in at_once.items()}

    @property
    def held(self) -> int:
        """How many wait or are under way."""
        return sum(lane.held for lane in self._lanes.values())

    @property
    def tokens(self) -> frozenset[UUID]:
        """By which holds."""
        return frozenset(one.token for lane in self._lanes.values() for one in lane.all())

    def add(self, claimed: Iterable[Claimed]) -> None:
        """Takes deliveries whose instants may have come already."""
        for one in claimed:
            self._lanes[one.delivery.channel].add(one)

    async def run(self) -> None:
        """Works until cancelled; what is under way then goes on."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes.values():
                group.create_task(lane.run())

    def stop(self) -> Sequence[Claimed]:
        """Begins nothing any more, and returns what was not begun."""
        return [one for lane in self._lanes.values() for one in lane.stop()]

    async def finished(self) -> None:
        """Waits for the end of what is under way."""
        await asyncio.gather(*(lane.finished() for lane in self._lanes.values()))


class _Lane:
    """One channel's: a heap by instant, and what is under way."""

    def __init__(self, fire: Fire, clock: Clock, at_most: int) -> None:
        self._fire = fire
        self._clock = clock
        self._at_most = at_most
        self._count = itertools.count()
        self._waiting: list[tuple[float, int, Claimed]] = []
        self._under_way: dict[asyncio.Task[None], Claimed] = {}
        self._woken = asyncio.Event()
        self._is_stopped = False

    @property
    def held(self) -> int:
        return len(self._waiting) + len(self._under_way)

    def all(self) -> Iterator[Claimed]:
        yield from (one for _, _, one in self._waiting)
        yield from self._under_way.values()

    def add(self, one: Claimed) -> None:
        at = one.delivery.fire_at.timestamp()
        heapq.heappush(self._waiting, (at, next(self._count), one))
        self._woken.set()

    async def run(self) -> None:
        while True:
            self._woken.clear()
            wait = self._wait()
            if wait is None or wait > 0:
                await self._nap(wait)
            else:
                self._start(heapq.heappop(self._waiting)[2])

    def stop(self) -> Sequence[Claimed]:
        self._is_stopped = True
        left = [one for _, _, one in self._waiting]
        self._waiting.clear()
        return left

    async def finished(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _wait(self) -> float | None:
        """Returns the seconds until the next one, None where only a wake can bring one."""
        if self._is_stopped or not self._waiting or len(self._under_way) >= self._at_most:
            return None
        first = self._waiting[0][2].delivery.fire_at
        return (first - self._clock.now()).total_seconds()

    async def _nap(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(None if seconds is None else min(seconds, NAP_MAX_S)):
                await self._woken.wait()
        except TimeoutError:
            return

    def _start(self, one: Claimed) -> None:
        task = asyncio.ensure_future(self._fire(one))
        self._under_way[task] = one
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._under_way[task]
        self._woken.set()
        if not task.cancelled() and task.exception() is not None:
            # A bug. Nobody knows its token any more, so it is claimed again.
            log.error("delivery.crashed", exc_info=task.exception())
