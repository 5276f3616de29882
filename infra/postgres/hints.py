"""Hints between processes on one database: what was committed, so that nobody waits for a poll.

A hint may be lost, late or doubled; polling finds what it told of. It is never part of a mutation's
transaction: PostgreSQL lets such transactions commit only one after the other, over the whole
database.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from uuid import UUID

import asyncpg
import orjson

from domain.errors import Unavailable
from infra.postgres.connecting import connect
from infra.postgres.lanes import Statements

log = logging.getLogger(__name__)

CHANNEL = "carillon"
# A payload has at most 8,000 bytes; one pair takes up to 60.
PAIRS_MAX = 120
# The server's word that a silent connection is still there.
ALIVE_EVERY_S = 15.0
ANSWER_WAIT_S = 5.0
RETRY_FIRST_S = 0.2
RETRY_LAST_S = 10.0

_NOTIFY = f"SELECT pg_notify('{CHANNEL}', $1)"


class HintSender:
    """Sends hints, those that come while one is under way together in the next."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._waiting: dict[UUID, int] = {}
        self._some = asyncio.Event()

    def committed(self, stream: UUID, seq: int) -> None:
        """Learns that `seq` was committed."""
        self._waiting[stream] = max(seq, self._waiting.get(stream, 0))
        self._some.set()

    async def run(self) -> None:
        """Works until cancelled; a hint that cannot be sent is dropped."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                pairs = [self._waiting.popitem() for _ in range(min(PAIRS_MAX, len(self._waiting)))]
                text = orjson.dumps({str(stream): seq for stream, seq in pairs}).decode()
                try:
                    await self._statements.fetchval(_NOTIFY, text)
                except (Unavailable, asyncpg.PostgresError):
                    log.debug("hints.dropped", exc_info=True)


class HintListener:
    """Hears the hints of all processes; needs a connection that keeps its session."""

    def __init__(self, url: str, hear: Callable[[UUID, int], None]) -> None:
        self._url = url
        self._hear = hear

    async def run(self) -> None:
        """Works until cancelled; while the connection is away, hints are missed."""
        wait = RETRY_FIRST_S
        away = False
        while True:
            try:
                connection = await connect(self._url, timeout=ANSWER_WAIT_S)
                try:
                    await connection.add_listener(CHANNEL, self._heard)
                    if away:
                        log.info("hints.recovered")
                    wait, away = RETRY_FIRST_S, False
                    while True:
                        await asyncio.sleep(ALIVE_EVERY_S)
                        await connection.execute("SELECT 1", timeout=ANSWER_WAIT_S)
                finally:
                    connection.terminate()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if not away:
                    log.warning("hints.failed", exc_info=error)
                away = True
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                wait = min(RETRY_LAST_S, 2 * wait)

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        try:
            pairs = orjson.loads(payload).items()
            for stream, seq in [(UUID(stream), int(seq)) for stream, seq in pairs]:
                self._hear(stream, seq)
        except (ValueError, AttributeError, TypeError):
            # Anybody who may connect may notify: what is no hint of ours is none.
            log.warning("hints.strange", extra={"payload": payload[:100]})
