"""People's feeds. Implements domain.services.notifications.Feed."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import orjson

from domain.ids import DeliveryId, UserId
from domain.personal import LedgerWrites
from domain.services.notifications import Mark, Marked
from domain.tasks import instant_text
from infra.postgres.lanes import Lanes
from infra.postgres.people import notification_of
from infra.postgres.personal import ledger_parts, persons

_HOLD = "SELECT hold_streams_1(ARRAY[$1::uuid])"
_ONE = """
SELECT to_json(n) AS row FROM notification n WHERE user_id = $1 AND id = $2 FOR UPDATE"""
_UNREAD = """
SELECT to_json(n) AS row FROM notification n
WHERE user_id = $1 AND read_at IS NULL AND seq <= coalesce($2, seq) ORDER BY seq LIMIT $3
FOR UPDATE"""
_ACTOR = "SELECT name FROM account WHERE id = $1"
_HEAD = "SELECT head FROM user_stream WHERE id = $1"
_WRITE = "SELECT at_head FROM persons_1($1::jsonb)"


class PostgresFeed:
    """Marks entries, each with its change in the person's stream."""

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

    async def mark(self, user: UserId, id: DeliveryId, mark: Mark, at: datetime) -> Marked:
        """See `Feed.mark`."""
        return await self._mark(user, mark, at, _ONE, user, id)

    async def mark_unread(
        self, user: UserId, through: int | None, mark: Mark, at: datetime, limit: int
    ) -> Marked:
        """See `Feed.mark_unread`."""
        return await self._mark(user, mark, at, _UNREAD, user, through, limit)

    async def _mark(
        self, user: UserId, mark: Mark, at: datetime, which: str, *values: object
    ) -> Marked:
        async with self._lanes.transaction() as statements:
            # First, as everybody does who writes what belongs to people.
            await statements.fetchval(_HOLD, user)
            rows = await statements.fetch(which, *values)
            entries = [notification_of(orjson.loads(row["row"])) for row in rows]
            found = [mark(entry, at) for entry in entries]
            changes = [one for one in found if one is not None]
            if not changes:
                seq = await statements.fetchval(_HEAD, user)
                return Marked(entries=entries, changed=0, seq=seq)
            writes = LedgerWrites(
                notifications=tuple(entry for entry, _ in changes),
                told=tuple((user, fact) for _, fact in changes),
            )
            text = instant_text(at) or ""
            argument = {
                "at": text,
                "actor": user,
                "actor_name": await statements.fetchval(_ACTOR, user),
                "notifications": ledger_parts(writes)["notifications"],
                "persons": persons(writes.told, at=text, actor=user, key=None, new_id=self._new_id),
            }
            seq = await statements.fetchval(_WRITE, orjson.dumps(argument).decode())
        self._committed(user, seq)
        now = [entry if one is None else one[0] for entry, one in zip(entries, found, strict=True)]
        return Marked(entries=now, changed=len(changes), seq=seq)
