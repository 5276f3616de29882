"""Ticks of a timer, where no sidecar brings them."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from domain.errors import PASSING
from workers.app import Tick

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a timer ticks: first after `first_s`, then every `period_s` after the last one's end.

    Each wait is longer by up to the share `jitter` of it, by chance: processes that started
    together shall not tick together.
    """

    first_s: float
    period_s: float
    jitter: float = 0.1


async def ticking(
    name: str,
    tick: Tick,
    timing: Timing,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Ticks until cancelled; a tick that fails is logged, and the next one comes all the same."""
    wait_s = timing.first_s
    while True:
        await sleep(wait_s * random.uniform(1.0, 1.0 + timing.jitter))  # noqa: S311 - jitter
        wait_s = timing.period_s
        try:
            await tick()
        except Exception as error:  # the loop of a worker: whatever happens, it goes on
            known = isinstance(error, PASSING)
            log.warning(
                "timer.tick_failed",
                exc_info=None if known else error,
                extra={"timer": name, "said": str(error)},
            )
