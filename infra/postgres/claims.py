"""Claims of series as a column of theirs. Implements domain.claims.SeriesClaims."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain.claims import DueSeries
from domain.ids import SeriesId, WorkspaceId
from infra.postgres.lanes import Statements

# The clock of the database: those of two workers may differ by more than a claim is long. What is
# locked is being claimed, or changed at this moment: the next tick finds it.
_CLAIM: Final = """
UPDATE series SET claimed_until = clock_timestamp() + $3
WHERE id IN (
    SELECT id FROM series
    WHERE next_at <= $1 AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())
    ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id, workspace_id"""
_HOLD: Final = "UPDATE series SET claimed_until = clock_timestamp() + $2 WHERE id = ANY($1)"


class PostgresSeriesClaims:
    """Claims what is due, by one statement each."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def claim(self, now: datetime, limit: int, seconds: float) -> Sequence[DueSeries]:
        """See `SeriesClaims.claim`."""
        rows = await self._statements.fetch(_CLAIM, now, limit, timedelta(seconds=seconds))
        return [
            DueSeries(
                id=SeriesId(UUID(int=row["id"].int)),
                workspace=WorkspaceId(UUID(int=row["workspace_id"].int)),
            )
            for row in rows
        ]

    async def hold(self, ids: Sequence[SeriesId], seconds: float) -> None:
        """See `SeriesClaims.hold`."""
        await self._statements.fetchval(_HOLD, list(ids), timedelta(seconds=seconds))
