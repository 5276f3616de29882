"""What makes occurrences: within `carillon serve`, or as `carillon worker recurrence`."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any
from uuid import UUID, uuid4

from carillon import recurrence_preview, telemetry
from carillon.database import Database
from carillon.running import readiness, running
from carillon.secrets import sidecar_of
from carillon.settings import NotConfigured, Settings, plain
from domain.errors import invalid
from domain.ids import SeriesId, parse_uuid
from domain.inbox import Inbox
from domain.outbox import Topic
from domain.ports import Store
from domain.services.series_closings import Closings, concerns
from domain.services.series_turns import SeriesTurns
from domain.services.zone_changes import ZoneChanges
from infra.clock import SystemClock
from infra.dapr.dead_letters import DaprDeadLetters
from infra.dapr.sidecar import Sidecar
from infra.envelope import delivered
from infra.ids import uuid7
from infra.postgres.backlog import PostgresBacklog
from infra.postgres.claims import PostgresSeriesClaims
from infra.postgres.hints import HintListener, HintSender
from infra.postgres.inbox import PostgresInbox
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.leases import PostgresLeases
from infra.postgres.store import PostgresStore
from infra.postgres.zone_data import PostgresZoneData
from workers.app import Event, Worker, WorkerApplication
from workers.consumer import Consumer
from workers.deliveries import deliveries
from workers.follower import CATCH_UP_S, POLL_S, Follower, Overdue
from workers.recurrence import CONSUMER, TICK_S, Processor, handler
from workers.routes import PUBSUB, RECURRENCE
from workers.shards import Shards
from workers.zone_data import ZoneDataWatch

# Turns of as many workspaces as are taken at once, with their looks; consumers beside.
LANES = 8


class Recurrence:
    """The parts that make occurrences, over one database.

    With a sidecar that ticks and delivers, only what it did not bring is looked for.
    """

    def __init__(
        self, lanes: Lanes, store: Store, inbox: Inbox, *, has_sidecar: bool = False
    ) -> None:
        clock = SystemClock()
        turns = SeriesTurns(store, clock, uuid7)
        self.processor = Processor(PostgresSeriesClaims(lanes), turns, clock)
        self.consumer = consumer(inbox, self.processor.wake)
        self.shards = Shards(PostgresLeases(lanes), group=CONSUMER, owner=uuid4())
        backlog = PostgresBacklog(lanes)
        self.follower = Follower(
            self.consumer,
            concerns,
            backlog=Overdue(backlog) if has_sidecar else backlog,
            shards=self.shards,
            poll_s=CATCH_UP_S if has_sidecar else POLL_S,
        )
        # A completion is not kept waiting for the sidecar's tick.
        self._tick_s = None if has_sidecar else TICK_S
        self.zone_data = ZoneDataWatch(
            version("tzdata"),
            dependents=PostgresZoneData(lanes),
            changes=ZoneChanges(store, clock),
            leases=PostgresLeases(lanes),
            owner=uuid4(),
            clock=clock,
        )

    def heard(self, _stream: UUID, _seq: int) -> None:
        """Learns that something was committed, here or elsewhere."""
        self.follower.wake()

    def works(self) -> list[Coroutine[None, None, None]]:
        """Returns what has to run all the time."""
        return [
            *(self.processor.run(self._tick_s), self.follower.run(), self.shards.run()),
            self.zone_data.run(),
        ]


def consumer(inbox: Inbox, wake: Callable[[], None] = lambda: None) -> Consumer:
    """Returns the consumer of the log; `wake` learns that a series has its turn."""
    return Consumer(CONSUMER, handler=handler(Closings(SystemClock()), wake), inbox=inbox)


@asynccontextmanager
async def recurrence(settings: Settings, found: Database) -> AsyncIterator[WorkerApplication]:
    """Yields the worker: ticks and events by its sidecar; without one, by timer and from the log.

    What the sidecar gave up on comes from the log, too.

    Raises:
        NotConfigured: there is no database that it could share with the API.
    """
    if settings.database_url is None:
        raise NotConfigured("The worker needs CARILLON_DATABASE_URL.")
    async with AsyncExitStack() as stack:
        options = LaneOptions(
            size=LANES, name="carillon recurrence", pooler=settings.database_pooler
        )
        lanes = await stack.enter_async_context(Lanes(found.url, options))
        hints = HintSender(lanes)
        has_sidecar = settings.dapr_url is not None
        parts = _parts(lanes, hints.committed, has_sidecar=has_sidecar)
        works = [hints.run(), *parts.works()]
        sidecar = None
        if has_sidecar:
            sidecar = await stack.enter_async_context(sidecar_of(settings))
        elif found.direct_url is not None:
            works.append(HintListener(found.direct_url, parts.heard).run())
        await stack.enter_async_context(running(*works))
        yield WorkerApplication(
            Worker(
                events={} if sidecar is None else _events(parts.consumer, sidecar),
                ticks=dict.fromkeys(RECURRENCE.bindings.values(), parts.processor.tick),
                calls={"preview": _preview, "run-now": lambda given: _run_now(parts, given)},
                ready=readiness(lanes, sidecar),
                metrics=telemetry.metrics,
                token=plain(settings.app_api_token),
            )
        )


def _parts(
    lanes: Lanes, committed: Callable[[UUID, int], None], *, has_sidecar: bool
) -> Recurrence:
    store = PostgresStore(lanes, lanes, new_id=uuid7, committed=committed)
    inbox = PostgresInbox(lanes, new_id=uuid7, committed=committed)
    return Recurrence(lanes, store, inbox, has_sidecar=has_sidecar)


def _events(consumer: Consumer, sidecar: Sidecar) -> dict[str, Event]:
    letters = DaprDeadLetters(sidecar, PUBSUB, str(RECURRENCE.dead_letters))
    return {RECURRENCE.subscriptions[Topic.TASK_EVENTS]: deliveries(consumer, letters, delivered)}


async def _preview(given: Any) -> object:
    """Answers what `carillon recurrence preview --batch` answers for a line."""
    if not isinstance(given, dict):
        raise invalid('Send an object, such as {"cron": "@daily", "timezone": "UTC", ...}.')
    return recurrence_preview.answer(given)


async def _run_now(parts: Recurrence, given: Any) -> object:
    """Carries out what is due, also what failed and was put off: of all series, or of one."""
    wanted = given.get("series") if isinstance(given, dict) else None
    series = parse_uuid(wanted) if isinstance(wanted, str) else None
    if wanted is not None and series is None:
        raise invalid("Send the id of a series, or nothing: {}.", "series")
    if series is not None:
        await parts.processor.again(SeriesId(series))
    await parts.processor.tick()
    return {"done": True}
