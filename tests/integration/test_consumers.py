"""Consumers on a real PostgreSQL: each change once and in order, parked where it cannot be."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random
from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.changes import Change
from domain.errors import Unavailable
from domain.events import VERSION, Delivered, Malformed
from domain.ids import WorkspaceId
from domain.inbox import Turn
from domain.services.labels import LabelPatch, LabelService
from domain.services.mutations import Mutations
from infra.postgres.inbox import PostgresInbox, PostgresTurn
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from tests.live import Database
from tests.worlds import FixedClock, World
from workers.consumer import ATTEMPTS, Consumer

# As a table of work that commits with the position: a second application would leave two rows.
_RECORD = "INSERT INTO applied (consumer, stream, seq) VALUES ($1, $2, $3)"
_APPLIED = "SELECT seq FROM applied WHERE stream = $1 ORDER BY at"


@pytest.fixture
async def lanes(database_url: str) -> AsyncIterator[Lanes]:
    async with Lanes(database_url, LaneOptions(size=8)) as lanes:
        await lanes.fetchval(
            """CREATE TABLE applied (consumer text, stream uuid, seq bigint,
                at bigint GENERATED ALWAYS AS IDENTITY)"""
        )
        yield lanes


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(database_url)
    yield Database(connection)
    await connection.close()


@dataclass
class Work:
    """A handler that records what it applies; `failing` says what to raise, by seq."""

    failing: dict[int, Exception] = field(default_factory=dict)
    tried: list[int] = field(default_factory=list)

    async def __call__(self, change: Change, turn: Turn) -> None:
        assert isinstance(turn, PostgresTurn)
        self.tried.append(change.seq)
        await turn.statements.fetchval(_RECORD, "work", change.stream, change.seq)
        if change.seq in self.failing:
            raise self.failing[change.seq]


@dataclass
class Bench:
    """A consumer over the test's database."""

    lanes: Lanes
    work: Work = field(default_factory=Work)

    def __post_init__(self) -> None:
        self.inbox = PostgresInbox(self.lanes, new_id=uuid4, committed=lambda _stream, _seq: None)
        self.log = PostgresLog(self.lanes)
        self.consumer = Consumer("work", handler=self.work, inbox=self.inbox)

    async def deliver(self, stream: UUID, seq: int) -> None:
        found = await self.log.read(stream, seq - 1, 1)
        version = found[0].version if found else VERSION
        # As the envelope has it, which reads no state of a newer version.
        change = found[0] if found and version <= VERSION else None
        await self.consumer.take(Delivered(stream=stream, seq=seq, version=version, change=change))

    async def applied(self, stream: UUID) -> list[int]:
        return [row["seq"] for row in await self.lanes.fetch(_APPLIED, stream)]

    async def parked(self) -> list[tuple[int, str]]:
        return [(one.seq, one.reason) for one in await self.inbox.parked()]


@pytest.fixture
def bench(lanes: Lanes) -> Bench:
    return Bench(lanes)


async def test_deliveries_late_twice_and_missing_are_applied_once_and_in_order(
    bench: Bench, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 6)

    for seq in (1, 1, 4, 2, 3, 6, 5, 6):
        await bench.deliver(stream, seq)

    assert await bench.applied(stream) == [1, 2, 3, 4, 5, 6]
    assert await bench.parked() == []


async def test_many_workers_with_shuffled_deliveries_apply_each_change_once(
    lanes: Lanes, database: Database
) -> None:
    random = Random(5)
    streams = [await database.workspace() for _ in range(3)]
    for stream in streams:
        await database.commit(stream, 20)
    workers = [Bench(lanes) for _ in range(4)]
    deliveries = [(stream, seq) for stream in streams for seq in range(1, 21)] * 3
    random.shuffle(deliveries)

    await asyncio.gather(
        *(random.choice(workers).deliver(stream, seq) for stream, seq in deliveries)
    )

    for stream in streams:
        assert await workers[0].applied(stream) == list(range(1, 21))


async def test_a_consumer_begins_at_the_floor_of_a_pruned_stream(
    bench: Bench, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 5)
    await database.prune(stream, 3)

    await bench.deliver(stream, 5)

    assert await bench.applied(stream) == [4, 5]


async def test_what_fails_leaves_nothing_and_is_tried_again(
    bench: Bench, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 2)
    bench.work.failing = {1: Unavailable("away")}
    for _ in range(ATTEMPTS + 2):
        with pytest.raises(Unavailable):
            await bench.deliver(stream, 1)
    assert await bench.applied(stream) == []

    bench.work.failing = {}
    await bench.deliver(stream, 2)

    assert await bench.applied(stream) == [1, 2]
    assert await bench.parked() == []


async def test_what_fails_for_good_is_parked_and_its_stream_goes_on(
    bench: Bench, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 3)
    bench.work.failing = {2: RuntimeError("a bug")}
    for _ in range(ATTEMPTS - 1):
        with pytest.raises(RuntimeError):
            await bench.deliver(stream, 3)
    assert await bench.parked() == []

    await bench.deliver(stream, 3)

    assert await bench.applied(stream) == [1, 3]
    assert await bench.parked() == [(2, "RuntimeError: a bug")]


async def test_a_statement_that_fails_parks_its_change_too(
    lanes: Lanes, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 2)

    async def work(change: Change, turn: Turn) -> None:
        assert isinstance(turn, PostgresTurn)
        if change.seq == 1:
            await turn.statements.fetchval("SELECT 1 / 0")
        await turn.statements.fetchval(_RECORD, "work", change.stream, change.seq)

    bench = Bench(lanes)
    bench.consumer = Consumer("work", handler=work, inbox=bench.inbox)
    for _ in range(ATTEMPTS - 1):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await bench.deliver(stream, 2)

    await bench.deliver(stream, 2)

    assert await bench.applied(stream) == [2]
    assert await bench.parked() == [(1, "DivisionByZeroError: division by zero")]


@pytest.mark.parametrize(
    "said, kept",
    [
        ("a title with \0 in it", "a title with ? in it"),
        ("half an \ud83d emoji", "half an ? emoji"),
    ],
    ids=["NUL", "surrogate"],
)
async def test_a_reason_that_the_database_takes_no_text_of_blocks_no_stream(
    bench: Bench, database: Database, said: str, kept: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Half a character in a report ends pytest-xdist.
    caplog.set_level(logging.CRITICAL, logger="workers.consumer")
    stream = await database.workspace()
    await database.commit(stream, 2)
    bench.work.failing = {1: ValueError(said)}
    for _ in range(ATTEMPTS - 1):
        with pytest.raises(ValueError, match=said[:4]):
            await bench.deliver(stream, 2)

    await bench.deliver(stream, 2)

    assert await bench.applied(stream) == [2]
    assert await bench.parked() == [(1, f"ValueError: {kept}")]


@pytest.mark.parametrize("error", [FileNotFoundError("template"), PermissionError("template")])
async def test_an_error_of_files_is_a_bug_and_parked(
    bench: Bench, database: Database, error: OSError
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 1)
    bench.work.failing = {1: error}
    for _ in range(ATTEMPTS - 1):
        with pytest.raises(type(error)):
            await bench.deliver(stream, 1)

    await bench.deliver(stream, 1)

    assert [seq for seq, _ in await bench.parked()] == [1]


async def test_what_the_server_is_to_blame_for_is_never_parked(
    lanes: Lanes, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 1)
    codes = ["40001", "40P01", "53100", "53300", "57P01", "58030"]

    async def work(_change: Change, turn: Turn) -> None:
        assert isinstance(turn, PostgresTurn)
        if codes:
            await turn.statements.fetchval("SELECT fail_with($1)", codes[-1])

    await lanes.fetchval(
        """CREATE FUNCTION fail_with(code text) RETURNS void LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'not well' USING ERRCODE = code; END $$"""
    )
    bench = Bench(lanes)
    bench.consumer = Consumer("work", handler=work, inbox=bench.inbox)
    while codes:
        for _ in range(ATTEMPTS + 1):
            with pytest.raises(Unavailable):
                await bench.deliver(stream, 1)
        codes.pop()

    await bench.deliver(stream, 1)

    assert await bench.parked() == []


@pytest.mark.parametrize("kind, version", [("task.sang", VERSION), ("task.updated", VERSION + 1)])
async def test_what_a_newer_release_wrote_is_parked_at_once_and_reported(
    bench: Bench, database: Database, kind: str, version: int
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 1)
    await database.commit(stream, 1, kind=kind)
    await database.commit(stream, 1)
    await database.connection.execute(
        "UPDATE change SET version = $2 WHERE stream = $1 AND seq = 2", stream, version
    )

    await bench.deliver(stream, 2)
    await bench.deliver(stream, 3)

    assert await bench.applied(stream) == [1, 3]
    [(seq, reason)] = await bench.parked()
    assert seq == 2
    assert reason.startswith("Unreadable: ")


async def test_redrive_runs_parked_changes_from_the_log_and_keeps_what_fails_again(
    bench: Bench, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 3)
    bench.work.failing = {1: RuntimeError("a bug"), 2: RuntimeError("another")}
    for _ in range(2 * ATTEMPTS):
        try:
            await bench.deliver(stream, 3)
        except RuntimeError:
            continue
    assert [seq for seq, _ in await bench.parked()] == [1, 2]

    del bench.work.failing[1]
    assert await bench.consumer.redrive() == (1, 1, 0)

    assert await bench.applied(stream) == [3, 1]
    assert [seq for seq, _ in await bench.parked()] == [2]
    bench.work.failing = {}
    assert await bench.consumer.redrive() == (1, 0, 0)
    assert await bench.consumer.redrive() == (0, 0, 0)
    assert await bench.applied(stream) == [3, 1, 2]


async def test_two_redrives_at_once_run_a_parked_change_once(
    lanes: Lanes, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 1)
    first, second = Bench(lanes), Bench(lanes)
    first.work.failing = {1: RuntimeError("a bug")}
    for _ in range(ATTEMPTS):
        try:
            await first.deliver(stream, 1)
        except RuntimeError:
            continue
    first.work.failing = {}

    came = await asyncio.gather(first.consumer.redrive(), second.consumer.redrive())

    assert [sum(of) for of in zip(*came, strict=True)] in ([1, 0, 0], [1, 0, 1])
    assert await first.applied(stream) == [1]
    assert await first.parked() == []


async def parked_at(bench: Bench, database: Database, head: int, *seqs: int) -> WorkspaceId:
    """Returns a stream that was applied up to its head, but for what is parked."""
    stream = await database.workspace()
    await database.commit(stream, head)
    bench.work.failing = {seq: RuntimeError("a bug") for seq in seqs}
    for _ in range(ATTEMPTS * len(seqs)):
        try:
            await bench.deliver(stream, head)
        except RuntimeError:
            continue
    assert [seq for seq, _ in await bench.parked()] == [*seqs]
    return stream


async def test_redrive_does_not_run_what_follows_a_failure_in_its_stream(
    bench: Bench, database: Database
) -> None:
    stream = await parked_at(bench, database, 5, 2, 4)
    del bench.work.failing[4]

    assert await bench.consumer.redrive() == (0, 2, 0)

    assert await bench.applied(stream) == [1, 3, 5]
    assert [seq for seq, _ in await bench.parked()] == [2, 4]


async def test_a_delivery_waits_while_redrive_has_its_streams_turn(
    bench: Bench, database: Database, lanes: Lanes
) -> None:
    stream = await parked_at(bench, database, 2, 2)
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(change: Change, turn: Turn) -> None:
        assert isinstance(turn, PostgresTurn)
        if change.seq == 2:
            began.set()
            await goes_on.wait()
        await turn.statements.fetchval(_RECORD, "work", change.stream, change.seq)

    bench.consumer = Consumer("work", handler=slow, inbox=bench.inbox)
    redrive = asyncio.create_task(bench.consumer.redrive())
    await began.wait()
    await database.commit(stream, 1)
    delivery = asyncio.create_task(bench.deliver(stream, 3))
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    while not await lanes.fetchval(waiting):
        assert not delivery.done(), "it did not wait"
        await asyncio.sleep(0.01)
    goes_on.set()

    assert await redrive == (1, 0, 0)
    await delivery
    assert await bench.applied(stream) == [1, 2, 3]


async def test_what_the_log_has_lost_is_parked_and_redrive_ends_the_waiting_for_it(
    bench: Bench, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 2)
    await bench.deliver(stream, 2)
    await database.commit(stream, 4)
    await database.prune(stream, 4)

    await bench.deliver(stream, 6)

    assert await bench.applied(stream) == [1, 2, 5, 6]
    reason = "Pruned: the log has lost 3 to 4, and they were never applied."
    assert await bench.parked() == [(3, reason)]

    assert await bench.consumer.redrive() == (0, 0, 1)

    assert await bench.parked() == []
    assert "consumer.lost" in [record.message for record in caplog.records]


async def test_a_delivery_beyond_a_restored_log_is_none_of_ours_and_changes_nothing(
    bench: Bench, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 2)

    with pytest.raises(Malformed, match="ends at 2, and this is 5"):
        await bench.deliver(stream, 5)

    assert await bench.applied(stream) == [1, 2]
    assert await bench.parked() == []
    # What the log has next is applied, whatever its number meant before.
    await database.commit(stream, 3)
    await bench.deliver(stream, 5)
    assert await bench.applied(stream) == [1, 2, 3, 4, 5]


async def test_a_decision_in_a_turn_commits_with_its_position_or_not_at_all(
    world: World, database_url: str
) -> None:
    told: dict[UUID, int] = {}
    async with Lanes(database_url, LaneOptions(size=2)) as lanes:
        inbox = PostgresInbox(lanes, new_id=uuid4, committed=told.__setitem__)
        before = await world.head()

        async def step(crash: bool) -> None:
            async with inbox.turn("work", world.home) as turn:
                labels = LabelService(Mutations(turn.store, FixedClock()), uuid4)
                patch = LabelPatch(name="Home", colour="#112233")
                await labels.create(world.command(), "tag", world.home, None, patch)
                await turn.move(turn.position + 1)
                if crash:
                    raise ConnectionError

        with pytest.raises(ConnectionError):
            await step(crash=True)
        assert (await world.head(), told) == (before, {})

        await step(crash=False)

        assert told == {world.home: before + 1}
        assert await world.head() == before + 1
        async with inbox.turn("work", world.home) as turn:
            assert turn.position == 1
