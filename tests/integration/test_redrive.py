"""`carillon redrive` over a real PostgreSQL: what is parked, shown and run again."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from carillon.redrive import listed, redriven
from carillon.settings import Settings
from domain.changes import Change
from domain.ids import WorkspaceId
from domain.inbox import Inbox, Turn
from tests.live import Database
from workers.consumer import Consumer

CARILLON = str(Path(sys.executable).with_name("carillon"))
PARK = "INSERT INTO parked (consumer, stream, seq, reason, at) VALUES ($1, $2, $3, $4, now())"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(database_url)
    yield Database(connection)
    await connection.close()


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=SecretStr(database_url))


class Bells:
    """A worker that rings once for each change, or fails at those of `cracked`."""

    def __init__(self, *cracked: int) -> None:
        self.rung: list[int] = []
        self._cracked = cracked

    async def ring(self, change: Change, _turn: Turn) -> None:
        if change.seq in self._cracked:
            raise RuntimeError("cracked")
        self.rung.append(change.seq)

    def consumers(self, inbox: Inbox) -> Mapping[str, Consumer]:
        return {"bells": Consumer("bells", handler=self.ring, inbox=inbox)}


async def parked(database: Database, *seqs: int, consumer: str = "bells") -> UUID:
    stream = await database.workspace()
    await database.commit(stream, max(seqs))
    for seq in seqs:
        await database.connection.execute(PARK, consumer, stream, seq, "a bug\n\x1b[31m")
    return stream


async def test_what_is_parked_is_listed_one_line_each_and_stays(
    database: Database, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = await parked(database, 2, 3)

    assert await listed(settings) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[2] for line in lines] == [
        f"bells {stream}/2 a bug  [31m",
        f"bells {stream}/3 a bug  [31m",
    ]
    assert await database.connection.fetchval("SELECT count(*) FROM parked") == 2


async def test_what_can_be_applied_now_is_and_the_rest_is_told(
    database: Database, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = await parked(database, 1, 2, 3)
    bells = Bells(2)

    assert await redriven(settings, bells.consumers) == 1

    first, *still = capsys.readouterr().out.splitlines()
    assert first == "bells: 1 applied, 2 still parked"
    assert [line.split()[2] for line in still] == [f"{stream}/2", f"{stream}/3"]
    assert bells.rung == [1]

    assert await redriven(settings, (mended := Bells()).consumers) == 0

    assert capsys.readouterr().out == "bells: 2 applied, 0 still parked\n"
    assert mended.rung == [2, 3]
    assert await redriven(settings, mended.consumers) == 0
    assert mended.rung == [2, 3]


async def test_what_the_log_has_lost_is_told_and_waits_no_more(
    database: Database, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = await parked(database, 2)
    await database.prune(WorkspaceId(stream), 2)

    assert await redriven(settings, (bells := Bells()).consumers) == 0

    said = capsys.readouterr().out
    assert said == "bells: 0 applied, 0 still parked, 1 not there any more\n"
    assert bells.rung == []


async def test_what_belongs_to_nobody_here_is_left_and_told(
    database: Database, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await parked(database, 1, consumer="newer")

    assert await redriven(settings, Bells().consumers) == 1

    assert "newer: unknown to this release, so nothing was run\n" in capsys.readouterr().out
    assert await database.connection.fetchval("SELECT consumer FROM parked") == "newer"


def test_the_command_lists_and_says_in_one_line_what_it_lacks(database_url: str) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [CARILLON, "redrive", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": os.defpath, "CARILLON_DATABASE_URL": database_url},
        )
        return done.returncode, done.stdout, done.stderr

    assert run("--list") == (0, "", "")
    assert run() == (0, "", "")
    assert run("--dead-letters") == (1, "", "carillon: This needs CARILLON_KAFKA_SERVERS.\n")
