"""Which shards this process works on: a fair share of them, by leases that a crash lets run out.

Each process also holds a lease that only says that it is there, so that all know how many they are
and a newcomer gets its share from those who have more.
"""

import asyncio
import logging
import math
from uuid import UUID

from domain.errors import Unavailable
from domain.outbox import SHARDS, Leases

log = logging.getLogger(__name__)

# A crashed process's shards rest for so long. It publishes nothing twice on purpose, but whoever
# holds a lease too long, in a stopped process say, only repeats what consumers have had.
LEASE_S = 6.0
RENEW_S = 2.0


class Shards:
    """The shards of one group of processes that this one holds."""

    def __init__(self, leases: Leases, *, group: str, owner: UUID) -> None:
        self._leases = leases
        self._owner = owner
        self._presence = f"{group}/process/{owner}"
        self._others = f"{group}/process/"
        self._names = {f"{group}/shard/{number}": number for number in range(SHARDS)}
        self._prefix = f"{group}/shard/"
        self._held: frozenset[str] = frozenset()
        self._held_until = 0.0

    @property
    def held(self) -> tuple[int, ...]:
        """The shards that are ours at this moment."""
        if asyncio.get_running_loop().time() >= self._held_until:
            return ()
        return tuple(sorted(self._names[name] for name in self._held))

    async def run(self) -> None:
        """Keeps the share until cancelled, then gives it back."""
        try:
            while True:
                try:
                    await self.step()
                except Exception as error:  # noqa: BLE001 - the loop goes on, and tells
                    # A server that became a standby, say, refuses to write until it is none.
                    self._warn("shards.not_renewed", error)
                await asyncio.sleep(RENEW_S)
        finally:
            await self.release()

    async def step(self) -> None:
        """Renews what is held, gives back what is over the share, takes what is free."""
        asked_at = asyncio.get_running_loop().time()
        await self._leases.hold([self._presence], self._owner, LEASE_S)
        processes = len(await self._leases.held(self._others))
        share = math.ceil(SHARDS / max(processes, 1))
        surplus = sorted(self._held)[share:]
        kept = self._held.difference(surplus)
        if surplus:
            # No longer ours from here on, whatever becomes of the next statements.
            self._held = kept
            await self._leases.release(surplus, self._owner)
        taken = await self._leases.held(self._prefix)
        free = [name for name in self._names if name not in taken]
        wanted = [*kept, *free[: max(0, share - len(kept))]]
        self._held = await self._leases.hold(wanted, self._owner, LEASE_S) if wanted else kept
        self._held_until = asked_at + LEASE_S

    async def release(self) -> None:
        """Gives everything back, so that others need not wait."""
        names, self._held = [*self._held, self._presence], frozenset()
        try:
            await self._leases.release(names, self._owner)
        except Exception as error:  # noqa: BLE001 - they run out by themselves
            self._warn("shards.not_released", error)

    def _warn(self, event: str, error: Exception) -> None:
        known = isinstance(error, OSError | Unavailable)
        log.warning(event, exc_info=None if known else error, extra={"said": str(error)})
