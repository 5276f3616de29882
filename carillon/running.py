"""What every process has beside what it serves: work that runs all the time, and readiness."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager

from domain.errors import Unavailable
from infra.dapr.sidecar import Sidecar
from infra.postgres.lanes import Lanes


@asynccontextmanager
async def running(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs all of them until the end of the block, then cancels them and waits for their end.

    Each goes on by itself through whatever can be expected; one that fails all the same ends the
    block, and with it the process, so that somebody starts it anew.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def readiness(lanes: Lanes, sidecar: Sidecar | None) -> Callable[[], Awaitable[str | None]]:
    """Returns what tells why the process cannot work now, None when it can."""

    async def ready() -> str | None:
        try:
            await lanes.fetchval("SELECT 1")
        except Unavailable as error:
            return str(error)
        if sidecar is not None and not await sidecar.is_ready():
            return "The sidecar is not ready."
        return None

    return ready
