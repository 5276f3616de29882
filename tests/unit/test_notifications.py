"""The worker that sends: in time, once, by each person's wish, through whatever is away."""

import asyncio
from dataclasses import replace
from datetime import time, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from domain.channels import (
    Category,
    ChannelName,
    Permanent,
    Scope,
    Sent,
    Temporary,
)
from domain.deliveries import Reason, State, cancelled
from domain.ids import UserId
from domain.lateness import LatePolicy, WhenLate
from domain.preferences import Quiet, QuietPolicy
from domain.reminders import Nag
from domain.retries import FAILURES_MAX, OPEN_FIRST
from tests.ledger import ADA, UTC_ONLY, Fault, MemoryLedger, due
from tests.ringing import HOUR, MINUTE, SECOND, SEND_S, START, World, browser, in_virtual_time
from tests.virtual import run
from workers.notifications import HELD_MAX, HORIZON, SCAN_S, Notifier
from workers.providers import Providers
from workers.sending import AT_ONCE, BACKOFF, GIVE_UP_AFTER, Sending, Ways


@in_virtual_time
async def test_each_is_sent_at_its_instant_and_recorded(world: World) -> None:
    rows = [due(START + 10 * SECOND, channel) for channel in ChannelName]
    world.browsers = [browser(1)]
    world.book.put(*rows)
    world.start()

    await world.until(START + 10 * SECOND)

    assert [at - START for _, at in (*world.mail.sent, *world.push.sent)] == [10 * SECOND] * 2
    assert world.book.states() == [State.SENT] * 3
    assert list(world.book.feed) == [rows[0].id]
    assert world.book.feed[rows[0].id].created_at == START + 10 * SECOND


@in_virtual_time
async def test_what_is_written_for_soon_is_found_by_the_next_scan_or_by_a_wake(
    world: World,
) -> None:
    world.start()
    await world.until(START + MINUTE)
    at = world.clock.now()

    world.book.put(due(at, number=1))
    await asyncio.sleep(1.1 * SCAN_S)
    [(_, found_at)] = world.mail.sent
    assert timedelta() <= found_at - at <= timedelta(seconds=SCAN_S)

    world.book.put(due(world.clock.now(), number=2))
    world.notifier.wake()
    await asyncio.sleep(0.001)
    assert len(world.mail.sent) == 2


@in_virtual_time
async def test_a_late_tick_makes_nothing_late(world: World) -> None:
    rows = [due(START + number * SECOND, number=number) for number in range(1, 19)]
    world.book.put(*rows)

    # The cron binding's ticks alone, 15 s apart and each 3 s late; no scan is running.
    firing = asyncio.ensure_future(world.notifier._schedule.run())
    await world.notifier.tick()
    await world.until(START + 18 * SECOND)
    firing.cancel()

    assert [at for _, at in world.mail.sent] == [row.due_at for row in rows]
    assert HORIZON >= 18 * SECOND


@in_virtual_time
async def test_what_was_taken_back_in_the_last_moment_is_not_sent(world: World) -> None:
    row = due(START + 10 * SECOND)
    world.book.put(row)
    world.start()
    await world.until(START + 8 * SECOND)
    assert world.row(row).state is State.CLAIMED

    world.book.put(cancelled(world.row(row), Reason.WITHDRAWN))
    await world.until(START + MINUTE)

    assert world.mail.sent == []
    assert world.row(row).state is State.CANCELLED


@in_virtual_time
async def test_one_channel_s_slowness_is_no_other_s_and_all_are_bounded(world: World) -> None:
    world.mail.takes_s = 50
    at = START + 5 * SECOND
    mails = [due(at, number=number) for number in range(100)]
    world.book.put(*mails, *(due(at, ChannelName.IN_APP, number=n) for n in range(100)))
    world.start()

    await world.until(at)

    assert world.mail.most_at_once == AT_ONCE[ChannelName.EMAIL]
    assert len(world.book.feed) == 100
    await world.until(at + 13 * 50 * SECOND)
    assert world.book.states() == [State.SENT] * 200
    assert world.mail.most_at_once == AT_ONCE[ChannelName.EMAIL]


@in_virtual_time
async def test_memory_holds_a_bounded_number_and_the_rest_follows(world: World) -> None:
    world.mail.takes_s = 0
    at = START + 5 * SECOND
    world.book.put(*(due(at, number=number) for number in range(HELD_MAX + 10)))
    world.start()

    await world.until(START)
    assert world.notifier.held == HELD_MAX
    await world.until(at + 2 * SECOND)

    assert world.book.states() == [State.SENT] * (HELD_MAX + 10)


@in_virtual_time
async def test_a_temporary_failure_is_tried_again_later_and_later_and_then_given_up(
    world: World,
) -> None:
    busy = Temporary(reason="450 busy", scope=Scope.RECIPIENT)
    backoff = BACKOFF[ChannelName.EMAIL]
    world.mail.answers = [busy] * backoff.attempts
    row = due(START)
    world.book.put(row)
    world.start()

    await world.until(START + 12 * HOUR)

    assert (world.row(row).state, world.row(row).reason) == (State.FAILED, "450 busy")
    assert len(world.mail.sent) == world.row(row).attempts == backoff.attempts
    instants = [at for _, at in world.mail.sent]
    waits = [later - at for at, later in pairwise(instants)]
    for number, wait in enumerate(waits):
        longest = min(backoff.most, backoff.least * 2**number)
        assert longest / 2 <= wait - timedelta(seconds=SEND_S) <= longest + SECOND


@in_virtual_time
async def test_the_wait_that_a_provider_asks_for_is_kept(world: World) -> None:
    world.mail.answers = [
        Temporary(reason="429", scope=Scope.RECIPIENT, retry_after=HOUR),
    ]
    world.book.put(due(START))
    world.start()

    await world.until(START + 2 * HOUR)

    [(_, first), (_, second)] = world.mail.sent
    assert HOUR <= second - first <= HOUR + 2 * SECOND
    assert world.book.states() == [State.SENT]


@in_virtual_time
async def test_a_permanent_failure_is_not_tried_again(world: World) -> None:
    world.mail.answers = [Permanent(reason="550 nobody")]
    row = due(START)
    world.book.put(row)
    world.start()

    await world.until(START + HOUR)

    assert (world.row(row).state, world.row(row).reason) == (State.FAILED, "550 nobody")
    assert len(world.mail.sent) == 1


@in_virtual_time
async def test_a_provider_that_is_away_is_left_alone_and_asked_once_when_it_may_be_back(
    world: World,
) -> None:
    away = Temporary(reason="refused", scope=Scope.PROVIDER)
    world.mail.answers = [away] * (AT_ONCE[ChannelName.EMAIL] + 3)
    rows = [due(START + SECOND, number=number) for number in range(200)]
    world.book.put(*rows)
    world.start()

    await world.until(START + SECOND + OPEN_FIRST / 2)
    # Those under way when it was noticed, and none after them.
    asked = len(world.mail.sent)
    assert FAILURES_MAX <= asked <= AT_ONCE[ChannelName.EMAIL]
    held = [row for row in world.book.rows.values() if row.reason == Reason.BREAKER]
    assert {row.attempts for row in held} == {0}
    await world.until(START + SECOND + 2 * OPEN_FIRST)
    assert asked <= len(world.mail.sent) <= asked + 3
    await world.until(START + HOUR)

    assert world.book.states() == [State.SENT] * 200
    # Nobody's attempts were spent on the outage.
    assert max(row.attempts for row in world.book.rows.values()) <= 3


@in_virtual_time
async def test_what_waits_for_a_provider_for_days_is_given_up(world: World) -> None:
    away = Temporary(reason="away", scope=Scope.PROVIDER, retry_after=HOUR / 2)
    world.mail.answers = [away] * 30
    # They have been waiting, and not for us: they are not late.
    long = START - GIVE_UP_AFTER + HOUR
    rows = [replace(due(long, number=number), fire_at=START) for number in range(10)]
    world.book.put(*rows)
    world.start()

    await world.until(START + 2 * HOUR)

    assert world.book.states() == [State.FAILED] * 10
    assert len(world.mail.sent) < 5 + AT_ONCE[ChannelName.EMAIL]


@in_virtual_time
async def test_quiet_hours_put_off_and_the_feed_tells_what_is_not_sent(world: World) -> None:
    night = Quiet(days=frozenset(range(7)), start=time(9), end=time(10))
    world.book.preferences[ADA] = replace(UTC_ONLY, quiet=(night,))
    bob = UserId(UUID(int=2))
    world.book.preferences[bob] = replace(
        UTC_ONLY, quiet=(night,), quiet_policy=QuietPolicy.IN_APP_ONLY
    )
    later, diverted = due(START + MINUTE), due(START + MINUTE, to=bob)
    world.book.put(later, diverted)
    world.start()

    await world.until(START + 2 * MINUTE)
    assert world.mail.sent == []
    assert (world.row(later).state, world.row(later).attempts) == (State.PENDING, 0)
    assert world.row(diverted).state is State.CANCELLED
    [shown] = world.book.feed.values()
    assert shown.user_id == bob
    await world.until(START + 2 * HOUR)

    assert [(key, at) for key, at in world.mail.sent] == [(later.id, START + HOUR)]


@in_virtual_time
async def test_what_is_switched_off_or_reaches_nobody_is_not_sent(world: World) -> None:
    off = {(Category.REMINDER, ChannelName.EMAIL): False}
    world.book.preferences[ADA] = replace(UTC_ONLY, chosen=off)
    muted, nowhere = due(START), due(START, ChannelName.PUSH)
    world.book.put(muted, nowhere)
    world.start()

    await world.until(START + MINUTE)

    assert world.row(muted).reason == Reason.MUTED
    assert world.row(nowhere).reason == Reason.UNREACHABLE
    assert world.mail.sent == world.push.sent == []


@in_virtual_time
async def test_a_channel_that_nobody_has_set_up_fails_for_good(world: World) -> None:
    sending = Sending(Ways(), Providers(world.clock), world.clock)
    row = due(START)
    world.book.put(row)
    world.start(Notifier(world.ledger, sending, world.clock))

    await world.until(START + MINUTE)

    assert (world.row(row).state, world.row(row).attempts) == (State.FAILED, 1)


@in_virtual_time
async def test_after_an_outage_late_ones_become_one(world: World) -> None:
    rows = [due(START - number * HOUR, number=number) for number in range(1, 50)]
    world.book.put(*rows)
    world.start()

    await world.until(START + MINUTE)

    assert [key for key, _ in world.mail.sent] == [rows[0].id]
    assert world.row(rows[0]).is_late
    assert {world.row(row).collapsed_into for row in rows[1:]} == {rows[0].id}
    assert {world.row(row).state for row in rows[1:]} == {State.COLLAPSED}


@in_virtual_time
async def test_whoever_wants_each_late_one_gets_it_and_is_told_that_it_is_late(
    world: World,
) -> None:
    world.book.preferences[ADA] = replace(UTC_ONLY, late=LatePolicy(when=WhenLate.SEND))
    rows = [due(START - number * HOUR, number=number) for number in (1, 2)]
    world.book.put(*rows)
    world.start()

    await world.until(START + MINUTE)

    assert len(world.mail.sent) == 2
    assert all(world.row(row).is_late for row in rows)
    assert world.mail.texts[0][-1].startswith("This comes late: it was meant for Monday")


@in_virtual_time
async def test_nags_ring_until_they_are_taken_back(world: World) -> None:
    row = due(START)
    world.book.nags[row.source] = Nag(every=10 * MINUTE, times=5)
    world.book.put(row)
    world.start()

    await world.until(START + 25 * MINUTE)
    waiting = [one for one in world.book.rows.values() if one.state is State.PENDING]
    world.book.put(*(cancelled(one, Reason.WITHDRAWN) for one in waiting))
    await world.until(START + 2 * HOUR)

    assert [at - START for _, at in world.mail.sent] == [0 * MINUTE, 10 * MINUTE, 20 * MINUTE]


@in_virtual_time
async def test_nags_end_at_their_limit(world: World) -> None:
    row = due(START)
    world.book.nags[row.source] = Nag(every=MINUTE, times=5)
    world.book.put(row)
    world.start()

    await world.until(START + HOUR)

    assert [at - START for _, at in world.mail.sent] == [number * MINUTE for number in range(6)]


@in_virtual_time
async def test_a_browser_that_has_it_does_not_get_it_again_when_another_one_does(
    world: World,
) -> None:
    world.browsers = [browser(1), browser(2), browser(3)]
    busy = Temporary(reason="503", scope=Scope.PROVIDER)
    world.push.answers = [Sent(), Permanent(reason="410", gone=True), busy]
    row = due(START, ChannelName.PUSH)
    world.book.put(row)
    world.start()

    await world.until(START + MINUTE)

    assert len(world.push.sent) == 4
    assert world.row(row).state is State.SENT
    assert world.book.gone == {browser(2).id}
    assert world.book.reached[row.id] == {browser(1).id, browser(3).id}


@in_virtual_time
async def test_a_person_with_one_browser_that_took_it_has_got_it(world: World) -> None:
    world.browsers = [browser(1), browser(2)]
    attempts = BACKOFF[ChannelName.PUSH].attempts
    busy = Temporary(reason="429", scope=Scope.RECIPIENT)
    world.push.answers = [Sent(), *[busy] * attempts]
    row = due(START, ChannelName.PUSH)
    world.book.put(row)
    world.start()

    await world.until(START + 5 * HOUR)

    assert len(world.push.sent) == attempts + 1
    assert world.row(row).state is State.SENT


@in_virtual_time
async def test_on_the_way_out_what_is_under_way_ends_and_the_rest_is_given_back(
    world: World,
) -> None:
    world.mail.takes_s = 5
    now_ones = [due(START, number=number) for number in range(3)]
    later = [due(START + 15 * SECOND, number=number) for number in range(3)]
    world.book.put(*now_ones, *later)
    task = world.start()
    await asyncio.sleep(1)

    await world.notifier.stop()

    assert [world.row(row).state for row in now_ones] == [State.SENT] * 3
    assert [world.row(row).state for row in later] == [State.PENDING] * 3
    assert world.clock.now() == START + 5 * SECOND
    # The rest is another one's.
    task.cancel()
    other = MemoryLedger(world.book)
    world.start(world.another(other))
    await world.until(START + 15 * SECOND)
    assert [at for _, at in world.mail.sent[3:]] == [START + 15 * SECOND] * 3


@in_virtual_time
async def test_a_database_that_is_away_for_seconds_delays_only_what_needs_it(
    world: World,
) -> None:
    row = due(START + SECOND)
    world.book.put(row)
    world.ledger.faults = {
        "begin": [Fault.AWAY, Fault.LOST],
        "end": [Fault.AWAY, Fault.AWAY, Fault.LOST],
    }
    world.start()

    await world.until(START + MINUTE)

    assert len(world.mail.sent) == 1
    assert (world.row(row).state, world.row(row).attempts) == (State.SENT, 1)
    assert not world.row(row).maybe_repeated


@in_virtual_time
async def test_scans_go_on_after_an_outage(world: World) -> None:
    world.ledger.faults = {"claim": [Fault.AWAY] * 5}
    world.book.put(due(START + MINUTE))
    world.start()

    await world.until(START + 2 * MINUTE)

    assert [at for _, at in world.mail.sent] == [START + MINUTE]


@in_virtual_time
async def test_what_cannot_be_recorded_is_sent_again_by_the_next_and_says_so(
    world: World,
) -> None:
    row = due(START + SECOND)
    world.book.put(row)
    first = world.start()
    await asyncio.sleep(0.5)
    # It claimed it, and from then on it reaches the database only once more.
    world.ledger.faults = {"claim": [Fault.AWAY] * 1_000, "end": [Fault.AWAY] * 1_000}
    world.start(world.another(MemoryLedger(world.book)))

    await world.until(START + 2 * MINUTE)
    assert not first.done()

    assert len(world.mail.sent) == 2
    assert (world.row(row).state, world.row(row).maybe_repeated) == (State.SENT, True)


@pytest.mark.parametrize("by", [-HOUR, HOUR, -30 * SECOND, 30 * SECOND])
def test_a_wall_clock_that_is_set_makes_nothing_early_and_little_late(by: timedelta) -> None:
    async def body() -> None:
        world = World()
        world.book.preferences[ADA] = replace(UTC_ONLY, late=LatePolicy(when=WhenLate.SEND))
        rows = [due(START + number * SECOND, number=number) for number in range(1, 600)]
        world.book.put(*rows)
        world.start()
        await world.until(START + MINUTE)
        world.clock.set(by)
        set_at = world.clock.now()
        await world.until(START + 2 * HOUR)
        await world.close()

        due_at = {row.id: row.due_at for row in rows}
        assert sorted(key for key, _ in world.mail.sent) == sorted(due_at)
        for key, at in world.mail.sent:
            assert at >= due_at[key]
            # What the clock jumped over is sent as soon as the channel can.
            assert at - max(due_at[key], min(set_at, at)) <= 5 * SECOND

    run(body())
