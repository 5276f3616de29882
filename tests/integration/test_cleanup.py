"""The daily clean-up on a real PostgreSQL: what stays, what goes, and what followers see of it."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

import workers.cleanup
from carillon import cleanup, compose
from carillon.database import Database
from carillon.relay import relay
from carillon.settings import Settings
from domain.access import Viewer
from domain.errors import Code, Unavailable
from domain.events import VERSION
from domain.ids import SessionId, TaskId
from domain.outbox import Topic
from domain.services.mutations import Mutations
from domain.services.task_patch import TaskPatch
from domain.services.tasks import TaskService
from infra.postgres import pruning, trash
from infra.postgres.access import PostgresAccess
from infra.postgres.doctor import findings
from infra.postgres.expired import ExpiredRows, Expiry
from infra.postgres.lanes import LaneOptions, Lanes, Statements
from infra.postgres.leases import PostgresLeases
from infra.postgres.log import PostgresLog
from infra.postgres.tail import PostgresTail
from resolvers.hub import Hub
from tests.live import Reader, TextStream, eventually
from tests.worlds import AT, World, refused
from workers.app import TOKEN_HEADER
from workers.cleanup import LEASE, Cleanup, Purge
from workers.timer import Timing

DAY = timedelta(days=1)
# Nothing of the environment, and all keep times as they are by default.
SETTINGS = Settings()
FAR = AT + timedelta(days=30_000)


@dataclass
class SetClock:
    at: datetime = AT

    def now(self) -> datetime:
        return self.at


@dataclass
class Desk:
    """A world whose time is set by `clock`, and the clean-up of it."""

    world: World
    url: str
    lanes: Lanes
    clock: SetClock = field(default_factory=SetClock)

    def __post_init__(self) -> None:
        self.tasks = TaskService(Mutations(self.world.store, self.clock), uuid4)

    def at(self, *, day: int) -> None:
        self.clock.at = AT + day * DAY

    async def task(self, title: str, *, key: str | None = None, **patch: Any) -> TaskId:
        command = self.world.command(key)
        draft = replace(TaskPatch(title=title), **patch)
        made = await self.tasks.create(command, self.world.home, None, draft)
        return TaskId(made.subject)

    async def deleted(self, title: str, **patch: Any) -> TaskId:
        task = await self.task(title, **patch)
        await self.tasks.delete(self.world.command(), task, None)
        return task

    def cleanup(
        self, *purges: Purge, settings: Settings = SETTINGS, statements: Statements | None = None
    ) -> Cleanup:
        return Cleanup(
            purges or cleanup.purges(settings, statements or self.lanes),
            leases=PostgresLeases(self.lanes),
            clock=self.clock,
            owner=uuid4(),
        )

    async def run(self, *, day: int, settings: Settings = SETTINGS) -> Mapping[str, int]:
        """Returns what a clean-up on that day removes, but for zeros."""
        self.at(day=day)
        removed = await self.cleanup(settings=settings).run()
        assert removed is not None
        return {kind: number for kind, number in removed.items() if number}

    async def seqs(self) -> list[int]:
        return [row["seq"] for row in await self.world.log()]

    async def value(self, sql: str, *args: object) -> Any:
        return await self.lanes.fetchval(sql, *args)

    async def floor(self) -> Any:
        return await self.value("SELECT floor FROM workspace WHERE id = $1", self.world.home)

    async def titles(self) -> set[str]:
        return {row["title"] for row in await self.lanes.fetch("SELECT title FROM task")}

    async def position(self, consumer: str, seq: int, stream: UUID | None = None) -> None:
        sql = """INSERT INTO position (consumer, stream, seq) VALUES ($1, $2, $3)
            ON CONFLICT (consumer, stream) DO UPDATE SET seq = excluded.seq"""
        await self.value(sql, consumer, stream or self.world.home, seq)

    async def is_sound(self) -> bool:
        """Tells whether the doctor has nothing to say of the log."""
        connection = await asyncpg.connect(self.url)
        try:
            return [finding.what async for finding in findings(connection)] == []
        finally:
            await connection.close()


@pytest.fixture
async def desk(world: World, database_url: str) -> AsyncIterator[Desk]:
    async with Lanes(database_url, LaneOptions(size=4)) as lanes:
        yield Desk(world, database_url, lanes)


# The trash


async def test_the_trash_is_purged_past_its_time_and_the_log_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash, "VERSION", VERSION + 1)
    kept = await desk.task("kept")
    old = await desk.deleted("old")
    desk.at(day=1)
    young = await desk.deleted("young")
    head = await desk.world.head()

    removed = await desk.run(day=30)
    removed_later = await desk.run(day=30)
    assert (removed, removed_later) == ({}, {})
    desk.clock.at += timedelta(seconds=1)
    assert await desk.cleanup().run() is not None

    assert await desk.titles() == {"kept", "young"}
    purged = (await desk.world.log())[head:]
    assert [(row["kind"], row["subject"], row["payload"]) for row in purged] == [
        ("task.purged", old, "null")
    ]
    assert (purged[0]["actor"], purged[0]["before"]) == (None, "{}")
    assert purged[0]["version"] == VERSION + 1
    assert await desk.world.head() == head + 1
    assert await desk.is_sound()
    assert await refused(desk.tasks.restore(desk.world.command(), old, None)) is Code.NOT_FOUND
    assert await refused(desk.tasks.restore(desk.world.command(), young, None)) is None
    assert await refused(desk.tasks.complete(desk.world.command(), kept, None)) is None


async def test_a_tree_goes_leaves_first_however_many_batches_it_takes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash, "BATCH_MAX_TASKS", 2)
    top = await desk.task("top")
    middle = await desk.task("middle", parent=top)
    for number in range(3):
        await desk.task(f"leaf {number}", parent=middle)
    early = await desk.task("early", parent=top)
    await desk.tasks.delete(desk.world.command(), early, None)
    desk.at(day=1)
    await desk.tasks.delete(desk.world.command(), top, None)

    assert await desk.run(day=31) == {"trash": 1}
    desk.at(day=1)
    assert await desk.run(day=32) == {"trash": 5}

    assert await desk.titles() == set()
    assert (await desk.world.log())[-1]["subject"] == top
    assert await desk.is_sound()


async def test_what_is_restored_while_the_trash_is_purged_stays(desk: Desk) -> None:
    rescued = await desk.deleted("rescued")
    await desk.deleted("gone")
    restore = desk.tasks.restore(desk.world.command(), rescued, None)

    class Meanwhile(Through):
        async def fetchval(self, sql: str, *args: object) -> Any:
            if sql == trash._PURGE and self.calls == 0:
                self.calls += 1
                await restore
            return await self.inner.fetchval(sql, *args)

    desk.at(day=31)
    statements = Meanwhile(desk.lanes)
    removed = await desk.cleanup(statements=statements).run()

    assert removed is not None
    assert removed["trash"] == 1
    assert await desk.titles() == {"rescued"}
    assert await desk.is_sound()


async def test_the_id_of_a_purged_task_stays_taken_while_the_log_knows_it(desk: Desk) -> None:
    old = await desk.deleted("old")
    await desk.run(day=31)

    def create() -> Any:
        draft = TaskPatch(title="again")
        return desk.tasks.create(desk.world.command(), desk.world.home, old, draft)

    head = await desk.world.head()
    assert await refused(create()) is Code.CONFLICT
    assert await desk.world.head() == head
    assert await desk.titles() == set()

    await desk.run(day=31 + 366)
    assert await refused(create()) is None


# The log


async def test_the_log_is_pruned_past_its_time_and_its_chain_verifies_from_there(
    desk: Desk,
) -> None:
    old = await desk.world.head()
    desk.at(day=100)
    await desk.task("young")
    assert await desk.run(day=365) == {}

    assert await desk.run(day=366) == {"workspace_log": old}

    assert await desk.seqs() == [old + 1]
    assert await desk.floor() == old
    assert await desk.is_sound()
    await desk.task("next")
    assert await desk.run(day=10_000) == {"workspace_log": 2}
    assert (await desk.seqs(), await desk.floor()) == ([], old + 2)
    assert await desk.is_sound()
    await desk.task("after all")
    assert await desk.seqs() == [old + 3]
    assert await desk.is_sound()


async def test_a_change_of_an_early_clock_keeps_its_followers(desk: Desk) -> None:
    """Times are those of writers, and may go back; the log's order is that of seq."""
    head = await desk.world.head()
    desk.at(day=100)
    await desk.task("by a clock that is ahead")
    desk.at(day=0)
    await desk.task("later, and older")

    assert await desk.run(day=400) == {"workspace_log": head}

    assert await desk.seqs() == [head + 1, head + 2]


async def test_the_floor_stays_behind_every_consumer_that_has_begun(desk: Desk) -> None:
    for number in range(4):
        await desk.task(str(number))
    _, elsewhere = await desk.world.sign_up("Bob")
    await desk.position("fast", 5)
    await desk.position("slow", 3)
    await desk.position("slow", 1, elsewhere)

    # "fast" has not begun there: it will, at the floor.
    assert await desk.run(day=400) == {"workspace_log": 3}
    assert await desk.floor() == 3

    await desk.position("slow", 6)
    assert await desk.run(day=400) == {"workspace_log": 2}
    assert await desk.floor() == 5
    await desk.position("fast", 2, elsewhere)
    assert await desk.run(day=400) == {"workspace_log": 1}
    assert await desk.is_sound()


async def test_topics_hold_the_log_before_their_first_event(desk: Desk) -> None:
    published = Settings(dapr_url="http://127.0.0.1:3500")
    assert await desk.run(day=400, settings=published) == {}

    await desk.position(Topic.TASK_EVENTS.consumer, 2)
    assert await desk.run(day=400, settings=published) == {}
    await desk.position(Topic.AUDIT_LOGS.consumer, 1)
    assert await desk.run(day=400, settings=published) == {"workspace_log": 1}


async def test_a_parked_change_stays_until_it_is_run_again(desk: Desk) -> None:
    await desk.task("a")
    await desk.task("b")
    await desk.position("bells", 4)
    park = "INSERT INTO parked (consumer, stream, seq, reason, at) VALUES ($1, $2, $3, '', $4)"
    await desk.value(park, "bells", desk.world.home, 3, AT)

    assert await desk.run(day=400) == {"workspace_log": 2}
    assert await desk.run(day=30_000) == {}
    assert await desk.value("SELECT count(*) FROM parked") == 1

    await desk.value("DELETE FROM parked")
    assert await desk.run(day=400) == {"workspace_log": 2}


async def test_a_users_own_stream_is_pruned_in_the_same_way(desk: Desk) -> None:
    ada = desk.world.ada
    copy = """
        WITH made AS (
            INSERT INTO user_stream (id, head, head_hash, floor_hash)
            SELECT $1, head, head_hash, decode(repeat('00', 32), 'hex')
            FROM workspace WHERE id = $2 RETURNING id)
        INSERT INTO change SELECT made.id, seq, gen_random_uuid(), kind, at, actor, actor_name,
            subject, fields, key, trace, before, payload, hash
        FROM change, made WHERE stream = $2"""
    await desk.task("milk")
    await desk.value(copy, ada, desk.world.home)
    await desk.position("bells", 2, ada)
    assert await desk.is_sound()

    assert await desk.run(day=400) == {"workspace_log": 3, "user_log": 2}

    assert await desk.value("SELECT floor FROM user_stream") == 2
    assert await desk.is_sound()
    await desk.position("bells", 3, ada)
    assert await desk.run(day=400) == {"user_log": 1}
    assert await desk.is_sound()


async def test_no_batch_is_larger_than_its_limit_in_rows_or_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        await desk.task(str(number), description="d" * 1_000)
    monkeypatch.setattr(pruning, "BATCH_MAX_CHANGES", 3)
    monkeypatch.setattr(pruning, "BATCH_MAX_BYTES", 2_000)

    log = cleanup.purges(SETTINGS, desk.lanes)[1]
    removed = [number async for number in log.batches(FAR) if number]

    # The workspace and its owner are small, each task has more than 1,500 bytes.
    assert removed == [3, 2, 1, 2, 1, 1]
    assert await desk.seqs() == []
    assert await desk.is_sound()


# Followers


async def test_followers_go_on_from_the_floor_and_before_it_are_told_to_resync(
    desk: Desk,
) -> None:
    for number in range(6):
        await desk.task(str(number))
    desk.at(day=100)
    await desk.task("young")
    await desk.task("youngest")
    log, tail = PostgresLog(desk.lanes), None
    tail = PostgresTail(log)
    running = asyncio.create_task(tail.run())
    hub = Hub(log=log, access=PostgresAccess(desk.lanes), events=tail)
    ada = Viewer(user=desk.world.ada, session=SessionId(uuid4()), expires_at=FAR)
    readers = {after: Reader() for after in (0, 5, 7, 8, 9, 10)}
    live = Reader()
    hub.subscribe(TextStream(desk.world.home), ada, live, after=10)
    await eventually(lambda: live.caught_up)

    assert await desk.run(day=400) == {"workspace_log": 8}
    for after, reader in readers.items():
        hub.subscribe(TextStream(desk.world.home), ada, reader, after=after)
    await eventually(lambda: all(reader.caught_up for reader in readers.values()))
    await desk.task("newest")
    await eventually(lambda: all(r.seqs[-1:] == [11] for r in (live, *readers.values())))

    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    for after in (0, 5, 7):
        expected = {"resync": "LOG_PRUNED", "seq": after, "head": 10}
        assert (readers[after].resyncs, readers[after].seqs) == ([expected], [11])
    assert (readers[8].resyncs, readers[8].seqs) == ([], [9, 10, 11])
    assert (readers[9].resyncs, readers[9].seqs) == ([], [10, 11])
    assert (readers[10].resyncs, readers[10].seqs) == ([], [11])
    assert (live.resyncs, live.seqs) == ([], [11])


async def test_a_reader_in_the_middle_of_old_pages_has_no_gap(desk: Desk) -> None:
    """The floor moves before rows go: whoever finds a gap finds the floor beyond it too."""
    for number in range(20):
        await desk.task(str(number))
    log = PostgresLog(desk.lanes)
    first = await log.page(desk.world.home, 0, 5, desk.world.ada)
    await desk.run(day=400)

    assert first is not None
    second = await log.page(desk.world.home, first.changes[-1].seq, 5, desk.world.ada)

    assert second is not None
    assert (second.floor, second.head, second.changes) == (22, 22, [])


# Keys, sessions, state, leases


async def test_a_key_answers_for_its_time_and_is_new_after_it(desk: Desk) -> None:
    key = "k" * 16
    first = await desk.task("milk", key=key)
    assert await desk.run(day=30) == {}
    assert await desk.task("milk", key=key) == first
    await desk.value("UPDATE workspace SET head = head")

    assert await desk.run(day=31) == {"idempotency_keys": 1}

    assert await desk.task("milk", key=key) != first


async def test_no_key_outlives_the_change_that_answers_for_it(desk: Desk) -> None:
    settings = Settings(keep_log_days=3, keep_idempotency_keys_days=3)
    key = "k" * 16
    desk.at(day=1)
    first = await desk.task("milk", key=key)

    for day in (3, 4):
        await desk.run(day=day, settings=settings)
        assert await desk.task("milk", key=key) == first
    desk.clock.at += timedelta(seconds=1)
    removed = await desk.cleanup(settings=settings).run()

    assert removed is not None
    assert (removed["idempotency_keys"], removed["workspace_log"]) == (1, 1)


@pytest.mark.parametrize(
    "_case, expires, revoked, stays",
    [
        ("open", 30, None, True),
        ("expired a while ago", -6, None, True),
        ("expired long ago", -8, None, False),
        ("revoked a while ago", 30, -6, True),
        ("revoked long ago", 30, -8, False),
        ("revoked long ago, expired since", -1, -8, False),
    ],
)
async def test_sessions_stay_for_a_while_after_their_end(
    desk: Desk, _case: str, expires: int, revoked: int | None, stays: bool
) -> None:
    await desk.value(
        """INSERT INTO session (id, user_id, created_at, expires_at, revoked_at, refresh_digest)
        VALUES ($1, $2, $3, $4, $5, 'x')""",
        uuid4(),
        desk.world.ada,
        AT - 40 * DAY,
        AT + expires * DAY,
        None if revoked is None else AT + revoked * DAY,
    )

    assert await desk.run(day=0) == ({} if stays else {"sessions": 1})

    assert await desk.value("SELECT count(*) FROM session") == int(stays)


@pytest.mark.parametrize(
    "state, rang, stays",
    [
        ("SENT", -91, False),
        ("SNOOZED", -91, False),
        ("CANCELLED", -89, True),
        ("PENDING", -91, True),
        ("CLAIMED", -91, True),
    ],
)
async def test_deliveries_stay_until_they_are_done_and_old(
    desk: Desk, state: str, rang: int, stays: bool
) -> None:
    at = AT + rang * DAY
    await desk.value(
        """INSERT INTO delivery (id, category, source, recipient, channel, root_at, due_at, fire_at,
            state, attempts, nag, is_late, is_unsure, maybe_repeated)
        VALUES ($1, 'DIGEST', $1, $2, 'EMAIL', $3, $3, $3, $4, 0, 0, false, false, false)""",
        uuid4(),
        desk.world.ada,
        at,
        state,
    )

    assert await desk.run(day=0) == ({} if stays else {"deliveries": 1})

    assert await desk.value("SELECT count(*) FROM delivery") == int(stays)


@pytest.mark.parametrize(
    "column, came, stays",
    [
        ("read_at", -91, False),
        ("archived_at", -91, False),
        ("read_at", -89, True),
        (None, -91, True),
    ],
)
async def test_entries_of_the_feed_stay_until_they_are_seen_and_old(
    desk: Desk, column: str | None, came: int, stays: bool
) -> None:
    at = AT + came * DAY
    seen = {name: at if name == column else None for name in ("read_at", "archived_at")}
    await desk.value(
        """INSERT INTO notification (id, user_id, category, title, body, created_at, read_at,
            archived_at)
        VALUES ($1, $2, 'REMINDER', 'Buy milk', '', $3, $4, $5)""",
        uuid4(),
        desk.world.ada,
        at,
        *seen.values(),
    )

    assert await desk.run(day=0) == ({} if stays else {"notifications": 1})

    assert await desk.value("SELECT count(*) FROM notification") == int(stays)


async def test_state_and_leases_go_once_they_have_ended(desk: Desk) -> None:
    """By the database's clock, as they began; and by this process's, whichever is behind."""
    for name, ends in (("ended", "-1 hour"), ("running", "1 hour")):
        await desk.value(
            "INSERT INTO state VALUES ($1, 'v', now() + $2::text::interval)", name, ends
        )
        await desk.value(
            "INSERT INTO lease VALUES ($1, gen_random_uuid(), now() + $2::text::interval)",
            name,
            ends,
        )
    desk.clock.at = AT - 365 * DAY
    assert set((await desk.cleanup().run() or {"": 1}).values()) == {0}

    desk.clock.at = FAR
    removed = await desk.cleanup().run()

    assert removed is not None
    assert (removed["state"], removed["leases"]) == (1, 1)
    for table, column in (("state", "key"), ("lease", "name")):
        assert await desk.value(f"SELECT array_agg({column}) FROM {table}") == ["running"]  # noqa: S608


async def test_rows_of_a_further_table_take_one_line(desk: Desk) -> None:
    await desk.value("CREATE TABLE bell (id int, rung_at timestamptz)")
    await desk.value("INSERT INTO bell SELECT i, $1 FROM generate_series(1, 25) AS i", AT)
    await desk.value("INSERT INTO bell VALUES (26, $1)", AT + DAY)
    expiry = Expiry(kind="bells", table="bell", past="rung_at < {at}", keep=5 * DAY)
    desk.at(day=6)

    bells = ExpiredRows(expiry, desk.lanes, batch=10)
    assert [number async for number in bells.batches(AT + 5 * DAY)] == [0]
    assert [number async for number in bells.batches(AT + 6 * DAY)] == [10, 10, 5]

    assert await desk.value("SELECT array_agg(id) FROM bell") == [26]


async def test_a_row_that_somebody_holds_is_left_and_nobody_waits(desk: Desk) -> None:
    for number in range(3):
        await desk.task("milk", key=f"the key of number {number}")
    async with desk.lanes.transaction() as statements:
        await statements.fetchval("SELECT key FROM idempotency ORDER BY key LIMIT 1 FOR UPDATE")
        assert (await desk.run(day=31))["idempotency_keys"] == 2

    assert await desk.run(day=31) == {"idempotency_keys": 1}


# Runs


@dataclass
class Through:
    """Statements that go through to others; `calls` counts them."""

    inner: Lanes
    calls: int = 0

    async def fetchval(self, sql: str, *args: object) -> Any:
        return await self.inner.fetchval(sql, *args)

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        return await self.inner.fetchrow(sql, *args)

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        return await self.inner.fetch(sql, *args)


class Dying(Through):
    """A process that dies before its `calls`-th statement."""

    async def _step(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise ConnectionError

    async def fetchval(self, sql: str, *args: object) -> Any:
        await self._step()
        return await super().fetchval(sql, *args)

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        await self._step()
        return await super().fetchrow(sql, *args)

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        await self._step()
        return await super().fetch(sql, *args)


async def test_a_crash_between_any_two_statements_loses_nothing_and_the_next_run_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash, "BATCH_MAX_TASKS", 1)
    monkeypatch.setattr(pruning, "BATCH_MAX_CHANGES", 2)
    monkeypatch.setattr(pruning, "BATCH_MAX_BYTES", 1)
    for number in range(2):
        await desk.deleted(str(number), key=f"the key of number {number}")
    young = AT + 380 * DAY
    desk.clock.at = young
    await desk.task("young")
    head = await desk.world.head()
    desk.at(day=400)

    crashes = 0
    for steps in count(1):
        try:
            removed = await desk.cleanup(statements=Dying(desk.lanes, steps)).run()
        except ConnectionError:
            crashes += 1
            assert await desk.is_sound()
            floor = await desk.floor()
            left = await PostgresLog(desk.lanes).read(desk.world.home, floor, 100)
            assert [one.seq for one in left] == list(range(floor + 1, await desk.world.head() + 1))
        else:
            break

    assert removed is not None
    assert crashes > 8
    assert await desk.titles() == {"young"}
    # The purges of the trash are young themselves.
    assert await desk.seqs() == [head, head + 1, head + 2]
    assert await desk.value("SELECT count(*) FROM idempotency") == 0
    assert await desk.is_sound()


async def test_rows_that_a_crash_left_below_the_floor_go_with_the_next_run(desk: Desk) -> None:
    await desk.task("milk")
    head = await desk.world.head()
    await desk.value("UPDATE workspace SET floor = head, floor_hash = head_hash")
    assert await desk.is_sound()

    assert await desk.run(day=0) == {"workspace_log": head}

    assert (await desk.seqs(), await desk.floor()) == ([], head)


async def test_of_two_at_once_one_does_it_and_the_other_leaves_it_to_that_one(desk: Desk) -> None:
    for number in range(5):
        await desk.deleted(str(number), key=f"the key of number {number}")
    desk.at(day=400)

    results = await asyncio.gather(*(desk.cleanup().run() for _ in range(4)))

    [removed] = [one for one in results if one is not None]
    assert (removed["trash"], removed["idempotency_keys"], removed["workspace_log"]) == (5, 5, 12)
    assert await desk.value("SELECT count(*) FROM lease") == 0
    assert await desk.is_sound()


async def test_a_lease_that_was_left_behind_runs_out(desk: Desk) -> None:
    leases = PostgresLeases(desk.lanes)
    await leases.hold([LEASE], uuid4(), 60)
    assert await desk.cleanup().run() is None

    await desk.value("UPDATE lease SET until = now()")
    assert await desk.cleanup().run() is not None


async def test_whoever_has_lost_the_lease_stops(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers.cleanup, "RENEW_S", 0)

    class Slow:
        kind = "slow"

        async def batches(self, _now: datetime) -> AsyncGenerator[int]:
            yield 1
            await desk.value("UPDATE lease SET owner = gen_random_uuid()")
            yield 2
            raise AssertionError("went on")

    with pytest.raises(Unavailable, match="taken the clean-up over"):
        await desk.cleanup(Slow()).run()

    assert await desk.value("SELECT count(*) FROM lease") == 1


async def test_people_work_on_while_the_clean_up_runs(desk: Desk) -> None:
    """Mutations and clean-up race for the same rows: nobody fails, and the log is whole."""
    tops = [await desk.task(str(number)) for number in range(10)]
    for number in range(60):
        await desk.deleted(f"{number}", parent=tops[number % 10])
    desk.at(day=400)
    ended = asyncio.Event()

    async def write(top: TaskId) -> None:
        while not ended.is_set():
            below = await desk.task("below", parent=top)
            await desk.tasks.delete(desk.world.command(), below, None)
            await desk.tasks.restore(desk.world.command(), below, None)
            await asyncio.sleep(0)

    writers = [asyncio.create_task(write(top)) for top in tops[:4]]
    removed = await desk.cleanup().run()
    ended.set()
    await asyncio.gather(*writers)

    assert removed is not None
    assert removed["trash"] == 60
    assert await desk.is_sound()


# Ways to run it


async def test_a_tick_at_the_relay_cleans_up_and_answers_200(desk: Desk) -> None:
    settings = long_ago(desk)
    await desk.deleted("old")
    found = Database(url=desk.url, direct_url=None)
    async with relay(settings, found) as application:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://relay") as http:
            refused = await http.post("/daily-cleanup")
            assert (refused.status_code, await desk.titles()) == (403, {"old"})

            answer = await http.post("/daily-cleanup", headers={TOKEN_HEADER: "of the sidecar"})

    assert (answer.status_code, await desk.titles()) == (200, set())


async def test_serve_cleans_up_by_a_timer_unless_there_is_a_sidecar(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "TIMING", Timing(first_s=0.01, period_s=60.0))
    settings = long_ago(desk)
    found = Database(url=desk.url, direct_url=None)
    await desk.deleted("old")
    ran = "SELECT count(*) FROM change WHERE kind = 'task.purged'"

    async with compose.application(settings, found):
        # As long as the timer needs many times over.
        await asyncio.sleep(0.5)
        assert await desk.value(ran) == 0
    async with compose.application(settings.model_copy(update={"dapr_url": None}), found):
        async with asyncio.timeout(10):
            while not await desk.value(ran):
                await asyncio.sleep(0.01)

    assert await desk.titles() == set()


async def test_the_command_prints_a_line_for_each_kind(desk: Desk) -> None:
    long_ago(desk)
    await desk.value("UPDATE change SET at = '2020-01-01T00:00:00+00:00'")
    await desk.deleted("old", key="the key of a test")

    await PostgresLeases(desk.lanes).hold([LEASE], uuid4(), 60)
    elsewhere = "carillon: Another process is cleaning up at the moment.\n"
    assert await ran(desk.url) == (1, "", elsewhere)
    assert await desk.titles() == {"old"}

    await desk.value("DELETE FROM lease")
    code, out, error = await ran(desk.url)

    assert (code, error) == (0, "")
    assert out.splitlines() == [
        "idempotency_keys: 1 removed",
        "workspace_log: 4 removed",
        "user_log: 0 removed",
        "sessions: 0 removed",
        "deliveries: 0 removed",
        "notifications: 0 removed",
        "state: 0 removed",
        "leases: 0 removed",
        "trash: 1 removed",
    ]


async def test_on_a_database_without_migrations_the_command_says_what_to_do(
    database_url: str,
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()

    code, out, error = await ran(database_url)

    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"carillon: The database lacks \d+ migration\(s\). Run `carillon migrate`.\n", error
    )


async def ran(url: str) -> tuple[int | None, str, str]:
    """Runs the command on this database; returns its exit code and what it says."""
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("carillon"), "cleanup"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath, "CARILLON_DATABASE_URL": url},
    )
    out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


def long_ago(desk: Desk) -> Settings:
    """Sets the world's clock so far back that all of it is past its time today."""
    desk.clock.at = datetime.now(UTC) - 1_000 * DAY
    return Settings(
        database_url=SecretStr(desk.url),
        token_secret=SecretStr("s" * 32),
        dapr_url="http://127.0.0.1:9",
        app_api_token=SecretStr("of the sidecar"),
    )
