"""Makes occurrences when they are due: claims series, and carries out their turns.

Ticks overlap, in one process and across replicas, and any of them may die between two steps: the
claims only spare work, what is decided is checked again by the flush that writes it.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress

from opentelemetry import metrics

from domain.changes import Change
from domain.claims import SeriesClaims
from domain.errors import PASSING, Stale
from domain.ids import SeriesId, WorkspaceId
from domain.inbox import Turn
from domain.ports import Clock
from domain.services.series_closings import Closings
from domain.services.series_turns import SeriesTurns
from workers.consumer import Handler

log = logging.getLogger(__name__)

# The name of its positions in the log.
CONSUMER = "recurrence"
# Where no sidecar ticks: how late an occurrence may be made.
TICK_S = 1.0
# Claimed at once; more only wait for the next round.
CLAIM_MAX = 512
# Of one workspace and commit: the lock is held for some 10 ms.
BATCH_MAX = 64
# Workspaces at once: as many commits as are under way together.
WORKSPACES_MAX = 4
# A worker that died leaves its claims behind for so long; no batch takes a tenth of it.
CLAIM_S = 30.0
# What failed for a while fails again; what fails by itself may fail for ever.
RETRY_S = 5.0
BROKEN_S = 300.0

_meter = metrics.get_meter("carillon.recurrence")
_turns = _meter.create_counter(
    "carillon.recurrence.turns", description="Turns of series by outcome: taken, left, failed"
)


def handler(closings: Closings, wake: Callable[[], None]) -> Handler:
    """Returns what applies changes of the log; `wake` learns that a series has its turn now."""

    async def apply(change: Change, turn: Turn) -> None:
        if await closings.follow(change, turn.store):
            wake()

    return apply


class Processor:
    """Carries out what is due, whenever it is asked to."""

    def __init__(self, claims: SeriesClaims, turns: SeriesTurns, clock: Clock) -> None:
        self._claims = claims
        self._turns = turns
        self._clock = clock
        self._woken = asyncio.Event()
        self._at_once = asyncio.Semaphore(WORKSPACES_MAX)

    def wake(self) -> None:
        """Learns that a series has its turn now."""
        self._woken.set()

    async def run(self, every_s: float | None) -> None:
        """Ticks whenever it is woken, until cancelled; and so often, where nobody else ticks."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self.tick()
            except Exception as error:
                # The next tick does what this one left.
                known = isinstance(error, PASSING)
                log.warning(
                    "recurrence.tick_failed",
                    exc_info=None if known else error,
                    extra={"said": str(error)},
                )

    async def tick(self) -> None:
        """Carries out all that is due.

        Raises:
            Unavailable: the database did not answer; what was done is done.
        """
        while due := await self._claims.claim(self._clock.now(), CLAIM_MAX, CLAIM_S):
            by_workspace = defaultdict[WorkspaceId, list[SeriesId]](list)
            for one in due:
                by_workspace[one.workspace].append(one.id)
            await asyncio.gather(*(self._of(*one) for one in by_workspace.items()))

    async def again(self, series: SeriesId) -> None:
        """Lets the next tick try a series that was put off."""
        await self._claims.hold([series], 0.0)

    async def _of(self, workspace: WorkspaceId, ids: Sequence[SeriesId]) -> None:
        """Carries out what is due in one workspace, one commit after the other."""
        async with self._at_once:
            for start in range(0, len(ids), BATCH_MAX):
                some = ids[start : start + BATCH_MAX]
                if not await self._is_done(workspace, some):
                    # One that fails holds back no other.
                    for one in some:
                        await self._is_done(workspace, [one])

    async def _is_done(self, workspace: WorkspaceId, ids: Sequence[SeriesId]) -> bool:
        """Tells whether these need no more trying: they are done, or put off."""
        try:
            await self._take(workspace, ids)
        except PASSING as error:
            if isinstance(error, Stale) and len(ids) > 1:
                # What one of them lost, or all of them together, most do not lose alone.
                return False
            log.warning("recurrence.not_taken", extra={"said": str(error)})
            await self._put_off(ids, RETRY_S)
        except Exception as error:
            if len(ids) > 1:
                log.warning("recurrence.batch_failed", exc_info=error)
                return False
            log.exception("recurrence.failed", extra={"series": str(ids[0])})
            await self._put_off(ids, BROKEN_S)
        return True

    async def _take(self, workspace: WorkspaceId, ids: Sequence[SeriesId]) -> None:
        left = await self._turns.take(workspace, ids)
        if left:
            await self._claims.hold(left, 0.0)
        _turns.add(len(left), {"outcome": "left"})
        _turns.add(len(ids) - len(left), {"outcome": "taken"})

    async def _put_off(self, ids: Sequence[SeriesId], seconds: float) -> None:
        _turns.add(len(ids), {"outcome": "failed"})
        # Where the database does not answer, the claims run out by themselves.
        with suppress(*PASSING):
            await self._claims.hold(ids, seconds)
