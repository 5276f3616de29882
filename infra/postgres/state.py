"""Values that replicas share, in a table. Implements domain.ports.StateStore."""

from datetime import timedelta

import asyncpg

from domain.errors import Unavailable
from infra.postgres.lanes import Statements

_GET = "SELECT value FROM state WHERE key = $1 AND expires_at > now()"
_PUT = """
INSERT INTO state AS s (key, value, expires_at) VALUES ($1, $2, now() + $3)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"""


class PostgresStateStore:
    """Gets and puts, one statement each."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def get(self, key: str) -> str | None:
        """See `StateStore.get`."""
        value: str | None = await self._statements.fetchval(_GET, key)
        return value

    async def put(self, key: str, value: str, keep: timedelta) -> None:
        """See `StateStore.put`."""
        try:
            await self._statements.fetchval(_PUT, key, value, keep)
        except asyncpg.CharacterNotInRepertoireError as error:
            raise Unavailable("The database cannot keep a NUL character.") from error
