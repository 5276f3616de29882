"""Brings a database to this release's schema, one migrator at a time."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.command import upgrade as alembic_upgrade
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from infra.postgres.tables import metadata

# Any constant will do, as long as every release uses the same.
LOCK = 0x6361_7269_6C6C_6F6E
_FOLDER = Path(__file__).parent / "migrations"


async def upgrade(url: str) -> None:
    """Runs the migrations that the database lacks; waits for another migrator.

    Args:
        url: a direct connection (the advisory lock belongs to the session, which a transaction
            pooler does not keep).
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
    finally:
        await engine.dispose()


async def pending(url: str) -> list[str]:
    """Returns the revisions that the database lacks, oldest first."""
    engine = _engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_pending)
    finally:
        await engine.dispose()


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
    # asyncpg reads libpq's options (TLS, socket folders) from the URL as it is; SQLAlchemy's own
    # parsing of it would need each of them translated.
    return create_async_engine(
        "postgresql+asyncpg://", connect_args={"dsn": url}, poolclass=pool.NullPool
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    alembic_upgrade(config, "head")


def _pending(connection: Connection) -> list[str]:
    script = ScriptDirectory.from_config(_config())
    heads = MigrationContext.configure(connection).get_current_heads()
    done = {r.revision for head in heads for r in script.iterate_revisions(head, "base")}
    every = [revision.revision for revision in script.walk_revisions()]
    return [revision for revision in reversed(every) if revision not in done]
