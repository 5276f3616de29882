"""Removes what is past its time: one process at a time, in batches between which others work.

1. Take the lease, or leave it to the process that holds it.
2. Each purge removes its rows batch by batch, a short transaction each; after each batch rest as
   long as it took, and renew the lease in time.
3. Say what was removed. A crash or failure leaves whole batches behind; the next run goes on.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from opentelemetry import metrics

from domain.errors import Unavailable
from domain.outbox import Leases
from domain.ports import Clock

log = logging.getLogger(__name__)

LEASE: Final = "daily-cleanup"
# Longer than the slowest batch and its rest; a crashed process's lease keeps others away so long.
LEASE_S = 60.0
RENEW_S = 20.0

_meter = metrics.get_meter("carillon.cleanup")
_removed = _meter.create_counter(
    "carillon.cleanup.removed", description="Rows removed past their time, by kind"
)
_runs = _meter.create_counter(
    "carillon.cleanup.runs", description="Runs by outcome: done, elsewhere, failed"
)


class Purge(Protocol):
    """One kind of rows with an end to their time."""

    @property
    def kind(self) -> str:
        """What operators call these rows."""
        ...

    def batches(self, now: datetime) -> AsyncGenerator[int]:
        """Removes what is past its time at `now`; yields after each batch how much that was.

        A batch is committed by then, and may have found nothing. Its locks are short and few.
        """
        ...


class Cleanup:
    """All purges, in the order given: what refers to other rows goes before these."""

    def __init__(
        self, purges: Sequence[Purge], *, leases: Leases, clock: Clock, owner: UUID
    ) -> None:
        self._purges = purges
        self._leases = leases
        self._clock = clock
        self._owner = owner
        self._renew_at = 0.0

    async def run(self) -> Mapping[str, int] | None:
        """Returns how much of each kind was removed; None where another process is at it.

        Raises:
            Unavailable: the database did not answer, or the lease was lost; run again.
        """
        if not await self._hold():
            _runs.add(1, {"outcome": "elsewhere"})
            log.info("cleanup.elsewhere")
            return None
        removed = {purge.kind: 0 for purge in self._purges}
        try:
            for purge in self._purges:
                await self._drain(purge, removed)
        except BaseException:
            _runs.add(1, {"outcome": "failed"})
            log.warning("cleanup.failed", extra={"removed": removed})
            raise
        else:
            _runs.add(1, {"outcome": "done"})
            log.info("cleanup.done", extra={"removed": removed})
        finally:
            await self._release()
        return removed

    async def _drain(self, purge: Purge, removed: dict[str, int]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with aclosing(purge.batches(self._clock.now())) as batches:
            async for count in batches:
                removed[purge.kind] += count
                _removed.add(count, {"kind": purge.kind})
                # Half of the time at most is taken from those who serve people.
                await asyncio.sleep(loop.time() - began)
                if loop.time() >= self._renew_at and not await self._hold():
                    raise Unavailable("Another process has taken the clean-up over.")
                began = loop.time()

    async def _hold(self) -> bool:
        self._renew_at = asyncio.get_running_loop().time() + RENEW_S
        return bool(await self._leases.hold([LEASE], self._owner, LEASE_S))

    async def _release(self) -> None:
        try:
            await self._leases.release([LEASE], self._owner)
        except (OSError, Unavailable) as error:
            # It runs out by itself.
            log.warning("cleanup.not_released", exc_info=error)
