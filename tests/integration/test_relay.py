"""The relay over a real log: every topic gap-free and in order, whatever the broker refuses.

The broker stands in for Kafka behind Dapr, which cannot refuse on demand; tests/distributed has the
real ones.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.errors import Unavailable
from domain.outbox import SHARDS, Entry, Lag, PublishFailed, Streams, Topic, shard_of
from infra.clock import SystemClock
from infra.postgres.backlog import ENTRIES_MAX_BYTES, PostgresBacklog
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.leases import PostgresLeases
from tests.live import Database, eventually
from workers.relay import BATCH_MAX, CALLS_MAX, RETRY_FIRST_S, Relay
from workers.shards import LEASE_S, Shards


@dataclass
class Broker:
    """Keeps what it accepts; `refuses` says what to refuse, `down` that it does not answer.

    `meanwhile` happens once, in the middle of the second call.
    """

    refuses: Callable[[Entry], bool] = lambda _entry: False
    down: bool = False
    # Accepts, and is gone before it can say so.
    silent: bool = False
    meanwhile: Callable[[], Awaitable[None]] | None = None
    got: list[tuple[UUID, int]] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    async def publish(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Entry]:
        self.calls.append(len(entries))
        await asyncio.sleep(0)
        if self.meanwhile is not None and len(self.calls) == 2:
            await self.meanwhile()
        if self.down:
            raise PublishFailed("unreachable", "the broker is away")
        refused = [entry for entry in entries if self.refuses(entry)]
        if len(refused) == len(entries):
            raise PublishFailed("status_500", "all of it is refused")
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
        await relay.step()

    assert broker.first_seen(good) == [1, 2, 3, 4, 5]
    assert broker.first_seen(bad)[:2] == [1, 2]
    assert await _position(database, relay, bad) == 2
    assert relay.held == 1
    broker.refuses = lambda _entry: False
    async with asyncio.timeout(10):
        while relay.held:
            await relay.step()
    assert await _position(database, relay, bad) == 5
    assert set(broker.first_seen(bad)) == {1, 2, 3, 4, 5}


async def test_a_change_that_is_refused_for_good_slows_no_other_stream_down(
    relay: Relay, broker: Broker, database: Database
) -> None:
    bad, *good = [await database.workspace() for _ in range(40)]
    for stream in (bad, *good):
        await database.commit(stream, 100)
    broker.refuses = lambda entry: (entry.change.stream, entry.change.seq) == (bad, 50)

    await relay.step()

    assert {stream: broker.first_seen(stream)[-1] for stream in good} == dict.fromkeys(good, 100)
    assert await _position(database, relay, bad) == 49
    assert relay._batch == BATCH_MAX
    # Nor when it is all that is left, and a call of nothing else fails as a whole.
    await database.connection.execute("UPDATE workspace SET head = 50 WHERE id = $1", bad)
    async with running(relay):
        await eventually(lambda: relay._holds[bad].wait > 10 * RETRY_FIRST_S, within_s=20)
        broker.calls = []
        for stream in good:
            await database.commit(stream, 100)
        relay.wake()
        await eventually(lambda: all(broker.got.count((s, 200)) for s in good), within_s=5)
    assert max(broker.calls) == BATCH_MAX
    assert await _position(database, relay, bad) == 49


async def test_an_outage_loses_nothing_and_the_relay_goes_on_carefully(
    relay: Relay, broker: Broker, database: Database
) -> None:
    # A call has as many of each stream as of the others, so some are a bit smaller.
    streams = [await database.workspace() for _ in range(4 * CALLS_MAX)]
    for stream in streams:
        await database.commit(stream, 100)
    broker.down = True
    for _ in range(3):
        with pytest.raises(PublishFailed):
            await relay.step()
    assert broker.calls == [BATCH_MAX] * CALLS_MAX + [16, BATCH_MAX // 100]

    broker.down, broker.calls = False, []
    await relay.step()

    assert broker.calls[:4] == [1, 10, 96, 192]
    for stream in streams:
        assert [seq for of, seq in broker.got if of == stream] == list(range(1, 101))


async def test_a_call_of_one_stream_that_fails_leaves_the_next_to_another(
    relay: Relay, broker: Broker, database: Database
) -> None:
    """So that a broker that is away, and one that refuses this stream, are told apart."""
    bad, good = sorted([await database.workspace() for _ in range(2)])
    for stream in (bad, good):
        await database.commit(stream, 3)
    broker.refuses = lambda entry: entry.change.stream == bad
    relay._batch = 1

    with pytest.raises(PublishFailed):
        await relay.step()
    await relay.step()

    assert broker.got == [(good, 1), (good, 2), (good, 3)]


async def test_what_was_accepted_without_an_answer_is_published_again(
    relay: Relay, broker: Broker, database: Database
) -> None:
    stream = await database.workspace()
    await database.commit(stream, 3)
    broker.silent = True
    with pytest.raises(PublishFailed):
        await relay.step()

    broker.silent = False
    async with asyncio.timeout(5):
        while relay.held:
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
    none = await backlog.lag(relay.consumer, Topic.TASK_EVENTS.streams, range(SHARDS))
    stream = await database.workspace()
    await database.commit(stream, 3)

    some = await backlog.lag(relay.consumer, Topic.TASK_EVENTS.streams, range(SHARDS))

    assert (none.changes, none.oldest_at) == (0, None)
    assert (some.changes, some.oldest_at) == (3, datetime(2026, 11, 23, 12, tzinfo=UTC))


async def test_relays_tell_of_their_own_shards_so_that_their_figures_add_up(
    lanes: Lanes, broker: Broker, database: Database
) -> None:
    streams = [await database.workspace() for _ in range(30)]
    for stream in streams:
        await database.commit(stream, 2)
    first, second = await made(lanes, broker), await made(lanes, broker)
    for one in (first, second, first, second):
        await one._shards.step()

    for one in (first, second):
        await one.measure()

    of_first = [stream for stream in streams if shard_of(stream) in first._shards.held]
    assert first.lag.changes == 2 * len(of_first)
    assert first.lag.changes + second.lag.changes == 60


async def test_a_figure_that_cannot_be_had_is_had_later(
    lanes: Lanes,
    broker: Broker,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Only sooner: nothing of what is tested is another.
    monkeypatch.setattr("workers.relay.LAG_EVERY_S", 0.05)
    failures = [asyncpg.ReadOnlySQLTransactionError("the server is a standby")]

    class Backlog(PostgresBacklog):
        async def lag(self, consumer: str, streams: Streams, shards: Sequence[int]) -> Lag:
            if failures:
                raise failures.pop()
            return await super().lag(consumer, streams, shards)

    broker.down = True
    shards = Shards(PostgresLeases(lanes), group="relay", owner=uuid4())
    await shards.step()
    relay = Relay(
        Topic.TASK_EVENTS,
        backlog=Backlog(lanes),
        publisher=broker,
        shards=shards,
        clock=SystemClock(),
    )
    await database.commit(await database.workspace())

    async with running(relay):
        await eventually(lambda: relay.lag.changes == 1)

    assert "relay.not_measured" in caplog.messages


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


async def test_a_newcomer_gets_its_share_in_the_middle_of_a_backlog(
    lanes: Lanes, broker: Broker, database: Database
) -> None:
    streams = [await database.workspace() for _ in range(60)]
    for stream in streams:
        await database.commit(stream, 100)
    first = await made(lanes, broker)
    # One call at a time, so that nothing is on its way while the newcomer comes.
    first._batch = 1
    arrived: list[Relay] = []

    async def come() -> None:
        arrived.append(await made(lanes, broker))
        await first._shards.step()
        await arrived[0]._shards.step()

    broker.meanwhile = come
    left = await first.step()

    own = [stream for stream in streams if shard_of(stream) in first._shards.held]
    assert 0 < len(own) < len(streams)
    # Of the newcomer's shards no more than the first two calls had.
    assert left <= 100 * len(own) + sum(broker.calls[:2])
    assert await first.step() == 0
    assert left + await arrived[0].step() == len(broker.got)
    assert sorted(broker.got) == sorted((s, seq) for s in streams for seq in range(1, 101))


async def test_shards_that_were_given_back_are_not_held_if_the_next_statement_fails(
    lanes: Lanes,
) -> None:
    class Failing(PostgresLeases):
        async def release(self, names: Sequence[str], owner: UUID) -> None:
            await super().release(names, owner)
            raise Unavailable("The connection to the database was lost.")

    first = Shards(Failing(lanes), group="g", owner=uuid4())
    await first.step()
    second = Shards(PostgresLeases(lanes), group="g", owner=uuid4())
    await second.step()

    with pytest.raises(Unavailable):
        await first.step()
    await second.step()

    assert sorted([*first.held, *second.held]) == list(range(SHARDS))


async def test_a_database_that_is_read_only_for_a_while_ends_no_process(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a server that became a standby: each statement that writes is refused."""
    # Only sooner: nothing of what is tested is another.
    monkeypatch.setattr("workers.shards.RENEW_S", 0.05)
    name = await database.connection.fetchval("SELECT current_database()")
    alter = f'ALTER DATABASE "{name}"'
    await database.connection.execute(f"{alter} SET default_transaction_read_only = on")
    async with Lanes(database_url, LaneOptions(size=1)) as lanes:
        shards = Shards(PostgresLeases(lanes), group="g", owner=uuid4())
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await shards.step()
        task = asyncio.create_task(shards.run())
        await asyncio.sleep(0.2)
        assert not task.done()

        await database.connection.execute(f"{alter} RESET default_transaction_read_only")
        await database.connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        )
        await eventually(lambda: shards.held == tuple(range(SHARDS)), within_s=10)

        await database.connection.execute(f"{alter} SET default_transaction_read_only = on")
        await database.connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        )
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


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
