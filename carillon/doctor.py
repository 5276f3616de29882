"""`carillon doctor`: checks each link, one line each, with what to do where it is broken."""

import sys

import asyncpg

from carillon.database import Database, database
from carillon.settings import Settings
from infra.postgres.doctor import OLDEST_SUPPORTED, findings, server_version
from infra.postgres.migrate import pending


async def doctor(settings: Settings) -> int:
    """Prints what it finds; returns 1 where something is wrong."""
    async with database(settings, attach=True) as found:
        try:
            # Unnamed statements, since the URL may lead to a transaction pooler.
            connection = await asyncpg.connect(
                found.direct_url or found.url, statement_cache_size=0
            )
        except (OSError, asyncpg.PostgresError) as error:
            return _tell("database", f"cannot be reached: {error}", "check CARILLON_DATABASE_URL")
        try:
            return await _checked(connection, found)
        finally:
            await connection.close()


async def _checked(connection: asyncpg.Connection, found: Database) -> int:
    version = await server_version(connection)
    if version < OLDEST_SUPPORTED:
        return _tell("database", f"is PostgreSQL {version}", f"use {OLDEST_SUPPORTED} or newer")
    _tell("database", f"PostgreSQL {version} answers")
    if missing := await pending(found.direct_url or found.url):
        return _tell("migrations", f"{len(missing)} are missing", "run `carillon migrate`")
    _tell("migrations", "all are there")
    wrong = 0
    async for finding in findings(connection):
        wrong = _tell("log", finding.what, finding.remedy)
    if not wrong:
        _tell("log", "every stream is gap-free and its chain verifies")
    return wrong


def _tell(link: str, what: str, remedy: str | None = None) -> int:
    mark = "ok  " if remedy is None else "BAD "
    sys.stdout.write(f"{mark}{link}: {what}{'' if remedy is None else f' - {remedy}'}\n")
    return 0 if remedy is None else 1
