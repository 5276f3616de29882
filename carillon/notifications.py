"""The notifications worker: what `carillon worker notifications` is composed of."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

from carillon import telemetry
from carillon.database import Database
from carillon.notifying import notifying
from carillon.running import readiness
from carillon.secrets import sidecar_of
from carillon.settings import Settings, plain
from infra.clock import SystemClock
from infra.dapr.dead_letters import DaprDeadLetters
from infra.envelope import delivered
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.trials import PostgresTrials
from workers.app import Event, Worker, WorkerApplication
from workers.deliveries import deliveries
from workers.routes import NOTIFICATIONS, PUBSUB
from workers.trials import Trials
from workers.waker import Waker

LANES = 2


@asynccontextmanager
async def notifications(settings: Settings, found: Database) -> AsyncIterator[WorkerApplication]:
    """Yields the worker's application; without a sidecar it works by its own timer alone."""
    async with AsyncExitStack() as stack:
        options = LaneOptions(size=LANES, name="carillon ask", pooler=settings.database_pooler)
        lanes = await stack.enter_async_context(Lanes(found.url, options))
        notifier = await stack.enter_async_context(notifying(settings, found, _nobody))
        clock = SystemClock()
        events: dict[str, Event] = {}
        sidecar = None
        if settings.dapr_url is not None:
            sidecar = await stack.enter_async_context(sidecar_of(settings))
            letters = DaprDeadLetters(sidecar, PUBSUB, NOTIFICATIONS.dead_letters or "")
            events = {
                path: deliveries(
                    Waker(f"notifications:{topic}", notifier.wake, clock), letters, delivered
                )
                for topic, path in NOTIFICATIONS.subscriptions.items()
            }
        trials = Trials(PostgresTrials(lanes), notifier.wake)
        yield WorkerApplication(
            Worker(
                events=events,
                ticks=dict.fromkeys(NOTIFICATIONS.bindings.values(), notifier.tick),
                calls={"send-test": trials.send_test, "delivery-state": trials.delivery_state},
                ready=readiness(lanes, sidecar),
                metrics=telemetry.metrics,
                token=plain(settings.app_api_token),
            )
        )


def _nobody(_stream: UUID, _seq: int) -> None:
    """Who follows the log finds by polling, or by the topics, what is written here."""
