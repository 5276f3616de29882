"""The doctor finds what was done to the log, what is behind and what differs, and names it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from carillon.doctor import doctor
from carillon.settings import Settings
from infra.postgres.doctor import findings
from infra.postgres.series_doctor import series_findings
from tests.recurring import Recurring
from tests.worlds import World

PARK = "INSERT INTO parked (consumer, stream, seq, reason, at) VALUES ($1, $2, $3, $4, now())"


@dataclass
class ShiftedClock:
    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


async def told(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [finding.what async for finding in findings(connection)]
    finally:
        await connection.close()


async def test_a_sound_log_gives_nothing_to_tell(world: World, database_url: str) -> None:
    await world.task("Buy milk")

    assert await told(database_url) == []


@pytest.mark.parametrize(
    "damage, expected",
    [
        ("UPDATE change SET payload = replace(payload, 'milk', 'mild')", "change 3 is not what"),
        ("UPDATE change SET before = before || ' '", "change 1 is not what was written"),
        ("UPDATE change SET kind = 'task.deleted' WHERE seq = 3", "change 3 is not what"),
        ("UPDATE change SET actor = NULL WHERE seq = 2", "change 2 is not what was written"),
        ("DELETE FROM change WHERE seq = 2", "seq 3 follows 1"),
        ("DELETE FROM change WHERE seq = 3", "the log ends at 2, the head says 3"),
        ("UPDATE workspace SET head = 9", "the log ends at 3, the head says 9"),
        ("UPDATE workspace SET floor_hash = '\\x00'", "the chain does not begin at its beginning"),
        ("UPDATE workspace SET head_hash = '\\x00'", "the head's hash is not that of change 3"),
    ],
)
async def test_damage_is_found_and_named(
    world: World, database_url: str, damage: str, expected: str
) -> None:
    await world.task("Buy milk")
    await world.lanes.fetch(damage)

    (what,) = await told(database_url)

    assert what.startswith(f"workspace {world.home}: {expected}")


async def test_a_user_stream_is_held_to_the_same(world: World, database_url: str) -> None:
    stream = (
        "INSERT INTO user_stream (id, head, head_hash, floor_hash)"
        " VALUES ($1, $2, decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'))"
    )
    await world.lanes.fetchval(stream, world.ada, 0)
    assert await told(database_url) == []

    await world.lanes.fetchval("UPDATE user_stream SET head = 1")

    assert await told(database_url) == [f"user {world.ada}: the log ends at 0, the head says 1"]


async def examined(
    url: str, capsys: pytest.CaptureFixture[str], ahead: timedelta = timedelta(0)
) -> tuple[int, list[str]]:
    code = await doctor(Settings(database_url=SecretStr(url)), ShiftedClock(ahead))
    return code, capsys.readouterr().out.splitlines()


async def test_each_link_that_is_well_has_its_line(
    world: World, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.task()

    code, lines = await examined(database_url, capsys)

    assert (code, lines) == (
        0,
        [
            "ok  database: PostgreSQL 18 answers, in UTF-8",
            "ok  clocks: this machine's and the database's agree",
            "ok  migrations: all are there",
            "ok  log: every stream is gap-free and its chain verifies",
            "ok  series: each is on time, and its ledger tells of the tasks that are there",
        ],
    )


async def test_consumers_are_told_how_far_they_are_and_what_they_went_past(
    world: World, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.task()
    head = await world.head()
    move = "INSERT INTO position (consumer, stream, seq) VALUES ($1, $2, $3)"
    await world.lanes.fetchval(move, "fast", world.home, head)
    await world.lanes.fetchval(move, "slow", world.home, head - 1)
    await world.lanes.fetchval(PARK, "fast", world.home, 1, "RuntimeError: a bug")

    await world.lanes.fetchval("UPDATE change SET at = $1", datetime.now(UTC).isoformat())

    code, lines = await examined(database_url, capsys)
    assert code == 1
    assert [line for line in lines if "consumer" in line] == [
        "BAD consumer fast: 1 change(s) parked, the first for: RuntimeError: a bug"
        " - mend that, then run `carillon redrive`",
        "ok  consumer fast: had everything",
        "ok  consumer slow: 1 change(s) behind",
    ]


async def test_a_consumer_that_is_long_behind_is_told(
    world: World, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.lanes.fetchval("UPDATE change SET at = '2020-01-01T00:00:00Z'")
    await world.lanes.fetchval(
        "INSERT INTO position (consumer, stream, seq) VALUES ('stuck', $1, 0)", world.home
    )

    code, lines = await examined(database_url, capsys)

    assert code == 1
    [line] = [line for line in lines if "consumer stuck" in line]
    assert line.startswith("BAD consumer stuck: 2 change(s) behind, since ")
    assert line.endswith("- see that its process runs and is ready, and what its log says")


@pytest.mark.parametrize(
    "ahead_s, says",
    [
        (5, "this machine's is 5.0 s ahead of the database's"),
        (-5, "is 5.0 s behind the database's"),
    ],
)
async def test_clocks_that_differ_are_told(
    database_url: str, capsys: pytest.CaptureFixture[str], ahead_s: int, says: str
) -> None:
    code, lines = await examined(database_url, capsys, timedelta(seconds=ahead_s))

    assert code == 1
    [line] = [line for line in lines if "clocks" in line]
    assert line.startswith("BAD clocks: ")
    assert says in line


async def test_missing_migrations_are_told_and_nothing_else_is_asked(
    postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"empty_{uuid4().hex}"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()

    code, lines = await examined(postgres_url.replace("@/carillon?", f"@/{name}?"), capsys)

    assert code == 1
    assert lines[-1].startswith("BAD migrations: ")
    assert lines[-1].endswith(" are missing - run `carillon migrate`")


async def test_a_database_that_is_not_there_is_told_without_a_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, lines = await examined("postgresql://ada:secret@127.0.0.1:1/tasks", capsys)

    assert code == 1
    [line] = lines
    assert line.startswith("BAD database: The database at 127.0.0.1:1 cannot be used: ")
    assert line.endswith(" - Check CARILLON_DATABASE_URL")


@pytest.mark.parametrize(
    "damage, says",
    [
        ("UPDATE series SET next_at = now() - interval '2 minutes'", "are overdue"),
        ("UPDATE series SET next_at = NULL", "wait for an occurrence that is closed"),
        (
            "UPDATE series SET next_at = NULL, anchor = 'COMPLETION'",
            "wait for an occurrence that is closed",
        ),
        ("UPDATE task SET slot = '2030-01-01T09:00'", "have a slot whose task is of another"),
        ("DELETE FROM series_slot", "have an occurrence that their ledger does not know"),
    ],
)
async def test_series_that_stand_still_or_differ_are_told(
    world: World, database_url: str, damage: str, says: str
) -> None:
    recurring = Recurring.of(world)
    await recurring.tasks.complete(world.command(), await recurring.begin(), None)
    await world.lanes.fetch("UPDATE task SET updated_at = now() - interval '2 minutes'")
    assert await told_of_series(database_url) == []

    await world.lanes.fetch(damage)

    found = await told_of_series(database_url)
    series = (await recurring.series())["id"]
    assert f"1 series {says}, such as {series}" in found


async def told_of_series(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [finding.what async for finding in series_findings(connection)]
    finally:
        await connection.close()
