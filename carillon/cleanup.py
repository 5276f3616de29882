"""The daily clean-up: what is removed after which time, by whom, and `carillon cleanup`."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import uuid4

from carillon.database import Database, database, require_migrated
from carillon.secrets import soon_with_secrets
from carillon.settings import Settings
from domain.outbox import Streams, Topic
from infra.clock import SystemClock
from infra.ids import uuid7
from infra.postgres.expired import ExpiredRows, Expiry
from infra.postgres.lanes import LaneOptions, Lanes, Statements
from infra.postgres.leases import PostgresLeases
from infra.postgres.pruning import LogPruning
from infra.postgres.trash import TrashPurge
from workers.cleanup import Cleanup, Purge
from workers.timer import Timing

# A process that seldom runs a whole day cleans up too, once its start is over.
TIMING: Final = Timing(first_s=300.0, period_s=86_400.0)


def purges(settings: Settings, statements: Statements) -> Sequence[Purge]:
    """Returns all that is removed, in order: keys before the log, which holds their answers.

    A table of rows that end is one more `Expiry` here.
    """

    def rows(kind: str, table: str, past: str, keep_days: int = 0) -> ExpiredRows:
        expiry = Expiry(kind=kind, table=table, past=past, keep=timedelta(days=keep_days))
        return ExpiredRows(expiry, statements)

    def log(streams: Streams) -> LogPruning:
        topics = () if settings.dapr_url is None else tuple(Topic)
        return LogPruning(
            streams,
            statements,
            keep=timedelta(days=settings.keep_log_days),
            consumers=[topic.consumer for topic in topics if topic.streams is streams],
        )

    return (
        rows("idempotency_keys", "idempotency", "at < {at}", settings.keep_idempotency_keys_days),
        log(Streams.WORKSPACES),
        log(Streams.USERS),
        rows(
            "sessions",
            "session",
            "least(revoked_at, expires_at) < {at}",
            settings.keep_sessions_days,
        ),
        # Both index conditions are spelt as their indexes are.
        rows(
            "deliveries",
            "delivery",
            "state NOT IN ('PENDING', 'CLAIMED') AND fire_at < {at}",
            settings.keep_notifications_days,
        ),
        rows(
            "notifications",
            "notification",
            "(read_at IS NOT NULL OR archived_at IS NOT NULL) AND created_at < {at}",
            settings.keep_notifications_days,
        ),
        # These two tell the time by the database's clock.
        rows("state", "state", "expires_at < least({at}, now())"),
        rows("leases", "lease", "until < least({at}, now())"),
        TrashPurge(statements, keep=timedelta(days=settings.keep_trash_days), new_id=uuid7),
    )


@asynccontextmanager
async def cleanup(settings: Settings, found: Database) -> AsyncIterator[Cleanup]:
    """Yields the clean-up, with a lane of its own for as long as it takes."""
    options = LaneOptions(
        size=1,
        name="carillon cleanup",
        pooler=settings.database_pooler,
    )
    async with Lanes(found.url, options) as lanes:
        yield Cleanup(
            purges(settings, lanes),
            leases=PostgresLeases(lanes),
            clock=SystemClock(),
            owner=uuid4(),
        )


async def clean(settings: Settings, found: Database) -> None:
    """Cleans up once, unless another process is at it."""
    async with cleanup(settings, found) as one:
        await one.run()


async def command(settings: Settings) -> int:
    """Cleans up and prints a line for each kind; returns 1 where another process is at it.

    Raises:
        Unfit: the database cannot be used, or lacks migrations.
    """
    settings = await soon_with_secrets(settings)
    async with database(settings, attach=True) as found:
        await require_migrated(found)
        async with cleanup(settings, found) as one:
            removed = await one.run()
    if removed is None:
        sys.stderr.write("carillon: Another process is cleaning up at the moment.\n")
        return 1
    for kind, count in removed.items():
        sys.stdout.write(f"{kind}: {count:,} removed\n")
    return 0
