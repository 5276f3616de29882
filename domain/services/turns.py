"""Turns: one flush per workspace is in flight from a process.

A second one would only hold a database connection while it waits for the same row lock; and a
mutation that has lost a race once decides anew while nobody here can overtake it again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.errors import Unavailable
from domain.ids import WorkspaceId

# Longer than any healthy queue on one workspace, shorter than a client's patience.
WAIT_S = 5.0


class Turns:
    """Locks by workspace, kept only while somebody holds or awaits them."""

    def __init__(self) -> None:
        self._locks: dict[WorkspaceId, asyncio.Lock] = {}
        self._users: dict[WorkspaceId, int] = {}

    @asynccontextmanager
    async def of(self, workspace: WorkspaceId) -> AsyncIterator[None]:
        """Holds the workspace's turn; first come, first served.

        Raises:
            Unavailable: the turn did not come in time.
        """
        lock = self._locks.setdefault(workspace, asyncio.Lock())
        self._users[workspace] = self._users.get(workspace, 0) + 1
        try:
            try:
                async with asyncio.timeout(WAIT_S):
                    await lock.acquire()
            except TimeoutError as error:
                raise Unavailable("The workspace is busy; try again.") from error
            try:
                yield
            finally:
                lock.release()
        finally:
            self._users[workspace] -= 1
            if not self._users[workspace]:
                del self._users[workspace], self._locks[workspace]
