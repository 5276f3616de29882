"""What tests of every kind share: a PostgreSQL per run, a database per test, the real server."""

import shutil
import socket
import subprocess
import sys
import tempfile
import zoneinfo
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests import postgres
from tests.processes import Server

# As every command does: dates of tests come from the lock's zone data, not from the machine's.
zoneinfo.reset_tzpath(())

RUN = pytest.StashKey[Path]()
HOLDER = pytest.StashKey[subprocess.Popen[bytes]]()


def pytest_configure(config: pytest.Config) -> None:
    shared: dict[str, str] | None = getattr(config, "workerinput", None)
    if shared is not None:
        config.stash[RUN] = Path(shared["run"])
        return
    config.stash[RUN] = _folder("carillon-run-")
    config.stash[HOLDER] = subprocess.Popen(
        [sys.executable, "-m", "tests.postgres", str(config.stash[RUN])],
        cwd=config.rootpath,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    _await_holder(node.config)
    node.workerinput["run"] = str(node.config.stash[RUN])


def pytest_unconfigure(config: pytest.Config) -> None:
    if HOLDER in config.stash:
        config.stash[HOLDER].communicate()
        shutil.rmtree(config.stash[RUN])


@pytest.fixture(scope="session")
def postgres_url(pytestconfig: pytest.Config) -> str:
    """The run's PostgreSQL, as its superuser."""
    if HOLDER in pytestconfig.stash:
        _await_holder(pytestconfig)
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(pytestconfig.stash[RUN] / "ask"))
        url = b"".join(iter(lambda: asking.recv(4096), b"")).decode()
    assert url, "PostgreSQL did not start; its words are above"
    return url


@pytest.fixture(scope="session")
def fresh_database(postgres_url: str) -> Callable[[], AbstractAsyncContextManager[str]]:
    """What makes a migrated database of any lifetime, by `async with`."""

    @asynccontextmanager
    async def made() -> AsyncIterator[str]:
        name = f"test_{uuid4().hex}"
        await _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {postgres.TEMPLATE}")
        yield postgres.database(postgres_url, name)
        await _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")

    return made


@pytest.fixture
async def database_url(
    fresh_database: Callable[[], AbstractAsyncContextManager[str]],
) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    async with fresh_database() as url:
        yield url


@pytest.fixture
def server() -> Iterator[Server]:
    """The running server, by itself on an empty folder."""
    folder = _folder("carillon-test-")
    server = Server(folder)
    server.start()
    yield server
    server.close()
    shutil.rmtree(folder)


def _await_holder(config: pytest.Config) -> None:
    # It closes its output once it listens.
    output = config.stash[HOLDER].stdout
    assert output is not None
    output.read()


def _folder(prefix: str) -> Path:
    # Not pytest's: it takes back the right to traverse its root, which PostgreSQL's user needs
    # when the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)
    return folder


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
