"""The ledger of deliveries as workers use it. Implements domain.ledger.Ledger.

A worker lives by a lease of its own, which each claim renews; what it holds is its own as long as
that lasts. Every change of a row is one of its person's stream, in the same transaction.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from domain.channels import Browser, Category, ChannelName, Content, Mailbox
from domain.contents import Agenda, Subject, content, together
from domain.deliveries import Delivery, State, changed, claimed
from domain.errors import Unavailable
from domain.ids import DeliveryId, SubscriptionId, TaskId, UserId, WorkspaceId
from domain.lateness import LATE_AFTER
from domain.ledger import Claimed, Ended, InFeed, Ready, Recipient
from domain.notifications import Notification, created
from domain.personal import LedgerWrites, Told
from domain.ports import Clock
from domain.tasks import Task, instant_text
from domain.wording import ENTRIES_MAX, Reader
from infra.postgres.flush import MOVED
from infra.postgres.lanes import Lanes, Statements
from infra.postgres.load import TASK
from infra.postgres.people import (
    Row,
    delivery_of,
    late_of,
    moved_row,
    nag_of,
    preferences_of,
)
from infra.postgres.personal import Parts, ledger_parts, persons
from infra.postgres.seen import task_of

# Six missed scans: a worker that is only slow is not taken for dead.
LEASE: Final = timedelta(seconds=6)
# Ends of one transaction: what a commit costs is shared, and none waits for long.
TOGETHER_MAX: Final = 64

_RENEW = """
WITH gone AS (
    DELETE FROM lease WHERE starts_with(name, 'notifier/') AND name <> 'notifier/' || $1
        AND until < clock_timestamp() - interval '1 hour'
)
INSERT INTO lease (name, owner, until)
VALUES ('notifier/' || $1, $1::uuid, clock_timestamp() + $2)
ON CONFLICT (name) DO UPDATE SET until = excluded.until"""
# Most scans find nothing: they cost this, and no transaction.
# The least of an index, not EXISTS: among a million that wait, the planner would expect to meet
# one that is due at once, and read all of them.
_PEEK = """
SELECT coalesce((SELECT min(fire_at) FROM delivery WHERE state = 'PENDING') <= $1, false)
    OR coalesce((
        SELECT min(d.fire_at) FROM delivery d WHERE d.state = 'CLAIMED'
            AND CASE WHEN d.worker = $2 THEN d.token <> ALL($3::uuid[])
                ELSE NOT EXISTS (
                    SELECT FROM lease l
                    WHERE l.name = 'notifier/' || d.worker AND l.until > clock_timestamp())
                END) <= $1, false)"""
_TAKE = """
SELECT to_json(t) AS row, to_json(p) AS wish, to_json(r) AS reminder
FROM take_1($1, $2::uuid[], $3, $4, $5) AS t
LEFT JOIN preference p ON p.user_id = t.recipient
LEFT JOIN reminder r ON r.id = t.source AND t.category = 'REMINDER'
ORDER BY t.fire_at, t.id"""
_WRITE = "SELECT of_stream, at_head FROM persons_1($1::jsonb)"

_SUBJECT = f"""json_build_object('row', to_json(d), 'task', (
        SELECT {TASK} FROM task t WHERE t.id = d.task_id AND t.deleted_at IS NULL),
    'by', (SELECT name FROM account WHERE id = d.source AND d.category = 'ASSIGNMENT'))"""  # noqa: S608 - constants only
_BEGIN = f"""
WITH d AS (
    UPDATE delivery SET
        attempts = attempts + (begun_by IS DISTINCT FROM token)::int,
        was_unsure = CASE WHEN begun_by = token THEN was_unsure ELSE is_unsure END,
        was_repeated = CASE WHEN begun_by = token THEN was_repeated ELSE maybe_repeated END,
        is_unsure = channel <> 'IN_APP',
        maybe_repeated = maybe_repeated OR (is_unsure AND begun_by IS DISTINCT FROM token),
        begun_by = token
    WHERE id = $1 AND token = $2 AND state = 'CLAIMED' AND fire_at = $3
    RETURNING *
)
SELECT {_SUBJECT} AS subject,
    json_build_object('email', a.email, 'name', a.name, 'zone', a.time_zone,
        'is_verified', a.email_verified_at IS NOT NULL) AS person,
    to_json(p) AS wish,
    d.workspace_id IS NULL OR EXISTS (
        SELECT FROM member m
        WHERE m.workspace_id = d.workspace_id AND m.user_id = d.recipient) AS is_seen,
    (SELECT json_agg(json_build_object('id', b.id, 'endpoint', b.endpoint,
            'p256dh', encode(b.p256dh, 'hex'), 'auth', encode(b.auth, 'hex')) ORDER BY b.id)
     FROM push_subscription b WHERE d.channel = 'PUSH' AND b.user_id = d.recipient) AS browsers,
    (SELECT json_agg({_SUBJECT}) FROM (
        SELECT * FROM delivery s WHERE s.collapsed_into = $1 ORDER BY s.due_at DESC
        LIMIT {ENTRIES_MAX}) AS d) AS sum
FROM d JOIN account a ON a.id = d.recipient LEFT JOIN preference p ON p.user_id = d.recipient"""  # noqa: S608 - constants only
# A person's own tasks: those assigned to them, and in a workspace of theirs alone all that are
# nobody's.
_AGENDA = f"""
SELECT coalesce(json_agg(json_build_object('workspace', t.workspace_id, 'task', {TASK})
    ORDER BY t.due_instant, t.id), '[]'::json) FROM task t
WHERE t.due_instant IS NOT NULL AND t.deleted_at IS NULL AND t.status IN ('OPEN', 'IN_PROGRESS')
    AND t.due_instant < $2
    AND t.workspace_id IN (SELECT workspace_id FROM member WHERE user_id = $1)
    AND (t.assignee_id = $1 OR (t.assignee_id IS NULL AND NOT EXISTS (
        SELECT FROM member o WHERE o.workspace_id = t.workspace_id AND o.user_id <> $1)))"""  # noqa: S608 - constants only

# Of a task that is no more: nobody is to read it.
_GONE: Final = Content(title="", lines=())
_HOLD = "SELECT hold_streams_1($1::uuid[])"
_HELD = """
SELECT to_json(d) AS row, d.token, d.begun_by FROM delivery d WHERE d.id = ANY($1::uuid[])
ORDER BY d.id FOR UPDATE"""
_LEAVE = "DELETE FROM lease WHERE name = 'notifier/' || $1"

Result = TypeVar("Result")
# Reads and locks, and says what is to be written.
_Transaction: TypeAlias = Callable[[Statements], Awaitable[tuple[Result, Parts]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """How people are addressed.

    `unsubscribe` makes a mail's one-click address, `verify` the one that shows whose a mailbox is;
    None where nobody has said where we are served;
    `verified_only` keeps mail from addresses whose owner has not shown to have them.
    """

    link: Callable[[TaskId], str | None]
    unsubscribe: Callable[[UserId, Category], str | None]
    verify: Callable[[UserId, str], str | None] = lambda _user, _email: None
    verified_only: bool = False


class PostgresLedger:
    """One worker's way to the ledger."""

    def __init__(
        self,
        lanes: Lanes,
        clock: Clock,
        addresses: Addresses,
        *,
        new_id: Callable[[], UUID],
        committed: Callable[[UUID, int], None],
    ) -> None:
        self.worker = uuid4()
        self._lanes = lanes
        self._clock = clock
        self._addresses = addresses
        self._new_id = new_id
        self._committed = committed
        self._ends = _Together(self._end)

    async def claim(
        self, until: datetime, limit: int, known: Collection[UUID]
    ) -> Sequence[Claimed]:
        """See `Ledger.claim`."""
        await self._lanes.fetchval(_RENEW, str(self.worker), LEASE)
        tokens = list(known)
        if not limit or not await self._lanes.fetchval(_PEEK, until, self.worker, tokens):
            return []
        late = self._clock.now() - LATE_AFTER
        token = uuid4()

        async def take(statements: Statements) -> tuple[list[Claimed], Parts]:
            rows = await statements.fetch(_TAKE, self.worker, tokens, until, limit, late)
            before = [delivery_of(_json(row["row"])) for row in rows]
            found = [_claimed(*pair, token) for pair in zip(before, rows, strict=True)]
            hold = {"worker": self.worker, "token": token}
            pairs = list(zip(before, (one.delivery for one in found), strict=True))
            told = [
                (now.recipient, changed(was, now)) for was, now in pairs if was.state != now.state
            ]
            moved = [moved_row(was, now) | hold for was, now in pairs]
            return found, self._parts(told) | {"deliveries": moved}

        return await self._write(take)

    async def begin(self, claimed: Claimed) -> Ready | None:
        """See `Ledger.begin`."""
        row = claimed.delivery
        found = await self._lanes.fetchrow(_BEGIN, row.id, claimed.token, row.fire_at)
        if found is None:
            return None
        subject: Row = orjson.loads(found["subject"])
        person: Row = orjson.loads(found["person"])
        wish: Row | None = _json(found["wish"])
        begun = delivery_of(subject["row"])
        to = Reader(zone=ZoneInfo(person["zone"]), link=self._addresses.link)
        about = _subject(subject)
        if begun.category is Category.VERIFICATION:
            url = self._addresses.verify(begun.recipient, person["email"])
            about = replace(about, url=url)
        told = content(about, await self._agenda(begun, to.zone), to)
        others = [_subject(one) for one in _json(found["sum"]) or ()]
        reached = frozenset(SubscriptionId(UUID(one)) for one in subject["row"]["reached"])
        is_seen = found["is_seen"] and told is not None
        return Ready(
            before=replace(
                begun,
                attempts=begun.attempts - 1,
                is_unsure=subject["row"]["was_unsure"],
                maybe_repeated=subject["row"]["was_repeated"],
            ),
            begun=begun,
            content=_GONE if told is None else together(told, others, to),
            preferences=preferences_of(wish, person["zone"]),
            to=self._recipients(begun, person, _json(found["browsers"]), reached)
            if is_seen
            else (),
            reached=reached if is_seen else frozenset(),
        )

    async def end(self, ended: Sequence[Ended]) -> None:
        """See `Ledger.end`; those that end at the same time are written together."""
        await self._ends.put(ended)

    async def release(self, claimed: Sequence[Claimed]) -> None:
        """See `Ledger.release`."""
        tokens = {one.delivery.id: one.token for one in claimed}
        people = [one.delivery.recipient for one in claimed]

        async def give_back(statements: Statements) -> tuple[None, Parts]:
            pairs = [
                (row, replace(row, state=State.PENDING))
                for row, token, begun_by in await _held(statements, people, tokens)
                if token == tokens[row.id] != begun_by and row.state is State.CLAIMED
            ]
            return None, self._moved(pairs)

        if tokens:
            await self._write(give_back)

    async def leave(self) -> None:
        """Ends the worker's lease: what it still holds is anybody's at once."""
        await self._lanes.fetchval(_LEAVE, str(self.worker))

    async def _end(self, ended: Sequence[Ended]) -> None:
        follows = {row.id: row for one in ended for row in one.follow}
        ids = {one.delivery.id for one in ended} | follows.keys()
        people = [one.delivery.recipient for one in ended]

        async def write(statements: Statements) -> tuple[None, Parts]:
            held = await _held(statements, people, ids)
            there = {row.id: row for row, _, _ in held}
            tokens = {row.id: token for row, token, _ in held}
            work = _Work()
            for one in ended:
                if tokens.get(one.delivery.id) == one.claimed.token:
                    work.take(one, there)
            return None, self._ended(work)

        await self._write(write)

    def _ended(self, work: "_Work") -> Parts:
        writes = LedgerWrites(
            new=tuple(work.new.values()),
            notifications=tuple(work.shown),
            told=tuple(work.told),
        )
        moved = [
            moved_row(was, now) | {"reached": sorted(reached)}
            for (was, now), reached in work.moved.values()
        ]
        own = {"deliveries": moved, "browsers_gone": sorted(work.gone)}
        return ledger_parts(writes) | self._parts(writes.told) | own

    def _moved(self, pairs: Sequence[tuple[Delivery, Delivery]]) -> Parts:
        told = [(now.recipient, changed(was, now)) for was, now in pairs]
        return self._parts(told) | {"deliveries": [moved_row(*pair) for pair in pairs]}

    def _parts(self, told: Sequence[Told]) -> Parts:
        at = instant_text(self._clock.now()) or ""
        made = persons(told, at=at, actor=None, key=None, new_id=self._new_id)
        return {"at": at, "persons": made}

    async def _write(self, work: _Transaction[Result]) -> Result:
        """Does the work in one transaction, and tells where the streams end then."""
        async with self._lanes.transaction() as statements:
            result, parts = await work(statements)
            given = {key: value for key, value in parts.items() if value != []}
            try:
                heads = await statements.fetch(_WRITE, orjson.dumps(given).decode())
            except asyncpg.UniqueViolationError as error:
                raise Unavailable("What follows was written by somebody else.") from error
            except asyncpg.PostgresError as error:
                if error.sqlstate != MOVED:
                    raise
                raise Unavailable(str(error)) from error
        for head in heads:
            self._committed(head["of_stream"], head["at_head"])
        return result

    async def _agenda(self, row: Delivery, zone: ZoneInfo) -> Agenda:
        if row.category is not Category.DIGEST:
            return Agenda()
        day = row.due_at.astimezone(zone).date()
        # An all-day due ends with its day.
        end = datetime.combine(day + timedelta(days=1), time(), zone)
        found = await self._lanes.fetchval(_AGENDA, row.recipient, end + timedelta(microseconds=1))
        tasks = [_task(one["task"], one["workspace"]) for one in orjson.loads(found)]
        return Agenda(
            due_today=[one for one in tasks if one.due and one.due.instant > row.due_at],
            late=[one for one in tasks if one.due and one.due.instant <= row.due_at],
        )

    def _recipients(
        self,
        row: Delivery,
        person: Row,
        browsers: list[Row] | None,
        reached: frozenset[SubscriptionId],
    ) -> tuple[Recipient, ...]:
        if row.channel is ChannelName.IN_APP:
            return (InFeed(),)
        if row.channel is ChannelName.PUSH:
            found = (_browser(one) for one in browsers or ())
            return tuple(one for one in found if one.id not in reached)
        if row.category is Category.VERIFICATION:
            return (Mailbox(address=person["email"], name=person["name"]),)
        if self._addresses.verified_only and not person["is_verified"]:
            return ()
        link = self._addresses.unsubscribe(row.recipient, row.category)
        return (Mailbox(address=person["email"], name=person["name"], unsubscribe_url=link),)


@dataclass(slots=True)
class _Work:
    """What ends write together; `there` are the rows as they are, locked."""

    new: dict[DeliveryId, Delivery] = field(default_factory=dict)
    moved: dict[DeliveryId, tuple[tuple[Delivery, Delivery], frozenset[SubscriptionId]]] = field(
        default_factory=dict
    )
    shown: list[Notification] = field(default_factory=list)
    gone: set[SubscriptionId] = field(default_factory=set)
    told: list[Told] = field(default_factory=list)

    def take(self, one: Ended, there: dict[DeliveryId, Delivery]) -> None:
        """Takes the end of a delivery whose hold is still its worker's."""
        was, now = there[one.delivery.id], one.delivery
        self.gone |= one.gone
        is_ours = was.state is State.CLAIMED
        if is_ours or (now.state is State.SENT and was.state is State.CANCELLED):
            self._move(was, now, one.reached)
        if not is_ours:
            return
        for row in one.follow:
            before = there.get(row.id)
            if before is not None and before.state is State.CANCELLED:
                self._move(before, row)
            elif before is None and row.id not in self.new:
                self.new[row.id] = row
                self.told.append((row.recipient, changed(None, row)))
        if one.notification is not None:
            self.shown.append(one.notification)
            self.told.append((one.notification.user_id, created(one.notification)))

    def _move(
        self, was: Delivery, now: Delivery, reached: frozenset[SubscriptionId] = frozenset()
    ) -> None:
        self.moved[now.id] = ((was, now), reached)
        self.told.append((now.recipient, changed(was, now)))


class _Together:
    """Hands over what comes while a call is under way by the next one, all of it at once."""

    def __init__(self, call: Callable[[Sequence[Ended]], Awaitable[None]]) -> None:
        self._call = call
        self._waiting: list[tuple[Sequence[Ended], asyncio.Future[None]]] = []
        self._running: asyncio.Task[None] | None = None

    async def put(self, some: Sequence[Ended]) -> None:
        """Returns when they are written; raises what the call raised."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((some, done))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        await done

    async def _run(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[:TOGETHER_MAX], self._waiting[TOGETHER_MAX:]
            error: Exception | None = None
            try:
                await self._call([one for some, _ in taken for one in some])
            except Exception as failure:  # noqa: BLE001 - each caller gets it
                error = failure
            for _, done in taken:
                if done.done():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)
        self._running = None


async def _held(
    statements: Statements, people: Collection[UserId], ids: Collection[DeliveryId]
) -> list[tuple[Delivery, UUID | None, UUID | None]]:
    """Locks the streams and the rows; returns these with their holds."""
    await statements.fetchval(_HOLD, list(people))
    rows = await statements.fetch(_HELD, list(ids))
    return [(delivery_of(_json(row["row"])), row["token"], row["begun_by"]) for row in rows]


def _claimed(found: Delivery, row: asyncpg.Record, token: UUID) -> Claimed:
    reminder: Row | None = _json(row["reminder"])
    return Claimed(
        delivery=found if found.state is State.CLAIMED else claimed(found),
        token=token,
        late=late_of(_json(row["wish"])),
        nag=None if reminder is None else nag_of(reminder),
    )


def _subject(found: Row) -> Subject:
    row, task = found["row"], found["task"]
    return Subject(
        delivery=delivery_of(row),
        task=None if task is None else _task(task, row["workspace_id"]),
        by=found["by"] or "",
    )


def _task(row: Row, workspace: str) -> Task:
    return task_of(row, WorkspaceId(UUID(workspace)))


def _browser(row: Row) -> Browser:
    return Browser(
        id=SubscriptionId(UUID(row["id"])),
        endpoint=row["endpoint"],
        p256dh=bytes.fromhex(row["p256dh"]),
        auth=bytes.fromhex(row["auth"]),
    )


def _json(text: bytes | None) -> Any:
    return None if text is None else orjson.loads(text)
