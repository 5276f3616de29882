"""Reminders: a tick beside a million that wait, claims and deliveries a second, lateness.

The ledger and the worker are the product's, on an embedded server of their own; mail goes to a
server of the tests' in the same process, so that its figure is a lower bound.
"""

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from domain.channels import ChannelName
from infra.clock import SystemClock
from infra.ids import uuid7
from infra.mail import Mail, mail_server
from infra.postgres.embedded import embedded_postgres
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.ledger import Addresses, PostgresLedger
from infra.postgres.migrate import upgrade
from tests.mail_server import post
from workers.notifications import Notifier
from workers.providers import Providers
from workers.sending import Sending, Ways

PEOPLE = 1_000
WAITING = 1_000_000
TICKS = 50
CLAIMED = 20_000
SENT = 2_000
SPREAD_S = 20.0

_PEOPLE = """
INSERT INTO account (id, email, email_key, name, time_zone, password_hash, created_at)
SELECT id, id || '@example.com', id || '@example.com', 'Ada', 'UTC', '', now()
FROM unnest($1::uuid[]) AS id"""
# A test says the same to everybody and needs no task.
_ROWS = """
INSERT INTO delivery (id, category, source, recipient, channel, root_at, due_at, fire_at, state,
    attempts, nag, is_late, is_unsure, maybe_repeated)
SELECT gen_random_uuid(), 'TEST', gen_random_uuid(), ($1::uuid[])[1 + n % $2], $3, at, at, at,
    'PENDING', 0, 0, false, false, false
FROM generate_series(0, $4 - 1) AS n,
    LATERAL (SELECT $5::timestamptz + n * $6::interval) AS t(at)"""

_LEFT = "SELECT EXISTS (SELECT FROM delivery WHERE state IN ('PENDING', 'CLAIMED'))"


class World:
    """A database with people, and a worker's way to its ledger."""

    def __init__(self, lanes: Lanes, people: list[UUID]) -> None:
        self.lanes = lanes
        self.people = people
        self.clock = SystemClock()

    def ledger(self) -> PostgresLedger:
        """Returns another worker's way."""
        addresses = Addresses(link=lambda _task: None, unsubscribe=lambda _user, _category: None)
        return PostgresLedger(
            self.lanes, self.clock, addresses, new_id=uuid7, committed=lambda _s, _n: None
        )

    async def put(self, channel: ChannelName, count: int, at: datetime, apart: timedelta) -> None:
        """Adds deliveries that are due one after the other."""
        args = (self.people, len(self.people), channel.value, count, at, apart)
        await self.lanes.fetchval(_ROWS, *args)

    async def emptied(self) -> None:
        """Returns when all are sent."""
        while await self.lanes.fetchval(_LEFT):  # noqa: ASYNC110 - another process may send
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Yields a new database."""
    with tempfile.TemporaryDirectory(prefix="carillon-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # noqa: ASYNC240 - nothing else runs yet
        async with embedded_postgres(folder / "data") as url:
            await upgrade(url)
            people = [uuid4() for _ in range(PEOPLE)]
            options = LaneOptions(size=6, statement_timeout_ms=300_000)
            async with Lanes(url, options) as lanes:
                await lanes.fetchval(_PEOPLE, people)
                yield World(lanes, people)


@contextlib.contextmanager
def timed(taken: list[float]) -> Iterator[None]:
    """Adds how long the block took, in milliseconds."""
    started = time.perf_counter()
    yield
    taken.append((time.perf_counter() - started) * 1_000)


async def ticks(found: World) -> None:
    """A tick that finds nothing, and one that finds ten, beside a million that wait."""
    later = found.clock.now() + timedelta(days=1)
    await found.put(ChannelName.EMAIL, WAITING, later, timedelta(seconds=1))
    await found.lanes.fetchval("ANALYZE delivery")
    ledger = found.ledger()
    idle: list[float] = []
    busy: list[float] = []
    for _ in range(TICKS):
        with timed(idle):
            assert not await ledger.claim(found.clock.now(), 100, [])
        await found.put(ChannelName.EMAIL, 10, found.clock.now(), timedelta())
        with timed(busy):
            claims = await ledger.claim(found.clock.now(), 100, [])
        assert len(claims) == 10
        await found.lanes.fetchval("DELETE FROM delivery WHERE state = 'CLAIMED'")
    for name, taken in (("that finds nothing", idle), ("that claims 10", busy)):
        p99 = statistics.quantiles(taken, n=100)[98]
        print(
            f"a tick {name}, {WAITING:,} wait: p50 {statistics.median(taken):.1f} ms,"
            f" p99 {p99:.1f} ms"
        )
    await found.lanes.fetchval("TRUNCATE delivery")


async def claims(found: World) -> None:
    """How fast one worker claims what is due."""
    ledger, known = found.ledger(), []
    await found.put(ChannelName.EMAIL, CLAIMED, found.clock.now(), timedelta())
    started, count = time.perf_counter(), 0
    while some := await ledger.claim(found.clock.now(), 1_000, known):
        count += len(some)
        known.append(some[0].token)
    print(f"claims: {count / (time.perf_counter() - started):,.0f}/s by one worker, 1,000 at once")
    await found.lanes.fetchval("TRUNCATE delivery")


async def deliveries(found: World, ways: Ways, channel: ChannelName) -> None:
    """How many one worker sends a second, all of them due at once."""
    notifier = Notifier(
        found.ledger(), Sending(ways, Providers(found.clock), found.clock), found.clock
    )
    await found.put(channel, SENT, found.clock.now(), timedelta())
    started = time.perf_counter()
    running = asyncio.create_task(notifier.run())
    await found.emptied()
    took = time.perf_counter() - started
    await notifier.stop()
    running.cancel()
    print(f"{channel.value}: {SENT / took:,.0f} deliveries/s by one worker")
    await found.lanes.fetchval("TRUNCATE delivery")


async def lateness(found: World) -> None:
    """How late each is in the feed, of so many spread over some time."""
    notifier = Notifier(
        found.ledger(), Sending(Ways(), Providers(found.clock), found.clock), found.clock
    )
    await found.lanes.fetchval("TRUNCATE notification")
    apart = timedelta(seconds=SPREAD_S / SENT)
    await found.put(ChannelName.IN_APP, SENT, datetime.now(UTC) + timedelta(seconds=2), apart)
    running = asyncio.create_task(notifier.run())
    await found.emptied()
    await notifier.stop()
    running.cancel()
    rows: list[asyncpg.Record] = await found.lanes.fetch(
        "SELECT n.created_at - d.due_at AS late FROM notification n JOIN delivery d USING (id)"
    )
    late = sorted(row["late"].total_seconds() * 1_000 for row in rows)
    cut = statistics.quantiles(late, n=100)
    print(
        f"lateness of {len(late):,} at {SENT / SPREAD_S:,.0f}/s: first {late[0]:.1f} ms,"
        f" p50 {cut[49]:.1f} ms, p99 {cut[98]:.1f} ms, last {late[-1]:.1f} ms"
    )


async def main() -> None:
    """Prints the figures."""
    async with world() as found, post() as mail_box, Mail(mail_server(mail_box.url)) as mail:
        await ticks(found)
        await claims(found)
        await deliveries(found, Ways(), ChannelName.IN_APP)
        await deliveries(found, Ways(mail=mail), ChannelName.EMAIL)
        await lateness(found)
