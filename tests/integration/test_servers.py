"""Servers that are not ours: a distribution's PostgreSQL by TLS, and PgBouncer in between.

Each is the real one; Carillon runs on it as a process, and its main path is gone through.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import asyncpg
import httpx
import pytest
import pytest_asyncio

from cluster.servers import NAME, Certificates, Pooler, Postgres
from infra.postgres.connecting import connect
from tests.api import Person
from tests.parts import required
from tests.processes import Server, free_port

# One after the other: the servers are the module's.
pytestmark = pytest.mark.xdist_group("servers")

CARILLON = str(Path(sys.executable).with_name("carillon"))
SECRET = "s" * 32
WRITERS = 6
TASKS_A_WRITER = 10
FOUND = """
query ($workspace: ID!) {
  tasks(workspaceId: $workspace, first: 5, orderBy: [{field: TITLE}],
        filter: {status: {in: [OPEN]}, search: "milk"}) {
    totalCount nodes { title } pageInfo { hasNextPage }
  }
}"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="carillon-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def certificates(folder: Path) -> Certificates:
    with required():
        (folder / "tls").mkdir(mode=0o755)
        return Certificates.made(folder / "tls")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgres(folder: Path, certificates: Certificates) -> AsyncIterator[Postgres]:
    with required():
        postgres = Postgres(folder / "postgres", certificates)
    await postgres.start()
    yield postgres
    await postgres.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far_pooler(
    folder: Path, postgres: Postgres, certificates: Certificates
) -> AsyncIterator[Pooler]:
    """A pooler before the distribution's server, TLS on both sides: as a provider's."""
    with required():
        pooler = Pooler(
            folder / "far-pooler",
            f"host=localhost port={postgres.port} user={NAME} password='{postgres.password}'",
            {
                "client_tls_sslmode": "require",
                "client_tls_key_file": str(certificates.key),
                "client_tls_cert_file": str(certificates.certificate),
                "server_tls_sslmode": "verify-full",
                "server_tls_ca_file": str(certificates.authority),
            },
        )
    await pooler.start()
    yield pooler
    await pooler.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def near_pooler(folder: Path, postgres_url: str) -> AsyncIterator[Pooler]:
    """A pooler before the run's own server."""
    to = dict(parse_qsl(urlsplit(postgres_url).query))
    with required():
        pooler = Pooler(folder / "near-pooler", f"host={to['host']} port={to['port']} user={NAME}")
    await pooler.start()
    yield pooler
    await pooler.stop()


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[Callable[..., Server]]:
    """What makes `carillon serve` with given settings; it is stopped with the test."""
    async with AsyncExitStack() as stack:

        def made(**settings: str) -> Server:
            home = Path(tempfile.mkdtemp(dir=folder))
            server = Server(home, token_secret=SECRET, **settings)
            stack.push_async_callback(asyncio.to_thread, server.close)
            return server

        yield made


def carillon(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    given = {f"CARILLON_{name}".upper(): value for name, value in settings.items()}
    return subprocess.run(
        [CARILLON, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            "PATH": os.defpath,
            "CARILLON_TOKEN_SECRET": SECRET,
            "CARILLON_LOG_FORMAT": "json",
            "CARILLON_PORT": str(free_port()),
            **given,
        },
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Returns the one line that a command ended with; the doctor writes it on its page."""
    assert done.returncode == 1, done.stderr + done.stdout
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    [line] = lines or [line for line in done.stdout.splitlines() if line.startswith("BAD ")]
    return line


async def journey(url: str) -> None:
    """The main path: people write at once, pages and searches are read, all is heard live."""
    async with httpx.AsyncClient(timeout=30) as http, AsyncExitStack() as stack:
        ada = await Person.sign_up(url, http)
        heard = (await stack.enter_async_context(ada.socket())).follow(ada.workspace, "0")

        async def write(writer: int) -> None:
            for number in range(TASKS_A_WRITER):
                what = "milk" if number % 2 else "bread"
                await ada.create(f"Buy {what} {writer}-{number}")

        await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
        head = 2 + WRITERS * TASKS_A_WRITER
        assert [(await anext(heard))["seq"] for _ in range(head)] == [
            str(seq) for seq in range(1, head + 1)
        ]
        for _ in range(20):
            page = (await ada.ask(FOUND, workspace=ada.workspace))["tasks"]
            assert page == {
                "totalCount": WRITERS * TASKS_A_WRITER // 2,
                "nodes": [{"title": f"Buy milk 0-{number}"} for number in (1, 3, 5, 7, 9)],
                "pageInfo": {"hasNextPage": True},
            }


async def test_a_distributions_server_by_tls_with_the_url_that_providers_hand_out(
    postgres: Postgres, certificates: Certificates, server: Callable[..., Server]
) -> None:
    direct = _url(postgres, certificates, "tasks")
    await _create_database(_url(postgres, certificates, "postgres"), "tasks")
    copied = f"{direct}&channel_binding=require&connect_timeout=20&keepalives_idle=30"

    serving = server(database_url=copied)
    await asyncio.to_thread(serving.start)
    await journey(serving.url)
    doctor = await asyncio.to_thread(carillon, "doctor", database_url=copied)

    assert (doctor.returncode, doctor.stderr) == (0, "")
    assert f"PostgreSQL {postgres.release}" in doctor.stdout
    assert '"parameter": "keepalives_idle"' in serving.output.read_text()


async def test_the_systems_authorities_vouch_for_a_server_or_it_is_not_used(
    postgres: Postgres, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = _url(postgres, certificates, "postgres").partition("?")[0]
    for query in ("sslmode=require&channel_binding=require", "sslrootcert=system"):
        refused = await asyncio.to_thread(carillon, "doctor", database_url=f"{url}?{query}")
        assert "certificate verify failed" in told(refused)

    # Where OpenSSL looks for the system's.
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    for query in ("sslmode=require&channel_binding=require", "sslrootcert=system"):
        connection = await connect(f"{url}?{query}", timeout=5)
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        await connection.close()


async def test_a_pooler_with_a_direct_way_beside_it(
    postgres: Postgres,
    far_pooler: Pooler,
    certificates: Certificates,
    server: Callable[..., Server],
) -> None:
    direct = _url(postgres, certificates, "pooled")
    await _create_database(_url(postgres, certificates, "postgres"), "pooled")
    settings = {
        "database_url": f"postgresql://{NAME}:any@localhost:{far_pooler.port}/pooled"
        f"?sslmode=verify-full&sslrootcert={certificates.authority}",
        "database_direct_url": direct,
        "database_pooler": "true",
    }

    serving = server(**settings)
    await asyncio.to_thread(serving.start)
    await journey(serving.url)
    doctor = await asyncio.to_thread(lambda: carillon("doctor", **settings))

    assert (doctor.returncode, doctor.stderr) == (0, "")


async def test_a_pooler_alone_is_enough_once_the_database_is_migrated(
    near_pooler: Pooler, postgres_url: str, server: Callable[..., Server]
) -> None:
    direct = await _create_database(postgres_url, "alone")
    settings = {
        "database_url": f"postgresql://{NAME}@127.0.0.1:{near_pooler.port}/alone",
        "database_pooler": "true",
    }
    early = await asyncio.to_thread(lambda: carillon("serve", **settings))
    assert "Run `carillon migrate`" in told(early)
    migrated = await asyncio.to_thread(
        lambda: carillon("migrate", **settings, database_direct_url=direct)
    )
    assert (migrated.returncode, migrated.stderr) == (0, "")

    serving = server(**settings)
    for _ in range(2):
        # The pooler's connections remember what the first start left on them.
        await asyncio.to_thread(serving.start)
        await journey(serving.url)
        await asyncio.to_thread(serving.stop)
    doctor = await asyncio.to_thread(lambda: carillon("doctor", **settings))
    assert (doctor.returncode, doctor.stderr) == (0, "")


async def test_a_pooler_that_is_not_named_as_one_is_told_in_one_line(
    near_pooler: Pooler, postgres_url: str
) -> None:
    await _create_database(postgres_url, "unnamed")
    url = f"postgresql://{NAME}@127.0.0.1:{near_pooler.port}/unnamed"

    for command in ("serve", "doctor"):
        done = await asyncio.to_thread(carillon, command, database_url=url)
        assert "CARILLON_DATABASE_POOLER=true" in told(done)


async def test_a_role_that_may_not_create_tables_is_told_in_one_line(postgres_url: str) -> None:
    url = await _create_database(postgres_url, "strict")
    async with _connected(url) as connection:
        await connection.execute("CREATE ROLE reader LOGIN")

    done = await asyncio.to_thread(
        carillon, "migrate", database_url=url.replace(f"{NAME}@", "reader@")
    )

    assert "permission denied for schema public" in told(done)
    assert "GRANT CREATE, USAGE ON SCHEMA public" in told(done)
    migrated = await asyncio.to_thread(carillon, "migrate", database_url=url)
    assert (migrated.returncode, migrated.stderr) == (0, "")
    serve = await asyncio.to_thread(
        carillon, "serve", database_url=url.replace(f"{NAME}@", "reader@")
    )
    assert "permission denied for table" in told(serve)


async def test_a_database_that_cannot_keep_every_text_is_refused_at_the_start(
    postgres_url: str,
) -> None:
    url = await _create_database(
        postgres_url, "latin", "ENCODING LATIN1 LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    )

    for command in ("serve", "doctor"):
        said = told(await asyncio.to_thread(carillon, command, database_url=url))
        assert "LATIN1" in said
        assert "ENCODING 'UTF8'" in said
    async with _connected(url) as connection:
        assert (
            await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            == 0
        )


def _url(postgres: Postgres, certificates: Certificates, name: str) -> str:
    return (
        f"postgresql://{NAME}:{quote(postgres.password, safe='')}@localhost:{postgres.port}/{name}"
        f"?sslmode=verify-full&sslrootcert={certificates.authority}"
    )


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(url, timeout=5)
    yield connection
    await connection.close()


async def _create_database(url: str, name: str, how: str = "") -> str:
    """Returns the URL of the new database."""
    async with _connected(url) as connection:
        await connection.execute(f"CREATE DATABASE {name} {how}")
    return url.replace(f"@/{NAME}?", f"@/{name}?")
