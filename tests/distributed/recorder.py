"""A worker in recurrence's place that records what it applies, in the transaction of its position.

python -m tests.distributed.recorder --host H --port P     settings by the environment, as a worker

Its tables must be there. A row of `applied` is one application: one too many, one missing or one
out of order is what the scanner looks for. Changes of a task titled "poison ..." fail while the
table `poison` has a row.
"""

import argparse
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from carillon import serve, telemetry
from carillon.database import Database
from carillon.running import readiness, running
from carillon.secrets import sidecar_of
from carillon.settings import Settings, plain
from domain.changes import Change
from domain.inbox import Turn
from domain.outbox import Topic
from infra.dapr.dead_letters import DaprDeadLetters
from infra.envelope import delivered
from infra.ids import uuid7
from infra.postgres.backlog import PostgresBacklog
from infra.postgres.inbox import PostgresInbox, PostgresTurn
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.leases import PostgresLeases
from workers.app import Worker, WorkerApplication
from workers.consumer import Consumer
from workers.deliveries import deliveries
from workers.follower import CATCH_UP_S, Follower, Overdue
from workers.routes import PUBSUB, RECURRENCE
from workers.shards import Shards

TABLES = """
CREATE TABLE applied (nr bigint GENERATED ALWAYS AS IDENTITY, stream uuid, seq bigint);
CREATE TABLE poison (works boolean)"""
NAME = "recorder"
RECORD = "INSERT INTO applied (stream, seq) VALUES ($1, $2)"


async def record(change: Change, turn: Turn) -> None:
    """Leaves one row, or fails where the change is poison."""
    assert isinstance(turn, PostgresTurn)
    await turn.statements.fetchval(RECORD, change.stream, change.seq)
    title = json.loads(change.payload).get("title", "")
    if title.startswith("poison") and await turn.statements.fetchval(
        "SELECT true FROM poison LIMIT 1"
    ):
        raise RuntimeError("poison")


@asynccontextmanager
async def recorder(settings: Settings, found: Database) -> AsyncIterator[WorkerApplication]:
    """Composes the worker as a real one is."""
    async with AsyncExitStack() as stack:
        options = LaneOptions(size=8, name="recorder")
        lanes = await stack.enter_async_context(Lanes(found.url, options))
        sidecar = await stack.enter_async_context(sidecar_of(settings))
        assert RECURRENCE.dead_letters is not None
        inbox = PostgresInbox(lanes, new_id=uuid7, committed=lambda _stream, _seq: None)
        consumer = Consumer(NAME, handler=record, inbox=inbox)
        letters = DaprDeadLetters(sidecar, PUBSUB, RECURRENCE.dead_letters)
        shards = Shards(PostgresLeases(lanes), group=NAME, owner=uuid7())
        follower = Follower(
            consumer,
            lambda _change: True,
            backlog=Overdue(PostgresBacklog(lanes)),
            shards=shards,
            poll_s=CATCH_UP_S,
        )
        await stack.enter_async_context(running(shards.run(), follower.run()))

        path = RECURRENCE.subscriptions[Topic.TASK_EVENTS]
        yield WorkerApplication(
            Worker(
                events={path: deliveries(consumer, letters, delivered)},
                ticks={"/recurring-processor": _idle},
                calls={"redrive": lambda _given: _redriven(consumer)},
                ready=readiness(lanes, sidecar),
                metrics=telemetry.metrics,
                token=plain(settings.app_api_token),
            )
        )


async def _idle() -> None:
    """Does nothing: redrive is for the test to ask for."""


async def _redriven(consumer: Consumer) -> object:
    return (await consumer.redrive())._asdict()


def main() -> int:
    """Runs until it is asked to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    settings = Settings(host=given.host, port=given.port)
    telemetry.configure(settings)
    telemetry.measure()
    process = serve.Process(name="recorder", port=RECURRENCE.port, compose=recorder)
    return serve.serve(process, settings, since=time.monotonic())


if __name__ == "__main__":
    sys.exit(main())
