"""What a consumer gets where no broker delivers: what concerns it, in order, and nothing twice."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.changes import Change
from domain.events import VERSION, Delivered
from domain.inbox import Turn
from domain.outbox import SHARDS, Streams
from infra.postgres.backlog import PostgresBacklog
from infra.postgres.inbox import PostgresInbox
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.leases import PostgresLeases
from tests.live import Database
from workers.consumer import Consumer
from workers.follower import BATCH_MAX, Follower, Overdue
from workers.shards import Shards


class Bells:
    """Rings for every fifth change; `broken` are streams where that fails."""

    def __init__(self) -> None:
        self.rung: list[tuple[UUID, int]] = []
        self.broken: set[UUID] = set()

    async def ring(self, change: Change, _turn: Turn) -> None:
        if change.stream in self.broken:
            raise RuntimeError("no rope")
        self.rung.append((change.stream, change.seq))

    def concerns(self, change: Change) -> bool:
        return change.seq % 5 == 0

    def of(self, stream: UUID) -> list[int]:
        return [seq for one, seq in self.rung if one == stream]


@pytest.fixture
async def lanes(database_url: str) -> AsyncIterator[Lanes]:
    async with Lanes(database_url, LaneOptions(size=4)) as lanes:
        yield lanes


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(database_url)
    yield Database(connection)
    await connection.close()


@pytest.fixture
def bells() -> Bells:
    return Bells()


@pytest.fixture
async def follower(lanes: Lanes, bells: Bells) -> Follower:
    return await made(lanes, bells)


def consumer(lanes: Lanes, bells: Bells) -> Consumer:
    inbox = PostgresInbox(lanes, new_id=uuid4, committed=lambda _stream, _seq: None)
    return Consumer("bells", handler=bells.ring, inbox=inbox)


async def made(lanes: Lanes, bells: Bells, *, has_broker: bool = False) -> Follower:
    shards = Shards(PostgresLeases(lanes), group="bells", owner=uuid4())
    await shards.step()
    backlog = PostgresBacklog(lanes)
    return Follower(
        consumer(lanes, bells),
        bells.concerns,
        backlog=Overdue(backlog) if has_broker else backlog,
        shards=shards,
    )


async def _position(lanes: Lanes, stream: UUID) -> int:
    seq: int = await lanes.fetchval("SELECT seq FROM position WHERE stream = $1", stream)
    return seq


async def test_what_concerns_it_is_brought_in_order_and_once(
    lanes: Lanes, database: Database, follower: Follower, bells: Bells
) -> None:
    ada = await database.user()
    one, other = await database.workspace(ada), await database.workspace(ada)
    await database.commit(one, BATCH_MAX + 3)
    await database.commit(other, 7)

    await follower.step()
    await follower.step()

    assert bells.of(one) == list(range(5, BATCH_MAX + 3, 5))
    assert bells.of(other) == [5]
    assert [await _position(lanes, stream) for stream in (one, other)] == [BATCH_MAX + 3, 7]

    await database.commit(other, 3)
    await follower.step()

    assert bells.of(other) == [5, 10]


async def test_a_stream_that_fails_holds_back_no_other_and_is_parked(
    lanes: Lanes, database: Database, follower: Follower, bells: Bells
) -> None:
    ada = await database.user()
    broken, well = await database.workspace(ada), await database.workspace(ada)
    await database.commit(broken, 12)
    await database.commit(well, 12)
    bells.broken = {broken}

    await follower.step()

    assert bells.of(well) == [5, 10]
    assert await _position(lanes, broken) == 4

    for _ in range(5):
        await follower.step()

    parked = await lanes.fetch("SELECT seq FROM parked WHERE stream = $1 ORDER BY seq", broken)
    assert [row["seq"] for row in parked] == [5, 10]
    assert await _position(lanes, broken) == 12


async def test_another_process_brings_nothing_again(
    lanes: Lanes, database: Database, follower: Follower, bells: Bells
) -> None:
    workspace = await database.workspace(await database.user())
    await database.commit(workspace, 10)

    await follower.step()
    await (await made(lanes, bells)).step()

    assert bells.of(workspace) == [5, 10]


async def test_a_broker_has_from_one_look_to_the_next_to_bring_a_change(
    lanes: Lanes, database: Database, bells: Bells
) -> None:
    follower = await made(lanes, bells, has_broker=True)
    ada = await database.user()
    brought, lost = await database.workspace(ada), await database.workspace(ada)
    await database.commit(brought, 5)
    await database.commit(lost, 5)

    await follower.step()

    assert bells.rung == []

    delivered = Delivered(stream=brought, seq=5, version=VERSION, change=None)
    await consumer(lanes, bells).take(delivered)
    bells.rung.clear()
    await database.commit(brought, 5)
    await follower.step()

    assert bells.rung == [(lost, 5)]

    await follower.step()

    assert bells.rung == [(lost, 5), (brought, 10)]


async def test_streams_that_fill_a_look_are_overdue_whatever_the_last_one_showed(
    lanes: Lanes, database: Database
) -> None:
    ada = await database.user()
    streams = {await database.workspace(ada) for _ in range(3)}
    for stream in streams:
        await database.commit(stream, 1)
    overdue = Overdue(PostgresBacklog(lanes))

    seen = [await overdue.pending("bells", Streams.WORKSPACES, range(SHARDS), 2) for _ in range(2)]

    assert {one.stream for look in seen for one in look} == streams
