"""Single deliveries that are asked for: tests, verifications. Implements Deliveries, Mailboxes."""

from datetime import datetime
from uuid import UUID

import orjson

from domain.channels import Category, ChannelName
from domain.deliveries import Delivery, changed, first
from domain.ids import DeliveryId, UserId
from domain.personal import LedgerWrites
from domain.tasks import instant_text
from infra.ids import uuid7
from infra.postgres.lanes import Lanes
from infra.postgres.people import delivery_of
from infra.postgres.personal import ledger_parts, persons

_ONE = "SELECT to_json(d) FROM delivery d WHERE id = $1"
_IS_THERE = "SELECT EXISTS (SELECT FROM account WHERE id = $1)"
_VERIFIED = """
UPDATE account SET email_verified_at = coalesce(email_verified_at, $3)
WHERE id = $1 AND email = $2 RETURNING true"""
_WRITE = "SELECT persons_1($1::jsonb)"


class PostgresTrials:
    """Reads deliveries, and adds those of a test."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    async def find(self, id: DeliveryId) -> Delivery | None:
        """See `Deliveries.find`."""
        found = await self._lanes.fetchval(_ONE, id)
        return None if found is None else delivery_of(orjson.loads(found))

    async def add(
        self, user: UserId, channel: ChannelName, at: datetime, category: Category = Category.TEST
    ) -> Delivery | None:
        """See `Deliveries.add`."""
        if not await self._lanes.fetchval(_IS_THERE, user):
            return None
        row = first(category, UUID(int=0), None, (user, channel), at)
        if await self.find(row.id) is not None:
            return row
        text = instant_text(at) or ""
        writes = LedgerWrites(new=(row,), told=((user, changed(None, row)),))
        argument = {
            "at": text,
            "persons": persons(writes.told, at=text, actor=None, key=None, new_id=uuid7),
            "deliveries_new": ledger_parts(writes)["deliveries_new"],
        }
        await self._lanes.fetchval(_WRITE, orjson.dumps(argument).decode())
        return row

    async def verified(self, user: UserId, email: str, at: datetime) -> bool:
        """See `Mailboxes.verified`."""
        return bool(await self._lanes.fetchval(_VERIFIED, user, email, at))
