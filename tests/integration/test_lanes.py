"""Lanes hand out connections fairly, and come back from whatever happens to one."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from domain.errors import Unavailable
from infra.postgres import lanes as lanes_module
from infra.postgres.lanes import LaneOptions, Lanes

SLEEP = "SELECT pg_sleep($1::float8)"
KILL = "SELECT pg_terminate_backend($1::int)"


@pytest.fixture
async def one(database_url: str) -> AsyncIterator[Lanes]:
    async with Lanes(database_url, LaneOptions(size=1, turn_wait_s=2)) as lanes:
        yield lanes


async def test_json_comes_as_bytes_and_everything_else_as_asyncpg_gives_it(one: Lanes) -> None:
    assert await one.fetchval("SELECT json_build_object('é', 1)") == '{"é" : 1}'.encode()
    assert await one.fetchval("SELECT $1::json", '{"a": 1}') == b'{"a": 1}'
    assert await one.fetchval("SELECT $1::jsonb", '{"a": 1}') == '{"a": 1}'
    rows = await one.fetch("SELECT n FROM generate_series(1, 3) AS n")
    assert [row["n"] for row in rows] == [1, 2, 3]
    assert await one.fetchrow("SELECT 1 WHERE false") is None


async def test_sessions_are_set_up_as_the_options_say(database_url: str) -> None:
    options = LaneOptions(size=1, name="reads", plans="force_custom_plan", lock_timeout_ms=123)
    async with Lanes(database_url, options) as lanes:
        for setting, expected in {
            "TimeZone": "UTC",
            "application_name": "reads",
            "plan_cache_mode": "force_custom_plan",
            "lock_timeout": "123ms",
            "statement_timeout": "10s",
            "jit": "off",
        }.items():
            assert await lanes.fetchval("SELECT current_setting($1)", setting) == expected


async def test_statements_are_kept_up_to_a_bound(one: Lanes) -> None:
    count = "SELECT count(*) FROM pg_prepared_statements"
    for number in range(lanes_module.STATEMENTS_MAX + 20):
        await one.fetchval(f"SELECT {number}")

    kept = await one.fetchval(count)

    # One more may wait to be deallocated with the next preparation.
    assert lanes_module.STATEMENTS_MAX - 1 <= kept <= lanes_module.STATEMENTS_MAX + 1


async def test_waiters_are_served_in_order(one: Lanes) -> None:
    served: list[int] = []

    async def ask(number: int) -> None:
        await one.fetchval("SELECT 1")
        served.append(number)

    await asyncio.gather(*(ask(number) for number in range(20)))
    assert served == list(range(20))


async def test_a_lane_handed_to_a_cancelled_waiter_returns(one: Lanes) -> None:
    connection = await one._take()
    early, late = (asyncio.create_task(one.fetchval("SELECT 1")) for _ in range(2))
    await asyncio.sleep(0)

    # The lane is handed over, and its new holder is cancelled before it could look at it.
    one._give(connection)
    early.cancel()

    assert await late == 1
    assert early.cancelled()


async def test_a_cancelled_waiter_is_passed_over(one: Lanes) -> None:
    connection = await one._take()
    early, late = (asyncio.create_task(one.fetchval("SELECT 1")) for _ in range(2))
    await asyncio.sleep(0)

    early.cancel()
    await asyncio.sleep(0)
    one._give(connection)

    assert await late == 1


async def test_a_cancelled_statement_stops_and_the_lane_lives_on(one: Lanes) -> None:
    backend = await one.fetchval("SELECT pg_backend_pid()")
    task = asyncio.create_task(one.fetchval(SLEEP, 60))
    await asyncio.sleep(0.1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await one.fetchval("SELECT pg_backend_pid()") == backend


async def test_many_cancellations_leave_every_lane_usable(database_url: str) -> None:
    async with Lanes(database_url, LaneOptions(size=3)) as lanes:
        for round_ in range(30):
            tasks = [asyncio.create_task(lanes.fetchval(SLEEP, 0.01)) for _ in range(8)]
            await asyncio.sleep(0.001 * (round_ % 12))
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        answers = await asyncio.gather(*(lanes.fetchval("SELECT $1::int", n) for n in range(50)))
        assert answers == list(range(50))


async def test_a_lost_connection_is_unavailable_once_and_reopened(
    one: Lanes, database_url: str
) -> None:
    backend = await one.fetchval("SELECT pg_backend_pid()")
    other = await asyncpg.connect(database_url)
    running = asyncio.create_task(one.fetchval(SLEEP, 60))
    await asyncio.sleep(0.1)

    await other.fetchval(KILL, backend)
    with pytest.raises(Unavailable):
        await running
    fresh = await one.fetchval("SELECT pg_backend_pid()")
    assert fresh != backend

    # One that dies while idle is not noticed by anybody.
    await other.fetchval(KILL, fresh)
    await asyncio.sleep(0.1)
    assert await one.fetchval("SELECT 1") == 1
    await other.close()


async def test_without_a_server_waiters_hear_so_in_bounded_time(tmp_path: object) -> None:
    lanes = Lanes(f"postgresql://nobody@/none?host={tmp_path}", LaneOptions(size=1))
    with pytest.raises(Unavailable):
        await lanes.open()
    with pytest.raises(Unavailable):
        await lanes.fetchval("SELECT 1")


async def test_a_full_house_is_told_apart_from_a_long_wait(one: Lanes) -> None:
    busy = asyncio.create_task(one.fetchval(SLEEP, 3))
    await asyncio.sleep(0)
    waiters = [
        asyncio.create_task(one.fetchval("SELECT 1")) for _ in range(lanes_module.WAITING_MAX)
    ]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable, match="Too many"):
        await one.fetchval("SELECT 1")
    answers = await asyncio.gather(*waiters, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    await busy


async def test_errors_of_statements_pass_and_timeouts_are_unavailable(database_url: str) -> None:
    options = LaneOptions(size=2, statement_timeout_ms=100, lock_timeout_ms=50)
    async with Lanes(database_url, options) as lanes:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await lanes.fetchval("SELECT 1 / $1::int", 0)
        with pytest.raises(asyncpg.DataError):
            await lanes.fetchval("SELECT $1::int", "no number")
        with pytest.raises(Unavailable):
            await lanes.fetchval(SLEEP, 5)
        holder = await asyncpg.connect(database_url)
        async with holder.transaction():
            await holder.execute("LOCK TABLE workspace")
            with pytest.raises(Unavailable):
                await lanes.fetchval("SELECT count(*) FROM workspace")
        await holder.close()
        assert await lanes.fetchval("SELECT count(*) FROM workspace") == 0


async def test_a_deadlock_is_unavailable_and_leaves_the_lane_usable(database_url: str) -> None:
    async with Lanes(database_url, LaneOptions(size=2)) as lanes:
        await lanes.fetchval("CREATE TABLE dish (id int PRIMARY KEY)")
        await lanes.fetchval("INSERT INTO dish VALUES (1), (2)")
        lock = "SELECT id FROM dish WHERE id = $1 FOR UPDATE"

        async def eat(first: int, second: int, both: asyncio.Barrier) -> None:
            async with lanes.transaction() as statements:
                await statements.fetchval(lock, first)
                await both.wait()
                await statements.fetchval(lock, second)

        both = asyncio.Barrier(2)
        ended = await asyncio.gather(eat(1, 2, both), eat(2, 1, both), return_exceptions=True)

        assert [type(one) for one in ended if one is not None] == [lanes_module.Collided]
        assert await lanes.fetchval("SELECT count(*) FROM dish") == 2


async def test_behind_a_pooler_nothing_stays_on_the_session(database_url: str) -> None:
    async with Lanes(database_url, LaneOptions(size=1, pooler=True)) as lanes:
        assert await lanes.fetchval("SELECT current_setting('lock_timeout')") == "4s"
        assert await lanes.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
        with pytest.raises(asyncpg.DivisionByZeroError):
            await lanes.fetchval("SELECT 1 / $1::int", 0)
        task = asyncio.create_task(lanes.fetchval(SLEEP, 60))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await lanes.fetchval("SELECT $1::uuid[] = '{}'", []) is True


async def test_closing_lets_the_running_statement_finish(database_url: str) -> None:
    lanes = Lanes(database_url, LaneOptions(size=2))
    await lanes.open()
    running = asyncio.create_task(lanes.fetchval(SLEEP, 0.2))
    await asyncio.sleep(0.05)

    await lanes.close()

    assert running.done()
    with pytest.raises(Unavailable):
        await lanes.fetchval("SELECT 1")
