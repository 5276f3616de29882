"""Brings a database to this release's schema, one migrator at a time."""

from pathlib import Path
from typing import Final

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.command import upgrade as alembic_upgrade
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from infra.postgres.connecting import connect
from infra.postgres.fitness import CONNECT_WAIT_S, Unfit
from infra.postgres.tables import metadata

# Any constant will do, as long as every release uses the same.
LOCK = 0x6361_7269_6C6C_6F6E
_FOLDER = Path(__file__).parent / "migrations"
_REMEDIES: Final = {
    # insufficient_privilege, lock_not_available, query_canceled
    "42501": "Run `carillon migrate` as the owner of its tables, or let the owner of the database"
    " say: GRANT CREATE, USAGE ON SCHEMA public TO ...",
    "55P03": "Another program holds a table for long; run it again",
    "57014": "The database is too busy; run it again",
}


async def upgrade(url: str) -> None:
    """Runs the migrations that the database lacks; waits for another migrator.

    Args:
        url: a direct connection (the advisory lock belongs to the session, which a transaction
            pooler does not keep).

    Raises:
        Unfit: the database refuses one of them.
    """
    engine = _engine(url)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
            await connection.commit()
            # Waiting for the lock above is fine; waiting behind a live table's lock is not.
            await connection.execute(text("SET lock_timeout = '4s'"))
            await connection.execute(text("SET statement_timeout = '60s'"))
            await connection.commit()
            await connection.run_sync(_upgrade)
            await connection.commit()
    except DBAPIError as error:
        raise _refused(error) from error
    finally:
        await engine.dispose()


async def pending(connection: asyncpg.Connection) -> list[str]:
    """Returns the revisions that the database lacks, oldest first; a pooler may be in between."""
    async with connection.transaction(readonly=True):
        is_new = await connection.fetchval("SELECT to_regclass('alembic_version') IS NULL")
        rows = [] if is_new else await connection.fetch("SELECT version_num FROM alembic_version")
    script = ScriptDirectory.from_config(_config())
    heads = [row["version_num"] for row in rows]
    done = {r.revision for head in heads for r in script.iterate_revisions(head, "base")}
    every = [revision.revision for revision in script.walk_revisions()]
    return [revision for revision in reversed(every) if revision not in done]


async def drift(url: str) -> list[object]:
    """Returns what differs between the migrated database and `tables.metadata`."""
    engine = _engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(
                lambda sync: list(compare_metadata(MigrationContext.configure(sync), metadata))
            )
    finally:
        await engine.dispose()


def _engine(url: str) -> AsyncEngine:
    async def opened() -> asyncpg.Connection:
        return await connect(url, timeout=CONNECT_WAIT_S)

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=opened, poolclass=pool.NullPool
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    alembic_upgrade(config, "head")


def _refused(error: DBAPIError) -> Unfit:
    # Beneath SQLAlchemy's error is that of its adapter, and beneath this the server's.
    cause = error.orig.__cause__ if error.orig is not None else None
    code = getattr(cause, "sqlstate", None)
    remedy = _REMEDIES.get(code or "", "The server's log tells more")
    return Unfit(f"The database refused a migration: {cause or error.orig}", remedy)
