"""What every ledger promises its workers; the one in memory is what the worker is tested with."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

import orjson
import pytest

from domain.accounts import Account
from domain.channels import Browser, Category, ChannelName, Content
from domain.deliveries import (
    Delivery,
    Reason,
    State,
    cancelled,
    failed,
    first,
    put_off,
    sent,
)
from domain.ids import MemberId, ReminderId, SubscriptionId, UserId, WorkspaceId
from domain.lateness import LATE_AFTER
from domain.ledger import Claimed, Ended, Ledger
from domain.notifications import Notification, notification
from domain.ports import Command
from domain.reminders import At, Nag, Reminder, Wanted, next_nag
from domain.services.workspaces import founded
from domain.workspaces import User, Workspace
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.ledger import Addresses, PostgresLedger
from infra.postgres.people import delivery_of, delivery_row, notification_of, reminder_row
from infra.postgres.store import PostgresStore
from tests.ledger import ADA, LEASE, Book, MemoryLedger
from tests.task_rows import task

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
BOB = UserId(UUID(int=2))
HOME = WorkspaceId(UUID(int=7))
TASK = replace(task(1), workspace_id=HOME)


class SetClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


class World(Protocol):
    """A ledger under test: what it shows, and what else it goes by."""

    clock: SetClock

    def worker(self) -> Ledger: ...

    async def put(self, *rows: Delivery) -> None: ...

    async def find(self, of: Delivery) -> Delivery | None: ...

    async def feed(self) -> list[Notification]: ...

    async def nag(self, of: Delivery, nag: Nag) -> None: ...

    async def browsers(self, *found: Browser) -> None: ...

    async def end_leases(self) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.clock = SetClock(NOW)
        self._book = Book(self.clock)

    def worker(self) -> Ledger:
        return MemoryLedger(self._book)

    async def put(self, *rows: Delivery) -> None:
        self._book.put(*rows)

    async def find(self, of: Delivery) -> Delivery | None:
        return self._book.rows.get(of.id)

    async def feed(self) -> list[Notification]:
        return list(self._book.feed.values())

    async def nag(self, of: Delivery, nag: Nag) -> None:
        self._book.nags[of.source] = nag

    async def browsers(self, *found: Browser) -> None:
        self._book.to = lambda _row: found

    async def end_leases(self) -> None:
        self.clock.at += LEASE


PUT = """
INSERT INTO delivery SELECT * FROM jsonb_populate_record(NULL::delivery, $1::jsonb)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, fire_at = excluded.fire_at"""
BROWSER = """
INSERT INTO push_subscription (id, user_id, endpoint, p256dh, auth, created_at)
VALUES ($1, $2, $3, $4, $5, now())"""


class OnPostgres:
    def __init__(self, lanes: Lanes) -> None:
        self.clock = SetClock(NOW)
        self._lanes = lanes

    def worker(self) -> Ledger:
        addresses = Addresses(link=lambda _task: None, unsubscribe=lambda _user, _category: None)
        return PostgresLedger(
            self._lanes, self.clock, addresses, new_id=uuid4, committed=lambda _stream, _seq: None
        )

    async def put(self, *rows: Delivery) -> None:
        for row in rows:
            given = {**delivery_row(row), "reached": []}
            await self._lanes.fetchval(PUT, orjson.dumps(given).decode())

    async def find(self, of: Delivery) -> Delivery | None:
        found = await self._lanes.fetchval("SELECT to_json(d) FROM delivery d WHERE id = $1", of.id)
        return None if found is None else delivery_of(orjson.loads(found))

    async def feed(self) -> list[Notification]:
        rows = await self._lanes.fetch("SELECT to_json(n) AS row FROM notification n")
        return [notification_of(orjson.loads(row["row"])) for row in rows]

    async def nag(self, of: Delivery, nag: Nag) -> None:
        wanted = Wanted(when=At(instant=of.due_at), channels=frozenset({of.channel}), nag=nag)
        reminder = Reminder(
            id=ReminderId(of.source), task_id=TASK.id, user_id=ADA, wanted=wanted, created_at=NOW
        )
        await self._lanes.fetchval(
            "INSERT INTO reminder SELECT * FROM jsonb_populate_record(NULL::reminder, $1::jsonb)",
            orjson.dumps(reminder_row(reminder, of.due_at)).decode(),
        )

    async def browsers(self, *found: Browser) -> None:
        for one in found:
            await self._lanes.fetchval(BROWSER, one.id, ADA, one.endpoint, one.p256dh, one.auth)

    async def end_leases(self) -> None:
        await self._lanes.fetchval("UPDATE lease SET until = now() - interval '1 second'")


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[World]:
    if request.param == "memory":
        yield InMemory()
        return
    async with Lanes(database_url, LaneOptions(size=4)) as lanes:
        store = PostgresStore(lanes, lanes, new_id=uuid4, committed=lambda _stream, _seq: None)
        space = Workspace(id=HOME, name="Home", created_at=NOW)
        people = [
            Account(
                id=user,
                email=f"{user}@example.com",
                email_key=f"{user}@example.com",
                name="Ada",
                time_zone="UTC",
                password_hash="none",
                created_at=NOW,
            )
            for user in (ADA, BOB)
        ]
        ada = User(id=ADA, name="Ada")
        writes = founded(space, ada, MemberId(uuid4()))
        command = Command(actor=ADA, field="test", key=None, arguments=b"")
        await store.flush(command, replace(writes, accounts=tuple(people), tasks_new=(TASK,)))
        yield OnPostgres(lanes)


async def the(world: World, of: Delivery) -> Delivery:
    found = await world.find(of)
    assert found is not None
    return found


def due(
    at: datetime, channel: ChannelName = ChannelName.EMAIL, to: UserId = ADA, number: int = 0
) -> Delivery:
    """Returns a pending reminder of the task; the number tells apart those that are the same."""
    return first(Category.REMINDER, UUID(int=number), TASK, (to, channel), at)


async def one(worker: Ledger) -> Claimed:
    [found] = await worker.claim(NOW, 10, ())
    return found


async def test_what_is_due_is_claimed_oldest_first_and_by_one_worker(world: World) -> None:
    rows = [due(NOW + number * SECOND, number=number) for number in (2, 0, 1, 3)]
    await world.put(*rows)
    ada, bob = world.worker(), world.worker()

    first = await ada.claim(NOW + 2 * SECOND, 2, ())
    second = await bob.claim(NOW + 2 * SECOND, 10, ())

    assert [found.delivery.due_at - NOW for found in first] == [0 * SECOND, SECOND]
    assert [found.delivery.due_at - NOW for found in second] == [2 * SECOND]
    assert {found.delivery.state for found in (*first, *second)} == {State.CLAIMED}
    assert (await the(world, rows[3])).state is State.PENDING


async def test_late_ones_of_a_person_stay_together(world: World) -> None:
    late = NOW - LATE_AFTER - MINUTE
    mine = [due(late + number * SECOND, number=number) for number in range(5)]
    other = due(late + SECOND / 2, to=BOB)
    await world.put(*mine, other)

    found = await world.worker().claim(NOW, 1, ())

    assert {claim.delivery.id for claim in found} == {row.id for row in mine}


async def test_what_a_dead_worker_held_is_taken_over_after_its_lease(world: World) -> None:
    row = due(NOW)
    await world.put(row)
    left = await one(world.worker())

    heir = world.worker()
    assert await heir.claim(NOW, 10, ()) == []
    await world.end_leases()
    taken = await one(heir)

    assert taken.delivery.id == row.id
    assert taken.token != left.token


async def test_what_a_worker_does_not_know_to_have_it_claims_again_and_only_it(
    world: World,
) -> None:
    rows = [due(NOW, number=number) for number in range(2)]
    await world.put(*rows)
    worker, other = world.worker(), world.worker()
    [known] = await worker.claim(NOW, 1, ())
    # Its answer was lost.
    [lost] = await worker.claim(NOW, 1, [known.token])

    assert await other.claim(NOW, 10, ()) == []
    assert await worker.claim(NOW, 10, [known.token, lost.token]) == []
    [again] = await worker.claim(NOW, 10, [known.token])

    assert again.delivery.id == lost.delivery.id
    assert await worker.begin(lost) is None
    assert await worker.begin(known) is not None


async def test_a_worker_that_lost_its_hold_begins_and_says_nothing(world: World) -> None:
    row = due(NOW)
    await world.put(row)
    slow = world.worker()
    lost = await one(slow)
    ready = await slow.begin(lost)
    assert ready is not None
    await world.end_leases()
    heir = world.worker()
    taken = await one(heir)

    assert await slow.begin(lost) is None
    await slow.end([Ended(claimed=lost, delivery=failed(ready.begun, "no"))])
    await slow.release([lost])

    assert (await the(world, row)).state is State.CLAIMED
    again = await heir.begin(taken)
    assert again is not None
    assert (again.begun.attempts, again.begun.maybe_repeated) == (2, True)


async def test_a_begin_whose_answer_was_lost_is_the_same_when_it_is_asked_again(
    world: World,
) -> None:
    row = due(NOW)
    await world.put(row)
    worker = world.worker()
    claimed = await one(worker)

    first, second = await worker.begin(claimed), await worker.begin(claimed)

    assert first == second
    assert first is not None
    assert (first.begun.attempts, first.begun.maybe_repeated) == (1, False)


async def test_what_was_taken_back_or_moved_is_not_begun(world: World) -> None:
    rows = [due(NOW - SECOND, number=0), due(NOW, number=1)]
    await world.put(*rows)
    worker = world.worker()
    claims = await worker.claim(NOW, 10, ())

    await world.put(cancelled(await the(world, rows[0]), Reason.WITHDRAWN))
    await world.put(replace(await the(world, rows[1]), fire_at=NOW + MINUTE))

    assert [await worker.begin(claim) for claim in claims] == [None, None]
    assert [(await the(world, row)).attempts for row in rows] == [0, 0]


async def test_what_was_sent_stays_sent_though_it_was_taken_back_meanwhile(world: World) -> None:
    rows = [due(NOW - SECOND, number=0), due(NOW, number=1)]
    await world.put(*rows)
    worker = world.worker()
    claims = await worker.claim(NOW, 10, ())
    begun = [await worker.begin(claim) for claim in claims]
    await world.put(*[cancelled(await the(world, row), Reason.WITHDRAWN) for row in rows])

    assert begun[0] is not None
    assert begun[1] is not None
    nag = next_nag(begun[0].begun, Nag(every=MINUTE, times=3), NOW)
    assert nag is not None
    await worker.end(
        [
            Ended(claimed=claims[0], delivery=sent(begun[0].begun), follow=(nag,)),
            Ended(claimed=claims[1], delivery=put_off(begun[1].begun, NOW + MINUTE, "451")),
        ]
    )

    # It rang, and nothing more of it will; what did not ring stays away.
    assert [(await the(world, row)).state for row in rows] == [State.SENT, State.CANCELLED]
    assert await world.find(nag) is None


async def test_what_was_put_off_is_claimed_again_in_its_time(world: World) -> None:
    await world.put(due(NOW))
    worker = world.worker()
    claimed = await one(worker)
    ready = await worker.begin(claimed)
    assert ready is not None

    await worker.end([Ended(claimed=claimed, delivery=put_off(ready.begun, NOW + MINUTE, "451"))])

    assert await world.worker().claim(NOW + 59 * SECOND, 10, ()) == []
    [again] = await world.worker().claim(NOW + MINUTE, 10, ())
    assert (again.delivery.attempts, again.delivery.reason) == (1, "451")


async def test_an_end_writes_all_that_follows_and_writes_it_once(world: World) -> None:
    row = due(NOW, ChannelName.IN_APP)
    await world.put(row)
    await world.nag(row, Nag(every=MINUTE, times=3))
    worker = world.worker()
    claimed = await one(worker)
    ready = await worker.begin(claimed)
    assert ready is not None
    nag = next_nag(ready.begun, claimed.nag, NOW)
    assert nag is not None
    shown = notification(row, Content(title="Milk", lines=()), NOW)
    ended = Ended(claimed=claimed, delivery=sent(ready.begun), follow=(nag,), notification=shown)

    await worker.end([ended])
    # The nag was taken back before the lost answer's repeat.
    await world.put(cancelled(nag, Reason.WITHDRAWN))
    await worker.end([ended])

    assert (await the(world, row)).state is State.SENT
    assert (await the(world, nag)).state is State.CANCELLED
    assert await world.feed() == [shown]


async def test_a_row_that_follows_and_is_there_already_stays_as_it_is(world: World) -> None:
    row, there = due(NOW), due(NOW + MINUTE)
    await world.put(row, there)
    worker = world.worker()
    claimed = await one(worker)
    ready = await worker.begin(claimed)
    assert ready is not None

    await worker.end(
        [
            Ended(
                claimed=claimed,
                delivery=sent(ready.begun),
                follow=(replace(there, nag=7),),
            )
        ]
    )

    assert (await the(world, there)) == there


async def test_browsers_that_have_it_or_are_gone_are_not_asked_again(world: World) -> None:
    browsers = [
        Browser(id=SubscriptionId(UUID(int=n)), endpoint=str(n), p256dh=b"", auth=b"")
        for n in range(3)
    ]
    await world.browsers(*browsers)
    await world.put(due(NOW, ChannelName.PUSH))
    worker = world.worker()
    claimed = await one(worker)
    ready = await worker.begin(claimed)
    assert ready is not None

    await worker.end(
        [
            Ended(
                claimed=claimed,
                delivery=put_off(ready.begun, NOW, "503"),
                reached=frozenset({browsers[0].id}),
                gone=frozenset({browsers[1].id}),
            )
        ]
    )

    again = await worker.begin(await one(worker))
    assert again is not None
    assert again.to == (browsers[2],)
    assert again.reached == {browsers[0].id}


async def test_what_was_not_begun_is_given_back_at_once(world: World) -> None:
    rows = [due(NOW - SECOND, number=0), due(NOW, number=1)]
    await world.put(*rows)
    worker = world.worker()
    claims = await worker.claim(NOW, 10, ())
    await worker.begin(claims[0])

    await worker.release(claims)

    found = await world.worker().claim(NOW, 10, ())
    assert [claim.delivery.id for claim in found] == [claims[1].delivery.id]
    assert found[0].delivery.recipient == ADA
