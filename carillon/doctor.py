"""`carillon doctor`: checks each link, one line each, with what to do where it is broken."""

import sys

import asyncpg

from carillon.database import database
from carillon.settings import Settings
from infra.postgres.connecting import connect
from infra.postgres.doctor import findings
from infra.postgres.fitness import Unfit
from infra.postgres.migrate import pending


async def doctor(settings: Settings) -> int:
    """Prints what it finds; returns 1 where something is wrong."""
    try:
        async with database(settings, attach=True) as found:
            connection = await connect(found.direct_url or found.url, timeout=10)
            try:
                return await _checked(connection)
            finally:
                await connection.close()
    except Unfit as unfit:
        return _tell("database", unfit.finding.what, unfit.finding.remedy)


async def _checked(connection: asyncpg.Connection) -> int:
    _tell("database", f"PostgreSQL {connection.get_server_version().major} answers")
    if missing := await pending(connection):
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
