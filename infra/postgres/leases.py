"""Leases as rows, for a transaction pooler keeps no lock. Implements domain.outbox.Leases."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from infra.postgres.lanes import Lanes

# The clock of the database: those of two processes may differ by more than a lease is long.
_HOLD = """
INSERT INTO lease AS l (name, owner, until)
SELECT name, $2, clock_timestamp() + $3 FROM unnest($1::text[]) AS n(name) ORDER BY name
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
    WHERE l.owner = excluded.owner OR l.until <= clock_timestamp()
RETURNING name"""
_RELEASE = "DELETE FROM lease WHERE name = ANY($1) AND owner = $2"
_HELD = "SELECT name, owner FROM lease WHERE starts_with(name, $1) AND until > clock_timestamp()"


class PostgresLeases:
    """Takes, renews and releases leases, one statement each."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    async def hold(self, names: Sequence[str], owner: UUID, seconds: float) -> frozenset[str]:
        """See `Leases.hold`."""
        rows = await self._lanes.fetch(_HOLD, names, owner, timedelta(seconds=seconds))
        return frozenset(row["name"] for row in rows)

    async def release(self, names: Sequence[str], owner: UUID) -> None:
        """See `Leases.release`."""
        await self._lanes.fetchval(_RELEASE, names, owner)

    async def held(self, prefix: str) -> Mapping[str, UUID]:
        """See `Leases.held`."""
        return {row["name"]: row["owner"] for row in await self._lanes.fetch(_HELD, prefix)}
