"""One slot, one occurrence: many workers, clocks that disagree, crashes between any two steps."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from uuid import uuid4

import pytest

from domain.claims import DueSeries, SeriesClaims
from domain.events import VERSION, Delivered
from domain.ids import TaskId
from domain.ports import Command, Needs, Seen, Store, Writes
from domain.recurrence.policies import Anchor, CatchUp, policies_for
from domain.recurrence.rrule_text import parse_rrule
from domain.recurrence.schedule import schedule
from domain.services.series_closings import Closings
from domain.services.series_turns import SeriesTurns
from infra.postgres.claims import PostgresSeriesClaims
from infra.postgres.inbox import PostgresInbox
from tests.recurring import START, UTC_ZONE, HandClock, Recurring, at, start
from tests.worlds import World
from workers.consumer import Consumer
from workers.recurrence import CONSUMER, Processor, handler

WORKERS = 8
RULES = ("FREQ=DAILY", "FREQ=HOURLY;INTERVAL=5", "FREQ=WEEKLY;BYDAY=MO,WE,FR", "FREQ=MONTHLY")
BEGIN, END = at("2027-01-01T00:00"), at("2027-03-01T00:00")


class Dying:
    """A store whose process dies now and then: before or after it looks, or writes."""

    def __init__(self, store: Store, random: Random, share: float) -> None:
        self._store = store
        self._random = random
        self.share = share

    async def load(self, command: Command, needs: Needs) -> Seen:
        self._die()
        seen = await self._store.load(command, needs)
        self._die()
        return seen

    async def flush(self, command: Command, writes: Writes) -> int:
        self._die()
        head = await self._store.flush(command, writes)
        self._die()
        return head

    def _die(self) -> None:
        if self._random.random() < self.share:
            # What stops a task at once, past every handler of errors.
            raise asyncio.CancelledError


class Unclaimed:
    """Claims that hold nobody off: every worker works on everything that is due."""

    def __init__(self, claims: SeriesClaims) -> None:
        self._claims = claims

    async def claim(self, now: object, limit: int, seconds: float) -> list[DueSeries]:
        return list(await self._claims.claim(now, limit, 0.0))  # type: ignore[arg-type]

    async def hold(self, ids: object, seconds: float) -> None:
        pass


@dataclass
class Worker:
    clock: HandClock
    store: Dying
    processor: Processor

    async def tick(self) -> None:
        try:
            await self.processor.tick()
        except asyncio.CancelledError:
            # It is started again; what it did not do, somebody does.
            task = asyncio.current_task()
            assert task is not None
            assert not task.cancelling()


def _worker(world: World, random: Random) -> Worker:
    clock = HandClock(BEGIN)
    store = Dying(world.store, random, share=0.08)
    claims = Unclaimed(PostgresSeriesClaims(world.lanes))
    return Worker(clock, store, Processor(claims, SeriesTurns(store, clock, uuid4), clock))


@pytest.mark.parametrize("seed", range(3))
async def test_every_slot_has_one_occurrence_whatever_workers_do(world: World, seed: int) -> None:
    random = Random(seed)
    recurring = Recurring.of(world)
    for rule in RULES:
        for policy in (CatchUp.ALL, CatchUp.ONE):
            await recurring.begin(rule, catch_up=policy)
    workers = [_worker(world, random) for _ in range(WORKERS)]

    now = BEGIN
    while now < END:
        now += timedelta(hours=random.choice([1, 5, 24, 100]))
        for worker in workers:
            # Clocks disagree, and step back.
            worker.clock.time = min(END, now + timedelta(minutes=random.randint(-90, 90)))
        await asyncio.gather(*(worker.tick() for worker in workers))
    for worker in workers:
        worker.clock.time, worker.store.share = END, 0.0
    await asyncio.gather(*(worker.tick() for worker in workers))

    await _every_slot_is_there_once(world)


async def _every_slot_is_there_once(world: World) -> None:
    for series in await world.lanes.fetch("SELECT * FROM series"):
        rule = parse_rrule(series["rule"])
        whole = schedule(rule, start(START), UTC_ZONE, policies_for(rule)).after(None)
        slots = []
        for slot in whole:
            slots.append(slot.text)
            if slot.instant > END:
                break
        ledger = await world.lanes.fetch(
            "SELECT slot, state FROM series_slot WHERE series_id = $1 ORDER BY instant",
            series["id"],
        )
        tasks = await world.lanes.fetch("SELECT slot FROM task WHERE series_id = $1", series["id"])
        spawned = [row["slot"] for row in ledger if row["state"] == "SPAWNED"]
        assert [row["slot"] for row in ledger] == slots
        assert Counter(row["slot"] for row in tasks) == Counter(spawned)
        if series["catch_up"] == "ALL":
            assert spawned == slots


@pytest.mark.parametrize("seed", range(3))
async def test_every_completion_leads_to_one_occurrence(world: World, seed: int) -> None:
    random = Random(seed)
    recurring = Recurring.of(world)
    for _ in range(4):
        await recurring.begin(anchor=Anchor.COMPLETION)
    workers = [_worker(world, random) for _ in range(WORKERS)]
    consumers = [_consumer(world, worker) for worker in workers]

    for turn in range(25):
        rows = await world.lanes.fetch("SELECT id FROM task WHERE status = 'OPEN' ORDER BY id")
        done = [TaskId(row["id"]) for row in random.sample(rows, 2)] if len(rows) > 1 else []
        for worker in workers:
            worker.clock.time = BEGIN + timedelta(days=turn)
        recurring.clock.time = BEGIN + timedelta(days=turn)
        for task in done:
            await recurring.tasks.complete(world.command(), task, None)
        head = await world.head()
        await asyncio.gather(
            *(_deliver(consumer, world, head) for consumer in consumers),
            *(worker.tick() for worker in workers),
        )
    for worker in workers:
        worker.store.share = 0.0
    await _deliver(consumers[0], world, await world.head())
    await asyncio.gather(*(worker.tick() for worker in workers))

    closed = await world.lanes.fetch("SELECT id FROM task WHERE status = 'DONE'")
    origins = await world.lanes.fetch(
        "SELECT origin FROM series_slot WHERE origin <> '00000000-0000-0000-0000-000000000000'"
    )
    assert Counter(row["origin"] for row in origins) == Counter(row["id"] for row in closed)
    assert len(closed) > 20
    assert await world.lanes.fetchval("SELECT count(*) FROM task WHERE status = 'OPEN'") == 4


def _consumer(world: World, worker: Worker) -> Consumer:
    inbox = PostgresInbox(world.lanes, new_id=uuid4, committed=lambda _id, _head: None)
    apply = handler(Closings(worker.clock), worker.processor.wake)
    return Consumer(CONSUMER, handler=apply, inbox=inbox)


async def _deliver(consumer: Consumer, world: World, seq: int) -> None:
    delivered = Delivered(stream=world.home, seq=seq, version=VERSION, change=None)
    await consumer.take(delivered)
