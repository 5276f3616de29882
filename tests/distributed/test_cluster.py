"""`make cluster` as somebody uses it: twice in one folder, parts killed under it, started again."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.up import FOLDER
from tests.api import Person
from workers.routes import READINESS_PATH

# A start takes 20 s on two cores that have nothing else to do.
PATIENCE_S = 180.0


class Run:
    """One `make cluster` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / FOLDER / "state.json"
        self.said = ""

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cluster", "up"),
            cwd=self._folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said += line.decode()

    def state(self) -> Any:
        return json.loads(self._file.read_text()) if self._file.exists() else None

    async def until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    assert self.process.returncode is None, self.said
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(self.said) from None

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            code = await self.process.wait()
            await self._listening
        return code


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Run]:
    run = Run(folder)
    await run.start()
    try:
        await run.until(lambda: "ready in" in run.said)
        yield run
    finally:
        if run.process.returncode is None:
            run.process.terminate()
        code = await run.ended()
    assert code == 0, run.said
    assert run.state() is None
    assert "Traceback" not in run.said


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket, and open to PostgreSQL's user where we are root.

    Not below pytest's own folder, which each run of pytest closes to others.
    """
    with tempfile.TemporaryDirectory(prefix="carillon-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.mark.usefixtures("kafka")
async def test_it_starts_again_what_dies_and_leaves_the_folder_to_one_run_at_a_time(
    folder: Path,
) -> None:
    async with cluster(folder) as run:
        before = run.state()
        # Every process that exists, each with its sidecar.
        for name in ("api-1", "api-2", "relay-1", "notifications-1", "recurrence-1"):
            assert {name, f"{name}.daprd"} <= before["processes"].keys()
        other = Run(folder)
        await other.start()
        assert await other.ended() == 1
        assert other.said == (
            f"cluster: another one runs in {FOLDER} (process {run.process.pid}): stop it first\n"
        )
        assert run.state() == before

        for name in ("kafka", "sentry", "postgres", "relay-1.daprd"):
            old = before["processes"][name]
            os.kill(old, signal.SIGKILL)
            await run.until(lambda old=old, name=name: run.state()["processes"].get(name) != old)  # type: ignore[misc]
        after = run.state()

        assert {**after, "processes": {}} == {**before, "processes": {}}
        assert after["processes"].keys() == before["processes"].keys()
        assert 'part.died part="sentry"' in run.said
        async with httpx.AsyncClient(timeout=30) as http:
            for url in after["api"]:
                async with asyncio.timeout(PATIENCE_S):
                    while (await http.get(url + READINESS_PATH)).status_code != 200:
                        await asyncio.sleep(0.1)
            ada = await Person.sign_up(after["api"][0], http)
            await ada.create("Buy milk")
    # What a killed run leaves is none of the next one's.
    (folder / FOLDER / "state.json").write_text("{}")
    async with cluster(folder) as run:
        assert run.state()["processes"].keys() == after["processes"].keys()


@pytest.mark.usefixtures("kafka")
async def test_a_part_that_does_not_start_is_told_by_its_last_words(folder: Path) -> None:
    # As if storage had been made, and then lost.
    (folder / FOLDER / "kafka").mkdir(parents=True)
    (folder / FOLDER).chmod(0o711)
    (folder / FOLDER / "kafka" / "server.properties").touch()
    run = Run(folder)
    await run.start()

    assert await run.ended() == 1

    assert "cluster: kafka ended with 1:" in run.said
    assert "Traceback (most recent call last)" not in run.said
    assert run.state() is None
