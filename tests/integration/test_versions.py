"""A change has its writer's version wherever it is read: by the relay, by the repair of a gap.

A release of tomorrow is this one with another number.
"""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from domain.changes import Change
from domain.events import VERSION, Delivered
from domain.inbox import Turn
from domain.outbox import Pending, Topic
from domain.services.mutations import Mutations
from domain.services.task_patch import TaskPatch
from domain.services.tasks import TaskService
from infra.clock import SystemClock
from infra.envelope import event
from infra.ids import uuid7
from infra.postgres.backlog import PostgresBacklog
from infra.postgres.inbox import PostgresInbox
from infra.postgres.lanes import LaneOptions, Lanes
from tests.live import Database
from tests.worlds import World
from workers.consumer import Consumer

TOMORROW = VERSION + 1


@pytest.fixture
async def lanes(database_url: str) -> AsyncIterator[Lanes]:
    async with Lanes(database_url, LaneOptions(size=2)) as lanes:
        yield lanes


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(database_url)
    yield Database(connection)
    await connection.close()


async def test_the_relay_publishes_a_change_in_the_version_of_its_writer(
    world: World, lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = TaskService(Mutations(world.store, SystemClock()), uuid4)
    head = await world.head()
    await tasks.create(world.command(), world.home, None, TaskPatch(title="today"))
    monkeypatch.setattr("infra.postgres.personal.VERSION", TOMORROW)
    await tasks.create(world.command(), world.home, None, TaskPatch(title="tomorrow"))

    pending = [Pending(stream=world.home, after=head, head=head + 2)]
    entries = await PostgresBacklog(lanes).entries(pending, 10)

    versions = [event(Topic.TASK_EVENTS, entry)["schemaversion"] for entry in entries]
    assert versions == [str(VERSION), str(TOMORROW)]


async def test_a_release_that_says_no_version_writes_the_first(database: Database) -> None:
    """As the one before the column does: by the same function, while both run."""
    stream = await database.workspace()
    await database.connection.execute(
        """WITH given AS (SELECT $1::uuid AS id)
        SELECT append_1(id, 0, '', jsonb_build_object('at', now()::text), jsonb_build_array(
            jsonb_build_object('id', id, 'kind', 'task.updated', 'subject', id, 'head', '',
                               'fields', '[]'::jsonb, 'before', '{}', 'payload', '{}')))
        FROM given""",
        stream,
    )

    found = await database.connection.fetchval("SELECT version FROM change")

    assert found == 1


async def test_a_gap_is_repaired_without_misreading_what_a_newer_release_wrote(
    lanes: Lanes, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 3)
    await database.connection.execute("UPDATE change SET version = $1 WHERE seq = 2", TOMORROW)
    applied: list[int] = []

    async def apply(change: Change, _turn: Turn) -> None:
        applied.append(change.seq)

    inbox = PostgresInbox(lanes, new_id=uuid7, committed=lambda _stream, _seq: None)
    consumer = Consumer("test", handler=apply, inbox=inbox)

    # Nothing of 1 and 2 was delivered: both come from the log.
    await consumer.take(Delivered(stream=stream, seq=3, version=VERSION, change=None))

    assert applied == [1, 3]
    [parked] = await inbox.parked("test")
    assert (parked.seq, parked.reason) == (
        2,
        f"Unreadable: A newer release wrote it, in version {TOMORROW}.",
    )
    await consumer.redrive()
    assert applied == [1, 3]
    assert len(await inbox.parked("test")) == 1


async def test_the_column_came_without_rewriting_the_log(database: Database) -> None:
    """PostgreSQL keeps the default of rows that are older than the column beside them."""
    found = await database.connection.fetchval(
        """SELECT atthasmissing FROM pg_attribute
        WHERE attrelid = 'change'::regclass AND attname = 'version'"""
    )

    assert found is True
