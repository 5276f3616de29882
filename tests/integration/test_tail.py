"""The tail and the log on a real PostgreSQL: everything once, in order, through outages."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from domain.ids import WorkspaceId
from domain.workspaces import Role
from infra.clock import SystemClock
from infra.postgres.access import AccessPoll, PostgresAccess
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import READ_MAX_BYTES, PostgresLog
from infra.postgres.tail import POLL_S, ROWS_MAX, PostgresTail
from tests.live import Database, Kept, eventually


@pytest.fixture
async def lanes(database_url: str) -> AsyncIterator[Lanes]:
    async with Lanes(database_url, LaneOptions(size=2)) as lanes:
        yield lanes


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(database_url)
    yield Database(connection)
    await connection.close()


@pytest.fixture
async def tail(lanes: Lanes) -> AsyncIterator[PostgresTail]:
    tail = PostgresTail(PostgresLog(lanes))
    async with running(tail.run()):
        yield tail


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_the_log_reads_pages_and_heads(lanes: Lanes, database: Database) -> None:
    log = PostgresLog(lanes)
    workspace = await database.workspace()
    await database.commit(workspace, 5, payload='{"title":"Käse"}')
    await database.prune(workspace, 2)

    page = await log.read(workspace, 2, 2)
    somebody = WorkspaceId((await database.user()).user)
    heads = await log.heads([workspace, somebody, WorkspaceId(uuid4())])

    assert [change.seq for change in page] == [3, 4]
    assert (page[0].stream, page[0].payload) == (workspace, '{"title":"Käse"}')
    assert page[0].at.utcoffset() == timedelta(0)
    assert {(stream, head.head, head.floor) for stream, head in heads.items()} == {
        (workspace, 5, 2),
        # A stream of one's own is there before its first change.
        (somebody, 0, 0),
    }


async def test_a_page_of_large_changes_is_short_and_never_empty(
    lanes: Lanes, database: Database
) -> None:
    log = PostgresLog(lanes)
    workspace = await database.workspace()
    await database.commit(workspace, 5, payload='"' + "x" * (READ_MAX_BYTES // 2) + '"')
    await database.commit(workspace, payload='"' + "x" * (2 * READ_MAX_BYTES) + '"')

    assert [change.seq for change in await log.read(workspace, 0, 100)] == [1, 2]
    assert [change.seq for change in await log.read(workspace, 5, 100)] == [6]


async def test_a_hint_is_quick_and_a_lost_one_only_slow(
    tail: PostgresTail, database: Database
) -> None:
    workspace = await database.workspace()
    sink = Kept()
    tail.follow(workspace, 0, sink)
    await asyncio.sleep(POLL_S)

    began = time.perf_counter()
    tail.hint(workspace, await database.commit(workspace))
    await eventually(lambda: sink.seqs == [1])
    hinted = time.perf_counter() - began
    began = time.perf_counter()
    await database.commit(workspace)
    await eventually(lambda: sink.seqs == [1, 2])
    polled = time.perf_counter() - began

    assert hinted < POLL_S / 2
    assert polled < 2 * POLL_S


async def test_a_long_backlog_comes_in_rounds_without_waiting_for_polls(
    tail: PostgresTail, database: Database
) -> None:
    workspace = await database.workspace()
    await database.commit(workspace, 5 * ROWS_MAX)
    sink = Kept()

    began = time.perf_counter()
    tail.follow(workspace, 10, sink)
    await eventually(lambda: sink.seqs[-1:] == [5 * ROWS_MAX])

    assert sink.seqs == list(range(11, 5 * ROWS_MAX + 1))
    assert sink.rounds == 5
    assert time.perf_counter() - began < 5 * POLL_S


async def test_many_writers_and_workspaces(tail: PostgresTail, database_url: str) -> None:
    connections = [Database(await asyncpg.connect(database_url)) for _ in range(8)]
    workspaces = [await connections[0].workspace() for _ in range(5)]
    sinks = [Kept() for _ in workspaces]
    for workspace, sink in zip(workspaces, sinks, strict=True):
        tail.follow(workspace, 0, sink)

    async def write(database: Database) -> None:
        for turn in range(50):
            workspace = workspaces[turn % 5]
            tail.hint(workspace, await database.commit(workspace, 1 + turn % 3))

    await asyncio.gather(*[write(database) for database in connections])
    heads = [
        await connections[0].connection.fetchval("SELECT head FROM workspace WHERE id = $1", w)
        for w in workspaces
    ]
    await eventually(lambda: [len(sink.seqs) for sink in sinks] == heads, within_s=10)

    for sink, head in zip(sinks, heads, strict=True):
        assert sink.seqs == list(range(1, head + 1))
    for database in connections:
        await database.connection.close()


async def test_an_outage_is_logged_once_and_loses_nothing(
    tail: PostgresTail, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "infra.postgres.tail")

    def said() -> list[str]:
        return [r.message for r in caplog.records if r.name == "infra.postgres.tail"]

    workspace = await database.workspace()
    sink = Kept()
    tail.follow(workspace, 0, sink)
    await database.commit(workspace)
    await eventually(lambda: sink.seqs == [1])

    # The table is away: every statement of the tail fails, as it would on a server in recovery.
    await database.connection.execute("ALTER TABLE change RENAME TO gone")
    tail.hint(workspace, 2)
    await eventually(lambda: "tail.failed" in said(), within_s=10)
    await asyncio.sleep(0.8)
    await database.connection.execute("ALTER TABLE gone RENAME TO change")
    # And every connection is cut.
    await database.connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await database.commit(workspace, 3)
    await eventually(lambda: sink.seqs == [1, 2, 3, 4], within_s=10)

    assert said()[:2] == ["tail.failed", "tail.recovered"]
    assert len(said()) <= 4


async def test_a_head_that_goes_backwards_is_a_jump(tail: PostgresTail, database: Database) -> None:
    workspace = await database.workspace()
    sink = Kept()
    tail.follow(workspace, 0, sink)
    await database.commit(workspace, 5)
    await eventually(lambda: len(sink.seqs) == 5)

    await database.restore(workspace, 3)
    await eventually(lambda: sink.jumps == [3])
    tail.hint(workspace, await database.commit(workspace))
    await eventually(lambda: sink.seqs[5:] == [4])


async def test_pruning_beyond_the_cursor_is_a_jump(lanes: Lanes, database: Database) -> None:
    workspace = await database.workspace()
    await database.commit(workspace, 9)
    await database.prune(workspace, 6)
    sink = Kept()
    tail = PostgresTail(PostgresLog(lanes))
    tail.follow(workspace, 4, sink)

    async with running(tail.run()):
        await eventually(lambda: sink.jumps == [9])
        tail.hint(workspace, await database.commit(workspace))
        await eventually(lambda: sink.seqs == [10])


async def test_a_restarted_tail_goes_on_where_it_was(lanes: Lanes, database: Database) -> None:
    workspace = await database.workspace()
    sink = Kept()
    tail = PostgresTail(PostgresLog(lanes))
    tail.follow(workspace, 0, sink)
    for _ in range(5):
        async with running(tail.run()):
            await database.commit(workspace, 3)
            await asyncio.sleep(0.01)
    async with running(tail.run()):
        await eventually(lambda: len(sink.seqs) == 15)

    assert sink.seqs == list(range(1, 16))


async def test_who_left_hears_nothing_more(tail: PostgresTail, database: Database) -> None:
    workspace = await database.workspace()
    sink, next_one = Kept(), Kept()
    tail.follow(workspace, 0, sink)
    tail.hint(workspace, await database.commit(workspace))
    tail.unfollow(workspace)
    tail.follow(workspace, 0, next_one)
    await eventually(lambda: next_one.seqs == [1])

    assert sink.seqs == []


async def test_the_role_is_read_fresh(lanes: Lanes, database: Database) -> None:
    access = PostgresAccess(lanes)
    somebody = await database.user()
    workspace = await database.workspace(somebody)

    assert await access.role(somebody.user, workspace) is Role.MEMBER
    await database.remove(workspace, somebody.user)
    assert await access.role(somebody.user, workspace) is None


async def test_the_poll_knows_revocations_that_tokens_outlive(
    lanes: Lanes, database: Database
) -> None:
    poll = AccessPoll(lanes, SystemClock(), token_lifetime=timedelta(hours=1))
    before, later, old, kept = [await database.user() for _ in range(4)]
    await database.revoke(before.session)
    await database.revoke(old.session)
    await database.connection.execute(
        "UPDATE session SET revoked_at = now() - interval '2 hours' WHERE id = $1", old.session
    )

    class Nobody:
        def memberships(self) -> list[Any]:
            return []

        def lost(self, memberships: Any) -> None:
            raise AssertionError

        def sweep(self, now: Any, is_revoked: Any) -> None:
            assert now.utcoffset() == timedelta(0)

    await poll.step(Nobody())
    await database.revoke(later.session)
    assert poll.is_revoked(before.session)
    assert not poll.is_revoked(later.session)
    await poll.step(Nobody())

    assert poll.is_revoked(later.session)
    assert not poll.is_revoked(old.session)
    assert not poll.is_revoked(kept.session)
    poll.revoke(kept.session)
    assert poll.is_revoked(kept.session)
