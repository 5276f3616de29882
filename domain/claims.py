"""Which series are due, and who works on them at the moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.ids import SeriesId, WorkspaceId


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSeries:
    """A series whose turn has come."""

    id: SeriesId
    workspace: WorkspaceId


class SeriesClaims(Protocol):
    """Claims on series, each for a while, so that several workers share what is due.

    They only keep workers from doing the same work for nothing: a claim that runs out, or is lost,
    costs time and never an occurrence.
    """

    async def claim(self, now: datetime, limit: int, seconds: float) -> Sequence[DueSeries]:
        """Claims series that are due at `now` and nobody has claimed, the longest due first."""
        ...

    async def hold(self, ids: Sequence[SeriesId], seconds: float) -> None:
        """Keeps everybody off these series for so long from now on; 0 gives them back."""
        ...
