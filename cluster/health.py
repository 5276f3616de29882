"""Whether a program answers that it is well."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx

ANSWER_MAX_S = 2.0


@asynccontextmanager
async def answering(url: str, status: int) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Yields what asks the endpoint, over one client, and tells whether it gave this status."""
    async with httpx.AsyncClient(timeout=ANSWER_MAX_S, trust_env=False) as client:

        async def answers() -> bool:
            try:
                return (await client.get(url)).status_code == status
            except httpx.TransportError:
                return False

        yield answers
