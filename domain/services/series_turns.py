"""What series do by themselves: their turns."""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from domain.errors import Refused, Stale
from domain.ids import SeriesId, WorkspaceId
from domain.ports import Clock, Command, Needs, Store
from domain.services.series_batch import Batch

ATTEMPTS = 8
# The service's own: nobody asked for it, so nobody's role counts.
OWN: Final = Command(actor=None, field="recurrence", key=None, arguments=b"")


class SeriesTurns:
    """Carries out what is due."""

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[], UUID]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def take(self, workspace: WorkspaceId, ids: Sequence[SeriesId]) -> list[SeriesId]:
        """Carries out the turns of series of one workspace, in one commit.

        Doing so again does nothing, whoever does it, and whenever. Returns the series for which
        there was no room.

        Raises:
            Refused: CONFLICT; the id of an occurrence is taken: take the series one by one.
            Stale: the workspace changed under every attempt: with fewer of them it may not.
            Unavailable: a wait took too long.
        """
        own_ids = True
        for _ in range(ATTEMPTS):
            batch = await self._decided(workspace, ids, own_ids=own_ids)
            if batch is None:
                half = len(ids) // 2
                return [*await self.take(workspace, ids[:half]), *ids[half:]]
            try:
                if (writes := batch.writes()) is not None:
                    await self._store.flush(OWN, writes)
            except Stale:
                continue
            except Refused:
                if len(ids) > 1:
                    raise
                own_ids = False
            else:
                return batch.left
        raise Stale(f"workspace {workspace} changed under every attempt")

    async def _decided(
        self, workspace: WorkspaceId, ids: Sequence[SeriesId], *, own_ids: bool
    ) -> Batch | None:
        """Returns what the series' turns lead to; None where one look cannot hold all of them."""
        needs = Needs(workspace=workspace, series=tuple(ids), end=True)
        seen = await self._store.load(OWN, needs)
        if seen.series is None:
            return None
        batch = Batch(workspace, seen, self._clock.now(), self._new_id, own_ids=own_ids)
        for one in seen.series.values():
            batch.take(one)
        return batch
