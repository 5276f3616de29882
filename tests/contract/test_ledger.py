"""What every ledger promises its workers; the one in memory is what the worker is tested with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.channels import Browser, ChannelName, Content
from domain.deliveries import (
    Delivery,
    Reason,
    State,
    cancelled,
    failed,
    put_off,
    sent,
)
from domain.ids import SubscriptionId, UserId
from domain.lateness import LATE_AFTER
from domain.ledger import Claimed, Ended, Ledger
from domain.notifications import notification
from domain.reminders import Nag, next_nag
from tests.ledger import ADA, LEASE, Book, MemoryLedger, due

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
BOB = UserId(UUID(int=2))


class SetClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


@dataclass
class World:
    """A ledger under test, by what it shows, and the clock that it goes by."""

    clock: SetClock
    book: Book
    worker: Callable[[], Ledger]

    def row(self, of: Delivery) -> Delivery:
        return self.book.rows[of.id]


@pytest.fixture
def world() -> World:
    clock = SetClock(NOW)
    book = Book(clock)
    return World(clock, book, lambda: MemoryLedger(book))


async def one(worker: Ledger) -> Claimed:
    [found] = await worker.claim(NOW, 10, ())
    return found


async def test_what_is_due_is_claimed_oldest_first_and_by_one_worker(world: World) -> None:
    rows = [due(NOW + number * SECOND, number=number) for number in (2, 0, 1, 3)]
    world.book.put(*rows)
    ada, bob = world.worker(), world.worker()

    first = await ada.claim(NOW + 2 * SECOND, 2, ())
    second = await bob.claim(NOW + 2 * SECOND, 10, ())

    assert [found.delivery.due_at - NOW for found in first] == [0 * SECOND, SECOND]
    assert [found.delivery.due_at - NOW for found in second] == [2 * SECOND]
    assert {found.delivery.state for found in (*first, *second)} == {State.CLAIMED}
    assert world.row(rows[3]).state is State.PENDING


async def test_late_ones_of_a_person_stay_together(world: World) -> None:
    late = NOW - LATE_AFTER - MINUTE
    mine = [due(late + number * SECOND, number=number) for number in range(5)]
    other = due(late + SECOND / 2, to=BOB)
    world.book.put(*mine, other)

    found = await world.worker().claim(NOW, 1, ())

    assert {claim.delivery.id for claim in found} == {row.id for row in mine}


async def test_what_a_dead_worker_held_is_taken_over_after_its_lease(world: World) -> None:
    row = due(NOW)
    world.book.put(row)
    left = await one(world.worker())

    heir = world.worker()
    assert await heir.claim(NOW, 10, ()) == []
    world.clock.at += LEASE
    taken = await one(heir)

    assert taken.delivery.id == row.id
    assert taken.token != left.token


async def test_what_a_worker_does_not_know_to_have_it_claims_again_and_only_it(
    world: World,
) -> None:
    rows = [due(NOW, number=number) for number in range(2)]
    world.book.put(*rows)
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
    world.book.put(row)
    slow = world.worker()
    lost = await one(slow)
    ready = await slow.begin(lost)
    assert ready is not None
    world.clock.at += LEASE
    heir = world.worker()
    taken = await one(heir)

    assert await slow.begin(lost) is None
    await slow.end([Ended(claimed=lost, delivery=failed(ready.begun, "no"))])
    await slow.release([lost])

    assert world.row(row).state is State.CLAIMED
    again = await heir.begin(taken)
    assert again is not None
    assert (again.begun.attempts, again.begun.maybe_repeated) == (2, True)


async def test_a_begin_whose_answer_was_lost_is_the_same_when_it_is_asked_again(
    world: World,
) -> None:
    row = due(NOW)
    world.book.put(row)
    worker = world.worker()
    claimed = await one(worker)

    first, second = await worker.begin(claimed), await worker.begin(claimed)

    assert first == second
    assert first is not None
    assert (first.begun.attempts, first.begun.maybe_repeated) == (1, False)


async def test_what_was_taken_back_or_moved_is_not_begun(world: World) -> None:
    rows = [due(NOW, number=number) for number in range(2)]
    world.book.put(*rows)
    worker = world.worker()
    claims = await worker.claim(NOW, 10, ())

    world.book.put(cancelled(world.row(rows[0]), Reason.WITHDRAWN))
    world.book.put(replace(world.row(rows[1]), fire_at=NOW + MINUTE))

    assert [await worker.begin(claim) for claim in claims] == [None, None]
    assert [world.row(row).attempts for row in rows] == [0, 0]


async def test_what_was_sent_stays_sent_though_it_was_taken_back_meanwhile(world: World) -> None:
    rows = [due(NOW, number=number) for number in range(2)]
    world.book.put(*rows)
    worker = world.worker()
    claims = await worker.claim(NOW, 10, ())
    begun = [await worker.begin(claim) for claim in claims]
    world.book.put(*(cancelled(world.row(row), Reason.WITHDRAWN) for row in rows))

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
    assert [world.row(row).state for row in rows] == [State.SENT, State.CANCELLED]
    assert nag.id not in world.book.rows


async def test_what_was_put_off_is_claimed_again_in_its_time(world: World) -> None:
    world.book.put(due(NOW))
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
    world.book.put(row)
    world.book.nags[row.source] = Nag(every=MINUTE, times=3)
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
    world.book.put(cancelled(nag, Reason.WITHDRAWN))
    await worker.end([ended])

    assert world.row(row).state is State.SENT
    assert world.row(nag).state is State.CANCELLED
    assert world.book.feed == {row.id: shown}


async def test_a_row_that_follows_and_is_there_already_stays_as_it_is(world: World) -> None:
    row, there = due(NOW), due(NOW + MINUTE)
    world.book.put(row, there)
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

    assert world.row(there) == there


async def test_browsers_that_have_it_or_are_gone_are_not_asked_again(world: World) -> None:
    browsers = [
        Browser(id=SubscriptionId(UUID(int=n)), endpoint="", p256dh=b"", auth=b"") for n in range(3)
    ]
    world.book.to = lambda _row: tuple(browsers)
    world.book.put(due(NOW, ChannelName.PUSH))
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
    rows = [due(NOW, number=number) for number in range(2)]
    world.book.put(*rows)
    worker = world.worker()
    claims = await worker.claim(NOW, 10, ())
    await worker.begin(claims[0])

    await worker.release(claims)

    found = await world.worker().claim(NOW, 10, ())
    assert [claim.delivery.id for claim in found] == [claims[1].delivery.id]
    assert found[0].delivery.recipient == ADA
