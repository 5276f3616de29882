"""A timer ticks after its first wait and then each period, a little later by chance."""

import asyncio

import pytest

from domain.errors import Unavailable
from workers.timer import Timing, ticking


class Enough(Exception):
    """Ends a timer's loop from within its wait."""


class Waits:
    """Waits no time at all, and keeps how long it was asked to; ends after `most`."""

    def __init__(self, most: int) -> None:
        self.asked: list[float] = []
        self._most = most

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        if len(self.asked) > self._most:
            raise Enough
        await asyncio.sleep(0)


async def test_the_first_tick_comes_early_and_the_others_once_a_period() -> None:
    waits, ticks = Waits(20), 0

    async def tick() -> None:
        nonlocal ticks
        ticks += 1

    with pytest.raises(Enough):
        await ticking("bell", tick, Timing(first_s=10.0, period_s=1_000.0), sleep=waits)

    assert ticks == 20
    assert 10.0 <= waits.asked[0] <= 11.0
    assert all(1_000.0 <= asked <= 1_100.0 for asked in waits.asked[1:])
    assert len(set(waits.asked)) == len(waits.asked)


async def test_a_tick_that_fails_is_told_and_the_next_one_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures: list[Exception] = [Unavailable("away"), RuntimeError("a bug")]
    waits = Waits(3)

    async def tick() -> None:
        if failures:
            raise failures.pop(0)

    with pytest.raises(Enough):
        await ticking("bell", tick, Timing(first_s=0.0, period_s=1.0), sleep=waits)

    assert failures == []
    told = [(record.message, record.exc_info is not None) for record in caplog.records]
    assert told == [("timer.tick_failed", False), ("timer.tick_failed", True)]
