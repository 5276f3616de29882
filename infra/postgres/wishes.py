"""Preferences and browsers. Implements domain.services.preferences.Wishes."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import orjson

from domain.channels import Browser
from domain.deliveries import Delivery, Reason, cancelled
from domain.ids import SubscriptionId, UserId
from domain.preferences import Preferences
from domain.services.preferences import Subscribed
from domain.services.ringing import moved
from domain.tasks import instant_text
from infra.postgres.lanes import Lanes, Statements
from infra.postgres.people import delivery_of, preferences_of, preferences_row
from infra.postgres.personal import ledger_parts, persons

_ONE = """
SELECT a.time_zone, to_json(p) AS row FROM account a LEFT JOIN preference p ON p.user_id = a.id
WHERE a.id = $1"""
_LOCK = "SELECT id FROM account WHERE id = $1 FOR NO KEY UPDATE"
_PUT = """
INSERT INTO preference (
    user_id, chosen, quiet, quiet_policy, late, late_keep_s, digest_at, defaults, wants_digest)
SELECT user_id, chosen, quiet, quiet_policy, late, late_keep_s, digest_at, defaults, wants_digest
FROM jsonb_populate_record(NULL::preference, $1::jsonb)
ON CONFLICT (user_id) DO UPDATE SET chosen = excluded.chosen, quiet = excluded.quiet,
    quiet_policy = excluded.quiet_policy, late = excluded.late,
    late_keep_s = excluded.late_keep_s, digest_at = excluded.digest_at,
    defaults = excluded.defaults, wants_digest = excluded.wants_digest"""
_HOLD = "SELECT hold_streams_1(ARRAY[$1::uuid])"
_DIGESTS = """
SELECT to_json(d) AS row FROM delivery d
WHERE recipient = $1 AND category = 'DIGEST' AND state = 'PENDING' FOR UPDATE"""
_WRITE = "SELECT at_head FROM persons_1($1::jsonb)"
_BROWSERS = """
SELECT id, endpoint, created_at FROM push_subscription
WHERE user_id = $1 ORDER BY created_at DESC, id"""
# The endpoint is the browser's: who signs in there last has it.
_SUBSCRIBE = """
INSERT INTO push_subscription AS s (id, user_id, endpoint, p256dh, auth, created_at)
SELECT $1, $2, $3, $4, $5, $6
WHERE (SELECT count(*) FROM push_subscription WHERE user_id = $2 AND endpoint <> $3) < $7
ON CONFLICT (endpoint) DO UPDATE SET user_id = excluded.user_id, p256dh = excluded.p256dh,
    auth = excluded.auth
RETURNING s.id"""
_UNSUBSCRIBE = "DELETE FROM push_subscription WHERE user_id = $1 AND id = $2 RETURNING true"


class PostgresWishes:
    """Keeps them in rows."""

    def __init__(
        self,
        lanes: Lanes,
        *,
        new_id: Callable[[], UUID],
        committed: Callable[[UUID, int], None],
    ) -> None:
        self._lanes = lanes
        self._new_id = new_id
        self._committed = committed

    async def preferences(self, user: UserId) -> Preferences:
        """See `Wishes.preferences`."""
        return await _preferences(self._lanes, user)

    async def choose(
        self, user: UserId, change: Callable[[Preferences], Preferences], at: datetime
    ) -> Preferences:
        """See `Wishes.choose`; a digest that waits is made anew by the new wishes."""
        head = None
        async with self._lanes.transaction() as statements:
            if await statements.fetchval(_LOCK, user) is None:
                raise LookupError(user)
            await statements.fetchval(_HOLD, user)
            old = await _preferences(statements, user)
            new = change(old)
            await statements.fetchval(_PUT, orjson.dumps(preferences_row(user, new)).decode())
            digests = await statements.fetch(_DIGESTS, user)
            if digests and (old.digest_at, old.chosen) != (new.digest_at, new.chosen):
                rows = [delivery_of(orjson.loads(row["row"])) for row in digests]
                head = await self._withdraw(statements, user, rows, at)
        if head is not None:
            self._committed(user, head)
        return new

    async def browsers(self, user: UserId) -> tuple[Subscribed, ...]:
        """See `Wishes.browsers`."""
        rows = await self._lanes.fetch(_BROWSERS, user)
        return tuple(
            Subscribed(
                id=SubscriptionId(row["id"]),
                endpoint=row["endpoint"],
                created_at=row["created_at"],
            )
            for row in rows
        )

    async def subscribe(self, user: UserId, found: Browser, at: datetime, most: int) -> UUID | None:
        """See `Wishes.subscribe`."""
        made: UUID | None = await self._lanes.fetchval(
            _SUBSCRIBE, found.id, user, found.endpoint, found.p256dh, found.auth, at, most
        )
        return made

    async def unsubscribe(self, user: UserId, id: SubscriptionId) -> bool:
        """See `Wishes.unsubscribe`."""
        return bool(await self._lanes.fetchval(_UNSUBSCRIBE, user, id))

    async def _withdraw(
        self, statements: Statements, user: UserId, rows: list[Delivery], at: datetime
    ) -> int:
        writes = moved((row, cancelled(row, Reason.CHANGED)) for row in rows)
        text = instant_text(at) or ""
        told = persons(writes.told, at=text, actor=None, key=None, new_id=self._new_id)
        argument = {
            "at": text,
            "persons": told,
            "deliveries": ledger_parts(writes)["deliveries"],
        }
        head: int = await statements.fetchval(_WRITE, orjson.dumps(argument).decode())
        return head


async def _preferences(statements: Statements, user: UserId) -> Preferences:
    row = await statements.fetchrow(_ONE, user)
    if row is None:
        raise LookupError(user)
    return preferences_of(
        None if row["row"] is None else orjson.loads(row["row"]), row["time_zone"]
    )
