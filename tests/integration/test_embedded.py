"""The embedded PostgreSQL: second starts, kills, half-made folders, long paths."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from infra.postgres.data_folder import (
    SOCKET_MAX_BYTES,
    FolderInUse,
    StartRefused,
    binaries,
    pid_file,
    refusal,
)
from infra.postgres.embedded import embedded_postgres

# What a holder is in these tests: a process of its own, which can be killed.
HOLDER = """
import asyncio, signal, sys
from pathlib import Path
from infra.postgres.embedded import embedded_postgres

async def main():
    async with embedded_postgres(Path(sys.argv[1])) as url:
        print(url, flush=True)
        await asyncio.Event().wait()

# A shell's background jobs begin with ^C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
asyncio.run(main())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: pytest takes back the right to traverse its root when another run starts.
    root = Path(tempfile.mkdtemp(prefix="carillon-test-"))
    root.chmod(0o711)
    yield root / "data"
    shutil.rmtree(root)


async def rows(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        return [row["n"] for row in await connection.fetch("SELECT n FROM kept ORDER BY n")]
    finally:
        await connection.close()


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def hold(
    folder: Path, environment: dict[str, str] | None = None
) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


async def test_a_restart_finds_what_was_written(folder: Path) -> None:
    async with embedded_postgres(folder) as url:
        await execute(url, "CREATE TABLE kept AS SELECT 1 AS n")
        first = int(pid_file(folder / "cluster")[0])

    assert not alive(first)
    async with embedded_postgres(folder) as url:
        assert await rows(url) == [1]


async def test_the_server_sorts_by_code_point_in_utc_and_hears_no_network(folder: Path) -> None:
    async with embedded_postgres(folder) as url:
        connection = await asyncpg.connect(url)
        found = await connection.fetchrow(
            "SELECT datlocprovider::text || datlocale AS locale, pg_encoding_to_char(encoding) AS"
            " encoding, current_setting('timezone') AS zone,"
            " current_setting('listen_addresses') AS addresses,"
            " current_setting('server_version_num')::int / 10000 AS major"
            " FROM pg_database WHERE datname = current_database()"
        )
        await connection.close()

    assert found is not None
    assert dict(found) == {
        "locale": "bC.UTF-8",
        "encoding": "UTF8",
        "zone": "UTC",
        "addresses": "",
        "major": 18,
    }
    assert (folder / "run").stat().st_mode & 0o777 == 0o700
    assert (folder / "cluster").stat().st_mode & 0o777 == 0o700


async def test_a_second_start_is_refused_and_names_the_holder(folder: Path) -> None:
    holder, url = hold(folder)
    try:
        with pytest.raises(FolderInUse, match=rf"process {holder.pid}\b") as refused:
            async with embedded_postgres(folder):
                pytest.fail("two servers on one folder")

        assert refused.value.pid == holder.pid
        await execute(url, "SELECT 1")
    finally:
        holder.send_signal(signal.SIGINT)
        kill(holder)
    async with embedded_postgres(folder):
        pass


async def test_a_killed_holder_leaves_a_server_that_the_next_start_ends(folder: Path) -> None:
    holder, url = hold(folder)
    await execute(url, "CREATE TABLE kept AS SELECT generate_series(1, 3) AS n")
    orphan = int(pid_file(folder / "cluster")[0])
    kill(holder)
    assert alive(orphan)

    async with embedded_postgres(folder) as url:
        assert await rows(url) == [1, 2, 3]
        assert int(pid_file(folder / "cluster")[0]) != orphan
    assert not alive(orphan)


async def test_holder_and_server_killed_together_lose_nothing(folder: Path) -> None:
    holder, url = hold(folder)
    await execute(url, "CREATE TABLE kept AS SELECT generate_series(1, 3) AS n")
    os.kill(int(pid_file(folder / "cluster")[0]), signal.SIGKILL)
    kill(holder)

    async with embedded_postgres(folder) as url:
        assert await rows(url) == [1, 2, 3]


async def test_a_pid_that_belongs_to_somebody_else_now_is_left_alone(folder: Path) -> None:
    async with embedded_postgres(folder):
        lines = pid_file(folder / "cluster")
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (folder / "cluster" / "postmaster.pid").write_text(
            "\n".join([str(stranger.pid), *lines[1:]]) + "\n"
        )

        async with embedded_postgres(folder):
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_start_killed_while_it_made_the_files_leaves_nothing_harmful(folder: Path) -> None:
    half = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE)
    while not list(folder.glob("cluster.new-*/PG_VERSION")):
        await asyncio.sleep(0.005)
    half.kill()
    half.communicate()
    assert not (folder / "cluster").exists()

    async with embedded_postgres(folder) as url:
        await execute(url, "SELECT 1")
    # The killed start's initdb may write until it notices; then the folder goes with a later start.
    assert (folder / "cluster" / "PG_VERSION").read_text() == "18\n"


only_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root runs PostgreSQL as another user"
)


@only_root
async def test_a_folder_of_others_that_is_closed_stays_so_and_is_told(folder: Path) -> None:
    folder.mkdir(mode=0o700)

    with pytest.raises(StartRefused, match=rf"through {folder}\..*--data-dir.*chmod o\+x {folder}"):
        async with embedded_postgres(folder / "mine"):
            pytest.fail("PostgreSQL's user was let in")

    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.iterdir()) == []


@only_root
async def test_folders_that_we_make_can_be_passed_through_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0o077)
    try:
        async with embedded_postgres(folder / "carillon" / "postgres") as url:
            await execute(url, "SELECT 1")
    finally:
        os.umask(before)


@only_root
def test_programs_that_are_out_of_reach_are_copied_and_nothing_is_opened(folder: Path) -> None:
    closed = folder.parent / "home"
    closed.mkdir(mode=0o700)
    package = binaries().parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, closed / part.name)
    environment = {"PATH": os.defpath, "PYTHONPATH": f"{closed}:{Path.cwd()}"}

    for _ in range(2):
        holder, url = hold(folder, environment)
        try:
            asyncio.run(execute(url, "SELECT 1"))
        finally:
            holder.send_signal(signal.SIGINT)
            holder.communicate()

    assert closed.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.glob("programs-*"))) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk that is full")
async def test_a_disk_that_is_full_during_the_first_start_is_told_and_harms_no_later_start(
    folder: Path,
) -> None:
    folder.mkdir()
    # Room for what initdb writes, and not for the database.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=41m", "tmpfs", str(folder)], check=True)
    try:
        with pytest.raises(
            StartRefused, match=r"\(postgres\) did not start.*\n.*\nThe disk is full"
        ):
            async with embedded_postgres(folder):
                pytest.fail("there was room")
        assert not (folder / "cluster").exists()

        subprocess.run(["mount", "-o", "remount,size=400m", str(folder)], check=True)
        async with embedded_postgres(folder) as url:
            await execute(url, "SELECT 1")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_path_too_long_for_a_socket_works(folder: Path) -> None:
    deep = folder / ("long" * 20) / ("way" * 20)
    deep.parent.mkdir(parents=True)
    assert len(os.fsencode(deep)) > SOCKET_MAX_BYTES

    async with embedded_postgres(deep) as url:
        await execute(url, "SELECT 1")
        socket = Path(pid_file(deep / "cluster")[4])
        assert socket.stat().st_mode & 0o777 == 0o700

    assert not socket.exists()


async def test_a_path_with_spaces_commas_and_quotes_works(folder: Path) -> None:
    async with embedded_postgres(folder / 'my "tasks", all & more') as url:
        await execute(url, "SELECT 1")


async def test_the_caller_learns_of_the_servers_death(folder: Path) -> None:
    died = asyncio.get_running_loop().create_future()
    async with embedded_postgres(folder, on_death=died.set_result):
        os.kill(int(pid_file(folder / "cluster")[0]), signal.SIGKILL)

        assert await asyncio.wait_for(died, 5) == -signal.SIGKILL


async def test_a_cancelled_start_stops_what_it_started(folder: Path) -> None:
    async def start() -> None:
        async with embedded_postgres(folder):
            pytest.fail("the start was cancelled")

    starting = asyncio.create_task(start())
    await asyncio.sleep(0.05)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert pid_file(folder / "cluster") == []
    async with embedded_postgres(folder) as url:
        await execute(url, "SELECT 1")


async def test_files_of_another_release_are_refused_with_the_way_out(folder: Path) -> None:
    async with embedded_postgres(folder):
        pass
    (folder / "cluster" / "PG_VERSION").write_text("17\n")

    with pytest.raises(StartRefused, match=r"incompatible with server\n.*dump it"):
        async with embedded_postgres(folder):
            pytest.fail("files of release 17 were opened")


@pytest.mark.parametrize(
    "_case,said,advice",
    [
        ("disk", "FATAL:  could not write: No space left on device", "free some space"),
        ("owner", 'FATAL:  data directory "x" has wrong ownership', "user that owns the folder"),
        ("unknown", "FATAL:  something new", "The whole story is in"),
    ],
)
def test_a_refusal_carries_the_servers_words_and_advice(_case: str, said: str, advice: str) -> None:
    message = str(refusal("postgres", said, Path("/data")))

    assert said in message
    assert advice in message
