"""Overdue notices and digests: made once, for whom they are, and sent with what is true then."""

import asyncio
from dataclasses import replace
from datetime import datetime, time, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from domain.channels import Category, ChannelName, Content
from domain.ids import UserId
from domain.preferences import Preferences
from domain.services.task_patch import DueDraft, TaskPatch
from domain.tasks import Status
from domain.workspaces import Role
from infra.postgres.ledger import Addresses, PostgresLedger
from infra.postgres.notices import LAG, PostgresNotices
from infra.postgres.wishes import PostgresWishes
from tests.worlds import AT, World

PARIS = ZoneInfo("Europe/Paris")
HOUR = timedelta(hours=1)


def nobody(_stream: UUID, _seq: int) -> None: ...


def notices(world: World) -> PostgresNotices:
    return PostgresNotices(world.lanes, new_id=uuid4, committed=nobody)


def due(at: datetime) -> DueDraft:
    local = at.astimezone(PARIS)
    return DueDraft(day=local.date(), at=local.time(), zone=PARIS)


async def rows(world: World) -> list[tuple[UUID, str, datetime]]:
    found = await world.lanes.fetch(
        "SELECT recipient, channel, due_at FROM delivery ORDER BY due_at, channel"
    )
    return [(row["recipient"], row["channel"], row["due_at"]) for row in found]


async def choose(world: World, user: UserId, category: Category, *channels: ChannelName) -> None:
    def change(old: Preferences) -> Preferences:
        return replace(old, chosen={(category, channel): True for channel in channels})

    wishes = PostgresWishes(world.lanes, new_id=uuid4, committed=nobody)
    await wishes.choose(user, change, AT)


async def test_a_task_that_becomes_overdue_is_told_once(world: World) -> None:
    maker, other = notices(world), notices(world)
    assert await maker.overdue(AT) == 0
    await world.task("late", due=due(AT + HOUR))
    await world.task("later", due=due(AT + 2 * HOUR))
    done = await world.task("done", due=due(AT + HOUR))
    await world.tasks.update(world.command(), done, TaskPatch(status=Status.DONE), None)

    assert await maker.overdue(AT + HOUR) == 0
    seen = await asyncio.gather(*(one.overdue(AT + HOUR + LAG) for one in (maker, other)))
    again = await maker.overdue(AT + HOUR + LAG)

    assert (sorted(seen), again) == ([0, 1], 0)
    # In a workspace of one's own, what is nobody's is one's own.
    assert await rows(world) == [(world.ada, "IN_APP", AT + HOUR)]


async def test_it_is_told_to_whom_it_is_assigned_by_their_channels(world: World) -> None:
    bob, _ = await world.sign_up("Bob")
    await world.workspaces.add_member(
        world.command(), world.home, f"{bob}@example.com", Role.MEMBER
    )
    await choose(world, bob, Category.OVERDUE, ChannelName.PUSH)
    maker = notices(world)
    await maker.overdue(AT)
    mine = await world.task("Bob's", due=due(AT + HOUR))
    await world.tasks.update(world.command(actor=bob), mine, TaskPatch(assignee=bob), None)
    await world.task("nobody's", due=due(AT + HOUR))

    assert await maker.overdue(AT + 2 * HOUR) == 2

    assert await rows(world) == [(bob, "IN_APP", AT + HOUR), (bob, "PUSH", AT + HOUR)]


async def test_a_digest_is_there_for_who_wants_it_and_says_what_is_due(world: World) -> None:
    await choose(world, world.ada, Category.DIGEST, ChannelName.EMAIL)
    maker, other = notices(world), notices(world)
    await asyncio.gather(maker.digests(AT), other.digests(AT))
    await maker.digests(AT)
    # The next 07:00 in Paris.
    when = datetime.combine(AT.date() + timedelta(days=1), time(7), PARIS)
    assert await rows(world) == [(world.ada, "EMAIL", when)]

    await world.task("today", due=due(when + HOUR))
    await world.task("whole day", due=DueDraft(day=when.date(), zone=PARIS))
    await world.task("yesterday", due=due(when - 20 * HOUR))
    await world.task("tomorrow", due=due(when + 30 * HOUR))
    told = await content(world, when)

    assert told.title.endswith(": 2 due today, 1 overdue")
    assert [[one.title for one in section.entries] for section in told.sections] == [
        ["today", "whole day"],
        ["yesterday"],
    ]


async def test_who_wants_it_at_another_time_gets_it_then(world: World) -> None:
    await choose(world, world.ada, Category.DIGEST, ChannelName.EMAIL)
    maker = notices(world)
    await maker.digests(AT)
    wishes = PostgresWishes(world.lanes, new_id=uuid4, committed=nobody)

    await wishes.choose(world.ada, lambda old: replace(old, digest_at=time(18)), AT)
    await maker.digests(AT)

    found = await world.lanes.fetch("SELECT state, due_at FROM delivery ORDER BY due_at")
    assert [(row["state"], row["due_at"].astimezone(PARIS).time()) for row in found] == [
        ("PENDING", time(18)),
        ("CANCELLED", time(7)),
    ]


class SetClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


async def content(world: World, at: datetime) -> Content:
    addresses = Addresses(link=lambda _task: None, unsubscribe=lambda _user, _category: None)
    ledger = PostgresLedger(world.lanes, SetClock(at), addresses, new_id=uuid4, committed=nobody)
    [claimed] = await ledger.claim(at, 10, ())
    ready = await ledger.begin(claimed)
    assert ready is not None
    return ready.content
