"""The database that the settings ask for: a given one, or a PostgreSQL of our own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from carillon.settings import Settings, require_database
from infra.postgres.connecting import connect
from infra.postgres.data_folder import FolderInUse
from infra.postgres.embedded import embedded_postgres, running_url
from infra.postgres.fitness import CONNECT_WAIT_S, Unfit, examine
from infra.postgres.migrate import pending, upgrade
from infra.postgres.url import address


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where it is.

    `direct_url` keeps a session, and is None where only a pooler is known; `left_out` names what
    the given URL asks for and has no effect.
    """

    url: str
    direct_url: str | None
    left_out: tuple[str, ...] = ()


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
        NotConfigured: no database is given, and our own cannot be meant.
        Unfit: the given database cannot be used.
    """
    require_database(settings)
    if settings.database_url is not None:
        yield await _given(settings, settings.database_url.get_secret_value())
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


async def _given(settings: Settings, url: str) -> Database:
    await examine(url, pooler=settings.database_pooler)
    direct_url = None if settings.database_pooler else url
    if settings.database_direct_url is not None:
        direct_url = settings.database_direct_url.get_secret_value()
        await examine(direct_url, pooler=False, variable="CARILLON_DATABASE_DIRECT_URL")
    return Database(url=url, direct_url=direct_url, left_out=address(url).left_out)


async def migrated(found: Database) -> None:
    """Brings the database to this release's schema.

    Raises:
        Unfit: it refuses a migration, or lies behind a pooler, where none can hold its lock.
    """
    if found.direct_url is not None:
        await upgrade(found.direct_url)
        return
    if missing := await _missing(found):
        raise Unfit(
            f"The database lacks {missing} migration(s), and a pooler keeps no lock for them",
            "Run `carillon migrate` with CARILLON_DATABASE_DIRECT_URL set",
        )


async def require_migrated(found: Database) -> None:
    """Sees that the database has this release's schema, for a command that only uses it.

    Raises:
        Unfit: it lacks migrations.
    """
    if missing := await _missing(found):
        raise Unfit(f"The database lacks {missing} migration(s)", "Run `carillon migrate`")


async def _missing(found: Database) -> int:
    connection = await connect(found.url, timeout=CONNECT_WAIT_S)
    try:
        return len(await pending(connection))
    finally:
        await connection.close()
