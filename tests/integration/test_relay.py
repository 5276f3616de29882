"""The relay over a real log: every topic gap-free and in order, whatever the broker refuses.

The broker stands in for Kafka behind Dapr, which cannot refuse on demand; tests/distributed has the
real ones.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.outbox import SHARDS, Entry, PublishFailed, Topic
from infra.clock import SystemClock
from infra.postgres.backlog import ENTRIES_MAX_BYTES, PostgresBacklog
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.leases import PostgresLeases
from tests.live import Database, eventually
from workers.relay import BATCH_MAX, Relay
from workers.shards import LEASE_S, Shards


@dataclass
class Broker:
    """Keeps what it accepts; `refuses` says what to refuse, `down` that it does not answer."""

    refuses: Callable[[Entry], bool] = lambda _entry: False
    down: bool = False
    # Accepts, and is gone before it can say so.
    silent: bool = False
    got: list[tuple[UUID, int]] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    async def publish(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Entry]:
        self.calls.append(len(entries))
        await asyncio.sleep(0)
        if self.down:
            raise PublishFailed("unreachable", "the broker is away")
        refused = [entry for entry in entries if self.refuses(entry)]
        self.got += [(e.change.stream, e.change.seq) for e in entries if e not in refused]
        if self.silent:
            raise PublishFailed("timeout", "no answer")
        return refused

    def first_seen(self, stream: UUID) -> list[int]:
        """The stream's numbers without repetitions, as a consumer would apply them."""
        return list(dict.fromkeys(seq for of, seq in self.got if of == stream))


@pytest.fixture
async def lanes(database_url: str) -> AsyncIterator[Lanes]:
    async with Lanes(database_url, LaneOptions(size=8)) as lanes:
        yield lanes


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(database_url)
    yield Database(connection)
    await connection.close()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
async def relay(lanes: Lanes, broker: Broker) -> Relay:
    return await made(lanes, broker)


async def made(lanes: Lanes, broker: Broker, topic: Topic = Topic.TASK_EVENTS) -> Relay:
    shards = Shards(PostgresLeases(lanes), group="relay", owner=uuid4())
    await shards.step()
    return Relay(
        topic,
        backlog=PostgresBacklog(lanes),
        publisher=broker,
        shards=shards,
        clock=SystemClock(),
    )


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    task = asyncio.create_task(relay.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_every_stream_leaves_whole_and_in_order(
    relay: Relay, broker: Broker, database: Database
) -> None:
    streams = [await database.workspace() for _ in range(30)]
    for number, stream in enumerate(streams):
        await database.commit(stream, 1 + 7 * number)

    moved = await relay.step()

    assert moved == sum(1 + 7 * number for number in range(30))
    for number, stream in enumerate(streams):
        assert [s for of, s in broker.got if of == stream] == list(range(1, 2 + 7 * number))
    assert max(broker.calls) <= BATCH_MAX
    assert await relay.step() == 0


async def test_a_refused_change_holds_back_its_own_stream_and_no_other(
    relay: Relay, broker: Broker, database: Database
) -> None:
    bad, good = await database.workspace(), await database.workspace()
    await database.commit(bad, 5)
    await database.commit(good, 5)
    broker.refuses = lambda entry: (entry.change.stream, entry.change.seq) == (bad, 3)

    for _ in range(3):
        with pytest.raises(PublishFailed):
            await relay.step()

    assert broker.first_seen(good) == [1, 2, 3, 4, 5]
    assert broker.first_seen(bad)[:2] == [1, 2]
    assert await _position(database, relay, bad) == 2
    broker.refuses = lambda _entry: False
    await relay.step()
    assert await _position(database, relay, bad) == 5
    assert set(broker.first_seen(bad)) == {1, 2, 3, 4, 5}


async def test_an_outage_loses_nothing_and_the_relay_goes_on_carefully(
    relay: Relay, broker: Broker, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 500)
    broker.down = True
    for _ in range(3):
        with pytest.raises(PublishFailed):
            await relay.step()
    assert broker.calls == [BATCH_MAX, BATCH_MAX // 10, BATCH_MAX // 100]

    broker.down, broker.calls = False, []
    await relay.step()

    assert broker.calls[:4] == [1, 10, 100, BATCH_MAX]
    assert [seq for _, seq in broker.got] == list(range(1, 501))


async def test_what_was_accepted_without_an_answer_is_published_again(
    relay: Relay, broker: Broker, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 3)
    broker.silent = True
    with pytest.raises(PublishFailed):
        await relay.step()

    broker.silent = False
    await relay.step()

    assert [seq for _, seq in broker.got] == [1, 2, 3, 1, 2, 3]


async def test_topics_have_positions_of_their_own(
    lanes: Lanes, broker: Broker, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 2)
    events = await made(lanes, broker)
    await events.step()
    audit = Relay(
        Topic.AUDIT_LOGS,
        backlog=PostgresBacklog(lanes),
        publisher=broker,
        shards=events._shards,
        clock=SystemClock(),
    )

    assert await audit.step() == 2

    assert await _position(database, events, stream) == 2
    assert await _position(database, audit, stream) == 2


async def test_user_streams_go_to_reminders_and_to_no_other_topic(
    lanes: Lanes, broker: Broker, database: Database
) -> None:
    user = (await database.user()).user
    await database.connection.execute(
        "INSERT INTO user_stream (id, head, head_hash, floor_hash) VALUES ($1, 1, '', '')", user
    )
    await database.connection.execute(
        """INSERT INTO change (stream, seq, id, kind, at, subject, fields, before, payload, hash)
        VALUES ($1, 1, $2, 'reminder.added', now()::text, $1, '{}', '{}', '{}', '')""",
        user,
        uuid4(),
    )

    reminders = await made(lanes, broker, Topic.REMINDERS)
    assert await reminders.step() == 1
    events = Relay(
        Topic.TASK_EVENTS,
        backlog=PostgresBacklog(lanes),
        publisher=broker,
        shards=reminders._shards,
        clock=SystemClock(),
    )
    assert await events.step() == 0

    assert broker.got == [(user, 1)]


async def test_large_changes_make_small_calls(
    relay: Relay, broker: Broker, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 5, payload='"' + "x" * (ENTRIES_MAX_BYTES // 2) + '"')

    await relay.step()

    assert broker.calls == [2, 2, 1]
    assert [seq for _, seq in broker.got] == [1, 2, 3, 4, 5]


async def test_it_is_woken_and_polls_where_nobody_wakes_it(
    relay: Relay, broker: Broker, database: Database
) -> None:
    stream = await database.workspace()
    async with running(relay):
        await database.commit(stream)
        await eventually(lambda: broker.got == [(stream, 1)])
        await database.commit(stream)
        relay.wake()
        await eventually(lambda: len(broker.got) == 2)


async def test_lag_counts_what_is_pending_and_tells_the_age_of_the_oldest(
    lanes: Lanes, relay: Relay, database: Database
) -> None:
    backlog = PostgresBacklog(lanes)
    none = await backlog.lag(relay.consumer, Topic.TASK_EVENTS.streams)
    stream = await database.workspace()
    await database.commit(stream, 3)

    some = await backlog.lag(relay.consumer, Topic.TASK_EVENTS.streams)

    assert (none.changes, none.oldest_at) == (0, None)
    assert (some.changes, some.oldest_at) == (3, datetime(2026, 11, 23, 12, tzinfo=UTC))


async def test_more_streams_than_a_look_takes_are_all_reached(
    lanes: Lanes, database: Database
) -> None:
    backlog = PostgresBacklog(lanes)
    streams = [await database.workspace() for _ in range(10)]
    for stream in streams:
        await database.commit(stream)

    seen = set()
    for _ in range(4):
        found = await backlog.pending("c", Topic.TASK_EVENTS.streams, range(SHARDS), 3)
        seen |= {one.stream for one in found}

    assert seen == set(streams)


async def test_many_relays_share_the_shards_and_lose_nothing_to_crashes(
    lanes: Lanes, broker: Broker, database: Database
) -> None:
    """Each process stops, or dies without a word, at a random step; somebody else goes on."""
    random = Random(11)
    streams = [await database.workspace() for _ in range(40)]
    relays = [await made(lanes, broker) for _ in range(3)]
    for round_ in range(12):
        for stream in random.sample(streams, 20):
            await database.commit(stream, random.randint(1, 5))
        victim = random.randrange(3)
        steps = [asyncio.create_task(relay.step()) for relay in relays]
        await asyncio.sleep(random.random() / 50)
        steps[victim].cancel()
        await asyncio.gather(*steps, return_exceptions=True)
        if round_ % 3 == 0:
            await relays[victim]._shards.release()
        # A dead process's leases run out.
        await database.connection.execute("UPDATE lease SET until = now()")
        relays[victim] = await made(lanes, broker)
        for relay in relays:
            await relay._shards.step()

    for _ in range(3):
        for relay in relays:
            await relay._shards.step()
            await relay.step()

    for stream in streams:
        head = await database.connection.fetchval(
            "SELECT head FROM workspace WHERE id = $1", stream
        )
        assert broker.first_seen(stream) == list(range(1, head + 1))


async def test_shards_are_shared_fairly_and_taken_over(lanes: Lanes, database: Database) -> None:
    leases = PostgresLeases(lanes)
    first, second, third = (Shards(leases, group="g", owner=uuid4()) for _ in range(3))
    await first.step()
    assert len(first.held) == SHARDS

    for _ in range(3):
        for one in (first, second, third):
            await one.step()

    together = [*first.held, *second.held, *third.held]
    assert sorted(together) == list(range(SHARDS))
    assert max(len(one.held) for one in (first, second, third)) == 6

    await second.release()
    # The third is gone without a word.
    await database.connection.execute(
        "UPDATE lease SET until = now() WHERE owner = $1", third._owner
    )
    for _ in range(2):
        await first.step()

    assert first.held == tuple(range(SHARDS))


async def test_a_lease_that_could_not_be_renewed_is_not_held(lanes: Lanes) -> None:
    shards = Shards(PostgresLeases(lanes), group="g", owner=uuid4())
    await shards.step()

    shards._held_until -= LEASE_S

    assert shards.held == ()


async def _position(database: Database, relay: Relay, stream: UUID) -> int:
    position: int = await database.connection.fetchval(
        "SELECT seq FROM position WHERE consumer = $1 AND stream = $2", relay.consumer, stream
    )
    return position
