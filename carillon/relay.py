"""The relay: what `carillon relay` is composed of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

from carillon import telemetry
from carillon.cleanup import clean
from carillon.database import Database
from carillon.running import readiness, running
from carillon.secrets import sidecar_of
from carillon.settings import NotConfigured, Settings, plain
from domain.outbox import Topic
from infra.clock import SystemClock
from infra.dapr.publisher import DaprPublisher
from infra.postgres.backlog import PostgresBacklog
from infra.postgres.hints import HintListener
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.leases import PostgresLeases
from workers.app import Worker, WorkerApplication
from workers.relay import Relay
from workers.routes import PUBSUB
from workers.routes import RELAY as APP
from workers.shards import Shards

# For each topic a look and as many reads as calls are under way; the leases beside.
LANES = 8


@asynccontextmanager
async def relay(settings: Settings, found: Database) -> AsyncIterator[WorkerApplication]:
    """Yields the relay's application; it publishes from the time its sidecar is ready.

    Raises:
        NotConfigured: there is no sidecar to publish through.
    """
    if settings.dapr_url is None or settings.database_url is None:
        raise NotConfigured("The relay needs CARILLON_DATABASE_URL and CARILLON_DAPR_URL.")
    async with AsyncExitStack() as stack:
        options = LaneOptions(size=LANES, name="carillon relay", pooler=settings.database_pooler)
        lanes = await stack.enter_async_context(Lanes(found.url, options))
        sidecar = await stack.enter_async_context(sidecar_of(settings))
        shards = Shards(PostgresLeases(lanes), group="relay", owner=uuid4())
        relays = [
            Relay(
                topic,
                backlog=PostgresBacklog(lanes),
                publisher=DaprPublisher(sidecar, PUBSUB),
                shards=shards,
                clock=SystemClock(),
            )
            for topic in Topic
        ]

        async def publish() -> None:
            await sidecar.ready()
            async with asyncio.TaskGroup() as group:
                group.create_task(shards.run())
                for one in relays:
                    group.create_task(one.run())

        def wake(_stream: UUID, _seq: int) -> None:
            for one in relays:
                one.wake()

        async def clean_up() -> None:
            await clean(settings, found)

        works = [publish()]
        if found.direct_url is not None:
            works.append(HintListener(found.direct_url, wake).run())
        await stack.enter_async_context(running(*works))
        yield WorkerApplication(
            Worker(
                ticks={APP.bindings["daily-cleanup"]: clean_up},
                ready=readiness(lanes, sidecar),
                metrics=telemetry.metrics,
                token=plain(settings.app_api_token),
            )
        )
