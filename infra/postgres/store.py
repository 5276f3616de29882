"""Loads and flushes. Implements domain.ports.Store."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from domain.errors import Unavailable
from domain.ids import WorkspaceId
from domain.ports import Command, Needs, Seen, Writes
from infra.postgres.flush import FLUSH, argument, refusal
from infra.postgres.lanes import Lanes
from infra.postgres.load import look, seen

# Longer than any healthy queue on one workspace, shorter than a client's patience.
TURN_WAIT_S = 5.0


class PostgresStore:
    """Reads on one set of lanes, writes on another, so that waits for locks starve no read.

    One flush per workspace is in flight from this process: a second one would only hold a lane
    while it waits for the same row lock.
    """

    def __init__(
        self,
        reads: Lanes,
        writes: Lanes,
        *,
        new_id: Callable[[], UUID],
        committed: Callable[[WorkspaceId, int], None],
    ) -> None:
        self._reads = reads
        self._writes = writes
        self._new_id = new_id
        self._committed = committed
        self._turns: dict[WorkspaceId, tuple[asyncio.Lock, int]] = {}

    async def load(self, command: Command, needs: Needs) -> Seen:
        """See `Store.load`."""
        statement, values = look(command, needs)
        answer = await self._reads.fetchval(statement, *values)
        return seen(command, needs, answer)

    async def flush(self, command: Command, writes: Writes) -> int:
        """See `Store.flush`."""
        packed = argument(command, writes, self._new_id)
        async with self._turn(writes.workspace):
            try:
                head: int = await self._writes.fetchval(FLUSH, packed)
            except asyncpg.PostgresError as error:
                meaning = refusal(error)
                if meaning is None:
                    raise
                raise meaning from error
        if writes.facts:
            self._committed(writes.workspace, head)
        return head

    @asynccontextmanager
    async def _turn(self, workspace: WorkspaceId) -> AsyncIterator[None]:
        lock, users = self._turns.get(workspace, (asyncio.Lock(), 0))
        self._turns[workspace] = (lock, users + 1)
        try:
            try:
                async with asyncio.timeout(TURN_WAIT_S):
                    await lock.acquire()
            except TimeoutError as error:
                raise Unavailable("The workspace is busy; try again.") from error
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, users = self._turns[workspace]
            if users == 1:
                del self._turns[workspace]
            else:
                self._turns[workspace] = (lock, users - 1)
