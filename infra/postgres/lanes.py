"""Lanes: a fixed set of connections that keep their prepared statements.

A pool resets each connection that comes back, which costs as much as a small read. Statements
here leave no session state behind, so a lane goes straight to the next one in the queue.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import asyncpg

from domain.errors import Unavailable
from infra.postgres.connecting import connect

log = logging.getLogger(__name__)

# A statement holds a few hundred kB of the server's memory once planned: 8 lanes x 256 is the
# most that hostile documents can make it keep.
STATEMENTS_MAX = 256
# Longer than a restart of the server, shorter than a client's patience.
TURN_WAIT_S = 5.0
# At 1 ms a statement, so many ahead of us mean a second of waiting: more are only memory.
WAITING_MAX = 1_000
REOPEN_FIRST_S = 0.05
REOPEN_LAST_S = 2.0
CONNECT_WAIT_S = 5.0
# What a clean-up may take before the connection is thrown away.
MEND_WAIT_S = 2.0
CLOSE_WAIT_S = 5.0

_How = Callable[..., Awaitable[Any]]

# All that can go wrong between us and the server; TimeoutError is an OSError.
_FAILED = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# Timeouts of locks and statements.
_TOO_LONG = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError)
# Classes of SQLSTATE that blame the server's state, not the statement: resources run out, operators
# step in, disks fail.
_UNWELL = frozenset({"53", "57", "58"})
# The transaction gave in to another: deadlocks, and conflicts of serialization.
_COLLISION = "40"
# The connection is gone, or about to go.
_LOST = (
    OSError,
    # asyncpg's word where the server has said goodbye in the middle of its protocol.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOptions:
    """How the statements of a set of lanes run.

    `plans` is the server's plan_cache_mode: generic plans for keys and keyset pages, custom ones
    for filters and searches, which a generic plan makes several times slower.
    `pooler`: the URL leads to a transaction pooler, which keeps no session: statements are
    unnamed and settings are local to a transaction.
    """

    size: int
    name: str = "carillon"
    plans: Literal["auto", "force_generic_plan", "force_custom_plan"] = "auto"
    statement_timeout_ms: int = 10_000
    lock_timeout_ms: int = 4_000
    pooler: bool = False
    turn_wait_s: float = TURN_WAIT_S

    def settings(self) -> dict[str, str]:
        """Returns the server's settings for these lanes."""
        return {
            "TimeZone": "UTC",
            # Compiling a plan of ours takes longer than any of them runs.
            "jit": "off",
            "plan_cache_mode": self.plans,
            "statement_timeout": str(self.statement_timeout_ms),
            "lock_timeout": str(self.lock_timeout_ms),
        }


class Collided(Unavailable):
    """Two transactions stood in each other's way, and this one gave in: run it again."""


class Statements(Protocol):
    """Where statements run: on any lane, or in one transaction."""

    async def fetchval(self, sql: str, *args: object) -> Any:
        """Returns the first value of the first row, None without rows."""
        ...

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        """Returns the first row, None without rows."""
        ...

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Returns all rows."""
        ...


class Lanes:
    """Runs each statement on the first free lane; waiters go in order.

    A value of type `json` comes as bytes, ready to be spliced; `jsonb` and `text` come as str.
    Trouble with a connection, a timeout or a server that is not well raises Unavailable; an error
    of the statement itself comes as asyncpg's own.
    """

    def __init__(self, url: str, options: LaneOptions) -> None:
        self._url = url
        self._options = options
        settings = options.settings().items()
        self._begin = "; ".join(["BEGIN", *(f"SET LOCAL {name} = '{v}'" for name, v in settings)])
        self._free: list[asyncpg.Connection] = []
        self._open: set[asyncpg.Connection] = set()
        self._waiting: deque[asyncio.Future[asyncpg.Connection]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = True

    async def open(self) -> None:
        """Opens all lanes.

        Raises:
            Unavailable: the server cannot be reached.
        """
        self._closed = False
        try:
            for _ in range(self._options.size):
                self._add(await self._connect())
        except _FAILED as error:
            await self.close()
            raise Unavailable("The database cannot be reached.") from error

    async def close(self) -> None:
        """Closes all lanes; what is running may finish, within CLOSE_WAIT_S."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSE_WAIT_S):
                while self._open:
                    connection = await self._turn()
                    self._open.discard(connection)
                    await connection.close()
        except (*_FAILED, Unavailable):
            log.warning("lanes.closed_hard", extra={"lanes": self._options.name})
        for connection in self._open:
            connection.terminate()
        self._open.clear()
        self._free.clear()

    async def __aenter__(self) -> Self:
        """Opens the lanes."""
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the lanes."""
        await self.close()

    async def fetchval(self, sql: str, *args: object) -> Any:
        """See `Statements.fetchval`."""
        return await self._run(asyncpg.Connection.fetchval, sql, args)

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        """See `Statements.fetchrow`."""
        row: asyncpg.Record | None = await self._run(asyncpg.Connection.fetchrow, sql, args)
        return row

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """See `Statements.fetch`."""
        rows: list[asyncpg.Record] = await self._run(asyncpg.Connection.fetch, sql, args)
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Statements]:
        """Yields one lane in a transaction, which commits at the end of the block.

        An exception in the block rolls back. One of the commit leaves open whether it was done.
        """
        if self._closed:
            raise Unavailable("The service is stopping.")
        connection = await self._take()
        begin = self._begin if self._options.pooler else "BEGIN"
        try:
            await self._on(connection, asyncpg.Connection.execute, begin)
            yield _Transaction(partial(self._on, connection))
            await self._on(connection, asyncpg.Connection.execute, "COMMIT")
        except BaseException:
            self._spawn(self._mend(connection, "ROLLBACK"))
            raise
        self._give(connection)

    async def _run(self, how: _How, sql: str, args: tuple[object, ...]) -> Any:
        if self._closed:
            raise Unavailable("The service is stopping.")
        connection = await self._take()
        try:
            if self._options.pooler:
                result = await self._in_transaction(connection, how, sql, args)
            else:
                result = await self._on(connection, how, sql, *args)
        except asyncio.CancelledError:
            # asyncpg cancels the statement on the server; until then nobody gets this lane.
            self._spawn(self._mend(connection, "ROLLBACK" if self._options.pooler else "SELECT 1"))
            raise
        except BaseException:
            if connection in self._open:
                self._give(connection)
            raise
        self._give(connection)
        return result

    async def _on(self, connection: asyncpg.Connection, how: _How, *args: object) -> Any:
        """Runs a statement on a connection that is taken; one that is lost is let go."""
        try:
            return await how(connection, *args)
        except _FAILED as error:
            if isinstance(error, _LOST) or connection.is_closed():
                self._lose(connection)
                raise Unavailable("The connection to the database was lost.") from error
            if isinstance(error, _TOO_LONG):
                raise Unavailable("The database took too long; try again.") from error
            if isinstance(error, asyncpg.PostgresError):
                _require_its_own_fault(error)
            raise

    async def _in_transaction(
        self, connection: asyncpg.Connection, how: _How, sql: str, args: tuple[object, ...]
    ) -> Any:
        await self._on(connection, asyncpg.Connection.execute, self._begin)
        try:
            result = await self._on(connection, how, sql, *args)
        except (asyncpg.PostgresError, Unavailable):
            if connection in self._open:
                await self._on(connection, asyncpg.Connection.execute, "ROLLBACK")
            raise
        await self._on(connection, asyncpg.Connection.execute, "COMMIT")
        return result

    async def _take(self) -> asyncpg.Connection:
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
            self._lose(connection)  # the server closed it while nobody looked
        return await self._turn()

    async def _turn(self) -> asyncpg.Connection:
        if self._free:
            return self._free.pop()
        if len(self._waiting) >= WAITING_MAX:
            raise Unavailable("Too many requests are waiting for the database; try again.")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[asyncpg.Connection] = loop.create_future()
        self._waiting.append(waiter)
        timer = loop.call_later(self._options.turn_wait_s, self._give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give(waiter.result())  # it was handed over just before
            else:
                self._forget(waiter)
            raise
        finally:
            timer.cancel()

    def _give_up(self, waiter: asyncio.Future[asyncpg.Connection]) -> None:
        if not waiter.done():
            waiter.set_exception(Unavailable("The database is busy; try again."))
        self._forget(waiter)

    def _forget(self, waiter: asyncio.Future[asyncpg.Connection]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)

    def _give(self, connection: asyncpg.Connection) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._free.append(connection)

    def _add(self, connection: asyncpg.Connection) -> None:
        self._open.add(connection)
        self._give(connection)

    def _lose(self, connection: asyncpg.Connection) -> None:
        if connection not in self._open:
            return
        self._open.discard(connection)
        connection.terminate()
        if not self._closed:
            self._spawn(self._reopen())

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _mend(self, connection: asyncpg.Connection, statement: str) -> None:
        """Gives a connection back once it has left what it was doing; nothing for a lost one."""
        if connection not in self._open:
            return
        try:
            async with asyncio.timeout(MEND_WAIT_S):
                await connection.execute(statement)
        except _FAILED:
            self._lose(connection)
        except asyncio.CancelledError:
            self._lose(connection)
            raise
        else:
            self._give(connection)

    async def _reopen(self) -> None:
        wait = REOPEN_FIRST_S
        facts = {"lanes": self._options.name}
        log.warning("lanes.connection_lost", extra=facts)
        while True:
            try:
                connection = await self._connect()
            except _FAILED:
                # Jitter: replicas that lost the server together shall not come back together.
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311
                wait = min(REOPEN_LAST_S, wait * 2)
            else:
                log.info("lanes.connection_restored", extra=facts)
                self._add(connection)
                return

    async def _connect(self) -> asyncpg.Connection:
        options = self._options
        session = {**options.settings(), "application_name": options.name}
        connection = await connect(
            self._url,
            timeout=CONNECT_WAIT_S,
            settings=None if options.pooler else session,
            # asyncpg's own cache is the lane's set of statements: bounded, least recently used
            # out first, deallocated on the server.
            statements_max=0 if options.pooler else STATEMENTS_MAX,
        )
        await connection.set_type_codec(
            "json", schema="pg_catalog", format="binary", encoder=_encoded, decoder=bytes
        )
        return connection


class _Transaction:
    """The statements of one transaction; `run` knows the connection."""

    def __init__(self, run: Callable[..., Awaitable[Any]]) -> None:
        self._run = run

    async def fetchval(self, sql: str, *args: object) -> Any:
        """See `Statements.fetchval`."""
        return await self._run(asyncpg.Connection.fetchval, sql, *args)

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        """See `Statements.fetchrow`."""
        row: asyncpg.Record | None = await self._run(asyncpg.Connection.fetchrow, sql, *args)
        return row

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """See `Statements.fetch`."""
        rows: list[asyncpg.Record] = await self._run(asyncpg.Connection.fetch, sql, *args)
        return rows


def _require_its_own_fault(error: asyncpg.PostgresError) -> None:
    """Raises Unavailable where not the statement is to blame."""
    kind = (error.sqlstate or "")[:2]
    if kind == _COLLISION:
        raise Collided("Other changes came between; try again.") from error
    if kind in _UNWELL:
        raise Unavailable(f"The database cannot do it now: {error}") from error


def _encoded(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
