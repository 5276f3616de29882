"""Overdue notices and digests, as rows of the ledger. Implements workers.notices.Notices.

How far the notices have come is a position, in microseconds since 1970: whoever moves it has the
tasks up to there, in the same transaction as their rows.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from domain.channels import Category, ChannelName
from domain.deliveries import Delivery, first
from domain.ids import UserId, WorkspaceId
from domain.preferences import is_on, next_digest
from domain.reminders import overdue_of
from domain.services.ringing import added
from domain.tasks import instant_text
from infra.postgres.lanes import Lanes, Statements
from infra.postgres.load import TASK
from infra.postgres.people import preferences_of
from infra.postgres.personal import ledger_parts, persons
from infra.postgres.seen import task_of

CONSUMER: Final = "overdue"
# Of one transaction.
TASKS_MAX = 200
# A mutation that was decided before an instant commits within this of it, or is refused.
LAG = timedelta(seconds=2)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NIL: Final = UUID(int=0)

_BEGIN = """
INSERT INTO position (consumer, stream, seq) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"""
_TAKE = "SELECT seq FROM position WHERE consumer = $1 AND stream = $2 FOR UPDATE SKIP LOCKED"
_MOVE = "UPDATE position SET seq = $3 WHERE consumer = $1 AND stream = $2"
_IS_ANY = """
SELECT EXISTS (
    SELECT FROM task WHERE due_instant > $1 AND due_instant <= $2
        AND deleted_at IS NULL AND status IN ('OPEN', 'IN_PROGRESS'))"""
# The last of them may share its instant with the next: so many more come along.
_OVERDUE = f"""
SELECT t.workspace_id, t.due_instant, {TASK} AS task, (
    SELECT json_agg(json_build_object('user', a.id, 'zone', a.time_zone, 'wish', to_json(p)))
    FROM member m JOIN account a ON a.id = m.user_id LEFT JOIN preference p ON p.user_id = a.id
    WHERE m.workspace_id = t.workspace_id AND (
        m.user_id = t.assignee_id
        OR (t.assignee_id IS NULL AND NOT EXISTS (
            SELECT FROM member o
            WHERE o.workspace_id = t.workspace_id AND o.user_id <> m.user_id)))) AS watchers
FROM task t
WHERE t.due_instant > $1 AND t.due_instant <= $2
    AND t.deleted_at IS NULL AND t.status IN ('OPEN', 'IN_PROGRESS')
ORDER BY t.due_instant FETCH FIRST {TASKS_MAX} ROWS WITH TIES"""  # noqa: S608 - constants only
_KNOWN = "SELECT id FROM delivery WHERE id = ANY($1::uuid[])"
_WRITE = "SELECT of_stream, at_head FROM persons_1($1::jsonb)"
_WITHOUT_DIGEST = """
SELECT p.user_id, a.time_zone, to_json(p) AS wish
FROM preference p JOIN account a ON a.id = p.user_id
WHERE p.wants_digest AND NOT EXISTS (
    SELECT FROM delivery d WHERE d.recipient = p.user_id AND d.category = 'DIGEST'
        AND d.state IN ('PENDING', 'CLAIMED'))
LIMIT $1"""
_HOLD = "SELECT hold_streams_1($1::uuid[])"


class PostgresNotices:
    """Makes rows in transactions of their own."""

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
        self._after: datetime | None = None

    async def overdue(self, at: datetime) -> int:
        """See `Notices.overdue`."""
        until = at - LAG
        if self._after is None:
            # What was overdue before anybody looked is no news.
            await self._lanes.fetchval(_BEGIN, CONSUMER, _NIL, _number(until))
        elif not await self._lanes.fetchval(_IS_ANY, self._after, until):
            return 0
        async with self._lanes.transaction() as statements:
            position = await statements.fetchval(_TAKE, CONSUMER, _NIL)
            if position is None:
                return 0
            after = _EPOCH + timedelta(microseconds=position)
            rows = await statements.fetch(_OVERDUE, after, until) if after < until else []
            new = [row for one in rows for row in _told(one)]
            heads = await self._add(statements, new, at)
            is_last = len(rows) < TASKS_MAX
            reached = max(after, until) if is_last else rows[-1]["due_instant"]
            await statements.fetchval(_MOVE, CONSUMER, _NIL, _number(reached))
        self._after = reached
        self._tell(heads)
        return len(rows)

    async def digests(self, at: datetime) -> int:
        """See `Notices.digests`."""
        found = await self._lanes.fetch(_WITHOUT_DIGEST, TASKS_MAX)
        if not found:
            return 0
        async with self._lanes.transaction() as statements:
            await statements.fetchval(_HOLD, [row["user_id"] for row in found])
            # Again, for somebody else may have made them before the streams were ours.
            rows = await statements.fetch(_WITHOUT_DIGEST, TASKS_MAX)
            new = []
            for row in rows:
                user = UserId(UUID(str(row["user_id"])))
                wishes = preferences_of(orjson.loads(row["wish"]), row["time_zone"])
                when = next_digest(wishes, at)
                new += [
                    first(Category.DIGEST, user, None, (user, channel), when)
                    for channel in ChannelName
                    if is_on(wishes, Category.DIGEST, channel)
                ]
            heads = await self._add(statements, new, at)
        self._tell(heads)
        return len(rows)

    async def _add(
        self, statements: Statements, rows: Iterable[Delivery], at: datetime
    ) -> dict[UUID, int]:
        wanted = {row.id: row for row in rows}
        if not wanted:
            return {}
        # Whoever writes what belongs to people holds their streams: nobody adds the same meanwhile.
        people = list({row.recipient for row in wanted.values()})
        await statements.fetchval(_HOLD, people)
        known = {row["id"] for row in await statements.fetch(_KNOWN, list(wanted))}
        writes = added(row for row in wanted.values() if row.id not in known)
        if not writes:
            return {}
        text = instant_text(at) or ""
        argument = {
            "at": text,
            "persons": persons(writes.told, at=text, actor=None, key=None, new_id=self._new_id),
            "deliveries_new": ledger_parts(writes)["deliveries_new"],
        }
        found = await statements.fetch(_WRITE, orjson.dumps(argument).decode())
        return {row["of_stream"]: row["at_head"] for row in found}

    def _tell(self, heads: dict[UUID, int]) -> None:
        for stream, head in heads.items():
            self._committed(stream, head)


def _told(row: asyncpg.Record) -> tuple[Delivery, ...]:
    task = task_of(orjson.loads(row["task"]), WorkspaceId(UUID(str(row["workspace_id"]))))
    watchers = {}
    for one in orjson.loads(row["watchers"] or b"[]"):
        wishes = preferences_of(one["wish"], one["zone"])
        watchers[UserId(UUID(one["user"]))] = [
            channel for channel in ChannelName if is_on(wishes, Category.OVERDUE, channel)
        ]
    return overdue_of(task, watchers)


def _number(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
