"""Accounts and sessions. Implements domain.services.accounts.Accounts."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from domain.accounts import Account, Session
from domain.ids import SessionId, UserId
from infra.postgres.lanes import Lanes

# More devices than anybody has; beyond it the ones that were refreshed longest ago end.
SESSIONS_MAX = 50

_BY_EMAIL = """
SELECT id, email, email_key, name, time_zone, password_hash, created_at
FROM account WHERE email_key = $1"""

_OPEN = f"""
WITH surplus AS (
    UPDATE session SET revoked_at = $3 WHERE id IN (
        SELECT id FROM session
        WHERE user_id = $2 AND revoked_at IS NULL AND expires_at >= $3
        ORDER BY expires_at DESC, id OFFSET {SESSIONS_MAX - 1})
)
INSERT INTO session (id, user_id, created_at, expires_at, refresh_digest)
VALUES ($1, $2, $3, $4, $5)"""  # noqa: S608 - a constant only

_BY_FAMILY = """
SELECT id, user_id, created_at, expires_at, refresh_digest, previous_digest, family_digest,
       rotated_at
FROM session WHERE coalesce(family_digest, refresh_digest) = $1 AND revoked_at IS NULL"""

_ROTATE = """
UPDATE session SET refresh_digest = $3, previous_digest = $4, family_digest = $5, rotated_at = $6,
                   expires_at = $7
WHERE id = $1 AND refresh_digest = $2 AND revoked_at IS NULL
RETURNING true"""

_REVOKE = """
UPDATE session SET revoked_at = $3
WHERE user_id = $1 AND ($2::uuid IS NULL OR id = $2) AND revoked_at IS NULL
RETURNING id"""


class PostgresAccounts:
    """Reads accounts, and opens, prolongs and ends sessions: one statement each."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    async def by_email(self, key: str) -> Account | None:
        """See `Accounts.by_email`."""
        row = await self._lanes.fetchrow(_BY_EMAIL, key)
        return None if row is None else _account(row)

    async def open(self, session: Session) -> None:
        """See `Accounts.open`."""
        await self._lanes.fetchval(
            _OPEN,
            session.id,
            session.user_id,
            session.created_at,
            session.expires_at,
            session.refresh_digest,
        )

    async def by_family(self, digest: bytes) -> Session | None:
        """See `Accounts.by_family`."""
        row = await self._lanes.fetchrow(_BY_FAMILY, digest)
        return None if row is None else _session(row)

    async def rotate(self, session: Session, digest: bytes) -> bool:
        """See `Accounts.rotate`."""
        done = await self._lanes.fetchval(
            _ROTATE,
            session.id,
            digest,
            session.refresh_digest,
            session.previous_digest,
            session.family_digest,
            session.rotated_at,
            session.expires_at,
        )
        return bool(done)

    async def revoke(
        self, user: UserId, session: SessionId | None, at: datetime
    ) -> Sequence[SessionId]:
        """See `Accounts.revoke`."""
        rows = await self._lanes.fetch(_REVOKE, user, session, at)
        return [SessionId(row["id"]) for row in rows]


def _account(row: asyncpg.Record) -> Account:
    return Account(
        id=UserId(row["id"]),
        email=row["email"],
        email_key=row["email_key"],
        name=row["name"],
        time_zone=row["time_zone"],
        password_hash=row["password_hash"],
        created_at=row["created_at"],
    )


def _session(row: asyncpg.Record) -> Session:
    return Session(
        id=SessionId(row["id"]),
        user_id=UserId(row["user_id"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        refresh_digest=row["refresh_digest"],
        previous_digest=row["previous_digest"],
        family_digest=row["family_digest"],
        rotated_at=row["rotated_at"],
    )
