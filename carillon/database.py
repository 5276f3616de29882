"""The database that the settings ask for: a given one, or a PostgreSQL of our own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from carillon.settings import Settings
from infra.postgres.data_folder import FolderInUse
from infra.postgres.embedded import embedded_postgres, running_url
from infra.postgres.migrate import pending, upgrade

# A sleeping serverless database takes some seconds to wake.
CONNECT_WAIT_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where it is; `direct_url` keeps a session, and is None where only a pooler is known."""

    url: str
    direct_url: str | None


class NotMigrated(Exception):
    """The database lacks migrations that cannot be run from here; the message says how to."""


@asynccontextmanager
async def database(
    settings: Settings,
    *,
    attach: bool = False,
    on_death: Callable[[int], None] | None = None,
) -> AsyncIterator[Database]:
    """Yields the database, which runs until the end of the block if it is our own.

    Args:
        settings: say which.
        attach: use the embedded server of a Carillon that runs on the data folder already.
        on_death: called with the exit code when our own server ends unasked.

    Raises:
        EmbeddedError: our own server does not start.
        ConnectionError: the given database cannot be used.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        await _reach(url)
        direct = settings.database_direct_url
        if direct is not None:
            yield Database(url=url, direct_url=direct.get_secret_value())
        else:
            yield Database(url=url, direct_url=None if settings.database_pooler else url)
        return
    folder = settings.data_dir / "postgres"
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(embedded_postgres(folder, on_death=on_death))
        except FolderInUse:
            running = running_url(folder) if attach else None
            if running is None:
                raise
            url = running
        yield Database(url=url, direct_url=url)


async def _reach(url: str) -> None:
    try:
        connection = await asyncpg.connect(url, statement_cache_size=0, timeout=CONNECT_WAIT_S)
        await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Neither the user's name nor the password belongs into a terminal or a log.
        place = urlsplit(url).netloc.rpartition("@")[2] or "a local socket"
        said = str(error) or type(error).__name__
        raise ConnectionError(
            f"The database at {place} cannot be used: {said}. Check CARILLON_DATABASE_URL."
        ) from error


async def migrated(found: Database) -> None:
    """Brings the database to this release's schema.

    Raises:
        NotMigrated: it lies behind a pooler, where a migration cannot hold its lock.
    """
    if found.direct_url is not None:
        await upgrade(found.direct_url)
    elif missing := await pending(found.url):
        raise NotMigrated(
            f"The database lacks {len(missing)} migration(s), and a pooler keeps no lock for them."
            " Run `carillon migrate` with CARILLON_DATABASE_DIRECT_URL set."
        )
