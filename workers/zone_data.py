"""When the zone data has changed: works out again what is still to come, once."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.errors import Unavailable
from domain.ids import SeriesId, TaskId, WorkspaceId
from domain.outbox import Leases
from domain.ports import Clock
from domain.services.zone_changes import ZoneChanges

log = logging.getLogger(__name__)

LEASE = "zone-data"
# Who dies in the middle is followed by somebody else after so long; doing it again does no harm.
LEASE_S = 600.0
RETRY_S = 30.0


class Dependents(Protocol):
    """What depends on zone data, and by which version it was worked out."""

    async def version(self) -> str | None:
        """Returns the version that was kept, None where none was."""
        ...

    async def keep(self, version: str) -> None:
        """Keeps by which version all of it was worked out."""
        ...

    def tasks(self, after: datetime) -> AsyncIterator[tuple[WorkspaceId, list[TaskId]]]:
        """Yields tasks due after an instant whose own one is another by now."""
        ...

    def series(self, after: datetime) -> AsyncIterator[tuple[WorkspaceId, list[SeriesId]]]:
        """Yields series whose next turn comes after an instant."""
        ...


class ZoneDataWatch:
    """Sees to it once a start that everything is right by this version of the zone data."""

    def __init__(
        self,
        version: str,
        *,
        dependents: Dependents,
        changes: ZoneChanges,
        leases: Leases,
        owner: UUID,
        clock: Clock,
    ) -> None:
        self._version = version
        self._dependents = dependents
        self._changes = changes
        self._leases = leases
        self._owner = owner
        self._clock = clock

    async def run(self) -> None:
        """Returns once it is so; whatever fails is tried again."""
        while True:
            try:
                if await self.step():
                    return
            except Exception as error:
                known = isinstance(error, OSError | Unavailable)
                facts = {"said": str(error)}
                log.warning("zone_data.failed", exc_info=None if known else error, extra=facts)
            await asyncio.sleep(RETRY_S)

    async def step(self) -> bool:
        """Returns whether everything is right by now; False: another process is at it."""
        if await self._dependents.version() == self._version:
            return True
        if not await self._leases.hold([LEASE], self._owner, LEASE_S):
            return False
        now = self._clock.now()
        async for workspace, tasks in self._dependents.tasks(now):
            await self._changes.tasks(workspace, tasks)
        async for workspace, series in self._dependents.series(now):
            await self._changes.series(workspace, series)
        await self._dependents.keep(self._version)
        await self._leases.release([LEASE], self._owner)
        log.info("zone_data.worked_out", extra={"version": self._version})
        return True
