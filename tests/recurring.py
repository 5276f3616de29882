"""A workspace whose series have turns when a test says so, by a clock that the test sets."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import asyncpg

from domain.events import VERSION, Delivered
from domain.ids import TaskId
from domain.ports import Store
from domain.recurrence.local_text import local_time
from domain.recurrence.policies import Choices
from domain.recurrence.rule import LocalStart
from domain.recurrence_draft import RecurrenceDraft
from domain.services.mutations import Mutations
from domain.services.occurrences import OccurrenceService, Scope
from domain.services.series import SeriesService
from domain.services.series_closings import Closings
from domain.services.series_turns import SeriesTurns
from domain.services.task_patch import TaskPatch
from domain.services.tasks import TaskService
from infra.postgres.claims import PostgresSeriesClaims
from infra.postgres.inbox import PostgresInbox
from tests.worlds import World
from workers.consumer import Consumer
from workers.recurrence import CONSUMER, Processor, handler

UTC_ZONE = ZoneInfo("UTC")
START = "2027-01-01T09:00"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def start(text: str) -> LocalStart:
    found = local_time(text)
    assert found is not None
    return LocalStart(found.day, found.at)


@dataclass
class HandClock:
    """A clock that the test sets."""

    time: datetime

    def now(self) -> datetime:
        return self.time


@dataclass
class Recurring:
    """A world with a processor and a consumer of the log."""

    world: World
    clock: HandClock
    tasks: TaskService
    occurrences: OccurrenceService
    edits: SeriesService
    processor: Processor
    consumer: Consumer

    @classmethod
    def of(cls, world: World, *, store: Store | None = None) -> "Recurring":
        """Returns a world of this kind; its processor works on the store."""
        clock = HandClock(at("2026-12-31T12:00"))
        turns = SeriesTurns(store or world.store, clock, uuid4)
        processor = Processor(PostgresSeriesClaims(world.lanes), turns, clock)
        mutations = Mutations(world.store, clock)
        inbox = PostgresInbox(world.lanes, new_id=uuid4, committed=lambda _id, _head: None)
        return cls(
            world=world,
            clock=clock,
            tasks=TaskService(mutations, uuid4),
            occurrences=OccurrenceService(mutations, uuid4),
            edits=SeriesService(mutations, world.store, clock),
            processor=processor,
            consumer=Consumer(
                CONSUMER, handler=handler(Closings(clock), processor.wake), inbox=inbox
            ),
        )

    async def begin(self, rule: str = "FREQ=DAILY", *, begins: str = START, **given: Any) -> TaskId:
        """Creates a recurring task; the policies are among what is given."""
        policies = {
            name: given.pop(name) for name in ("anchor", "catch_up", "open") if name in given
        }
        draft = RecurrenceDraft(
            rule=rule, start=start(begins), zone=UTC_ZONE, choices=Choices(**policies)
        )
        return await self.create(recurrence=draft, **given)

    async def create(self, title: str = "Water", **patch: Any) -> TaskId:
        given = replace(TaskPatch(title=title), **patch)
        made = await self.tasks.create(self.world.command(), self.world.home, None, given)
        return TaskId(made.subject)

    async def update(self, task: TaskId, **patch: Any) -> None:
        await self.tasks.update(self.world.command(), task, TaskPatch(**patch), None)

    async def edit(self, task: TaskId, scope: Scope, **patch: Any) -> None:
        """Changes more than the one task."""
        given = TaskPatch(**patch)
        await self.occurrences.update(self.world.command(), task, given, None, scope)

    async def tick(self, time: str) -> None:
        self.clock.time = at(time)
        await self.processor.tick()

    async def settle(self) -> None:
        """Gives the consumer all of the log, and the processor what follows from it."""
        seq = await self.world.head()
        delivered = Delivered(stream=self.world.home, seq=seq, version=VERSION, change=None)
        await self.consumer.take(delivered)
        await self.processor.tick()

    async def complete(self, task: TaskId, time: str | None = None) -> None:
        if time is not None:
            self.clock.time = at(time)
        await self.tasks.complete(self.world.command(), task, None)
        await self.settle()

    async def reopen(self, task: TaskId) -> None:
        await self.tasks.reopen(self.world.command(), task, None)
        await self.settle()

    async def delete(self, task: TaskId) -> None:
        await self.tasks.delete(self.world.command(), task, None)
        await self.settle()

    async def shown(self) -> list[tuple[str, str]]:
        """Returns slot and status of the occurrences that are not in the trash, by their slots."""
        rows = await self.world.lanes.fetch(
            "SELECT slot, status FROM task WHERE slot IS NOT NULL AND deleted_at IS NULL"
            ' ORDER BY slot COLLATE "C", created_at'
        )
        return [(row["slot"][5:], row["status"]) for row in rows]

    async def open(self) -> list[str]:
        return [slot for slot, status in await self.shown() if status == "OPEN"]

    async def slots(self, state: str) -> list[str]:
        rows = await self.world.lanes.fetch(
            "SELECT slot FROM series_slot WHERE state = $1 ORDER BY slot", state
        )
        return [row["slot"][5:] for row in rows]

    async def series(self) -> asyncpg.Record:
        (row,) = await self.world.lanes.fetch("SELECT * FROM series")
        return row

    async def task(self, slot: str) -> asyncpg.Record:
        """Returns the live occurrence of that slot of 2027."""
        row = await self.world.lanes.fetchrow(
            "SELECT * FROM task WHERE slot = $1 AND deleted_at IS NULL", f"2027-{slot}"
        )
        assert row is not None, slot
        return row

    async def kinds(self) -> list[str]:
        return [row["kind"] for row in await self.world.log()]
