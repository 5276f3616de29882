"""Rows of one table that are past their time. Implements workers.cleanup.Purge."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta

from infra.postgres.lanes import Statements

# Of one statement: some ten milliseconds' work.
BATCH_MAX_ROWS = 1_000

# A row that somebody has locked is in use: the next run takes it, and nobody waits.
_REMOVE = """
WITH past AS (
    SELECT ctid FROM {table} WHERE {past} LIMIT {limit} FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM past)) RETURNING 1
)
SELECT count(*) FROM gone"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """Which rows of a table to remove.

    `past` is the condition in SQL, in which `{at}` stands for the instant up to which rows have
    outlived `keep`; an index should answer it. Whatever refers to such a row has to go before it,
    or with it by ON DELETE CASCADE.
    """

    kind: str
    table: str
    past: str
    keep: timedelta = timedelta(0)


class ExpiredRows:
    """Removes rows of one table, one statement a batch."""

    def __init__(
        self, expiry: Expiry, statements: Statements, *, batch: int = BATCH_MAX_ROWS
    ) -> None:
        self.kind = expiry.kind
        self._statements = statements
        self._keep = expiry.keep
        self._batch = batch
        self._sql = _REMOVE.format(
            table=expiry.table, past=expiry.past.format(at="$1::timestamptz"), limit=batch
        )

    async def batches(self, now: datetime) -> AsyncGenerator[int]:
        """See `Purge.batches`."""
        count = self._batch
        while count == self._batch:
            count = await self._statements.fetchval(self._sql, now - self._keep)
            yield count
