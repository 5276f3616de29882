"""Whether a server that an operator names can be used, and if not, what to do about it."""

import asyncio
from typing import Final

import asyncpg

from infra.findings import Finding
from infra.postgres.connecting import connect
from infra.postgres.url import address

OLDEST_SUPPORTED: Final = 15
# A sleeping serverless database takes some seconds to wake.
CONNECT_WAIT_S = 15.0
# A URL's own `connect_timeout` may be longer than ours.
EXAMINE_WAIT_S = 60.0
# What each lane asks of its session; a pooler refuses it or forgets it.
_PROBE: Final = ("plan_cache_mode", "force_custom_plan")


class Unfit(Exception):
    """The database cannot be used; the message says why and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what.rstrip('.')}. {remedy.rstrip('.')}.")
        self.finding = Finding(what, remedy)


async def examine(url: str, *, pooler: bool, variable: str = "CARILLON_DATABASE_URL") -> int:
    """Returns the major version of a server that can be used.

    Args:
        url: the server's.
        pooler: whether a transaction pooler is expected in between.
        variable: the setting that has the URL.

    Raises:
        Unfit: it cannot be reached, lets us not in, or is not what Carillon needs.
    """
    place = address(url).place
    try:
        async with asyncio.timeout(EXAMINE_WAIT_S):
            keeps, version, encoding = await _looked_at(url, pooler=pooler)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if isinstance(error, asyncpg.ProtocolViolationError) and not pooler:
            # PgBouncer's word for a parameter of a session.
            raise _pooled(place, str(error), variable) from error
        said = str(error) or type(error).__name__
        raise Unfit(
            f"The database at {place} cannot be used: {said}", f"Check {variable}"
        ) from error
    if not keeps:
        raise _pooled(place, "settings of a session are forgotten", variable)
    require_suitable(place, version=version, encoding=encoding)
    return version


async def _looked_at(url: str, *, pooler: bool) -> tuple[bool, int, str]:
    """Returns whether the session is as expected, the server's release, and its encoding."""
    session = None if pooler else dict([_PROBE])
    connection = await connect(url, timeout=CONNECT_WAIT_S, settings=session)
    try:
        keeps = pooler or await _keeps(connection)
        # Both come with each connection's first messages, from poolers too.
        settings = connection.get_settings()
        return keeps, connection.get_server_version().major, settings.server_encoding
    finally:
        connection.terminate()


async def _keeps(connection: asyncpg.Connection) -> bool:
    name, value = _PROBE
    async with connection.transaction():
        return bool(await connection.fetchval("SELECT current_setting($1) = $2", name, value))


def require_suitable(place: str, *, version: int, encoding: str) -> None:
    """Refuses a server of another release or encoding than Carillon can work with.

    Raises:
        Unfit: see there.
    """
    if version < OLDEST_SUPPORTED:
        raise Unfit(
            f"The database at {place} is PostgreSQL {version}", f"Use {OLDEST_SUPPORTED} or newer"
        )
    if encoding != "UTF8":
        raise Unfit(
            f"The database at {place} keeps texts as {encoding}, which has no place for many",
            "Make another: CREATE DATABASE carillon ENCODING 'UTF8' TEMPLATE template0",
        )


def _pooled(place: str, said: str, variable: str) -> Unfit:
    remedy = (
        "Set CARILLON_DATABASE_POOLER=true"
        if variable == "CARILLON_DATABASE_URL"
        else f"Give {variable} the address of the server behind it"
    )
    return Unfit(f"The database at {place} lies behind a pooler ({said})", remedy)
