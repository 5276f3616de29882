"""Many deliveries, several workers, crashes anywhere: each rings, once unless its row says so."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.channels import ChannelName, Scope, Temporary
from domain.deliveries import Delivery, State
from domain.due import due as due_at
from domain.ids import ReminderId, UserId
from domain.reminders import Before, Reminder, Wanted, deliveries_of
from tests.ledger import Fault, MemoryLedger, due
from tests.ringing import MINUTE, SECOND, START, World, browser
from tests.task_rows import task
from tests.virtual import WallClock, run
from workers.notifications import Notifier

PARIS = ZoneInfo("Europe/Paris")
# Paris shows 02:00 to 03:00 twice that night: its clocks go back at 01:00 UTC.
NIGHT = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)
COUNT = 10_000


def reminded(number: int, random: Random) -> Delivery:
    """Returns the delivery of a task that is due at a time of that night, by its local clock."""
    local = (NIGHT + timedelta(seconds=random.uniform(30, 1_200))).astimezone(PARIS)
    when = due_at(local.date(), local.time(), PARIS, fold=bool(local.fold))
    ada = UserId(UUID(int=number % 97))
    reminder = Reminder(
        id=ReminderId(UUID(int=number)),
        task_id=task(1).id,
        user_id=ada,
        wanted=Wanted(when=Before(), channels=frozenset({random.choice(list(ChannelName))})),
        created_at=NIGHT,
    )
    [row] = deliveries_of([reminder], task(1, due=when), {ada})
    return row


def test_ten_thousand_reminders_over_a_clock_change_ring_once_and_in_time() -> None:
    async def body() -> None:
        random = Random(6)
        world = World(WallClock(NIGHT))
        world.browsers = [browser(1)]
        rows = [reminded(number, random) for number in range(COUNT)]
        world.book.put(*rows)
        for _ in range(2):
            world.start(world.another(MemoryLedger(world.book)))
        await world.until(NIGHT + 21 * MINUTE)
        await world.close()

        rang = [*world.mail.sent, *world.push.sent]
        rang += [(one.id, one.created_at) for one in world.book.feed.values()]
        late = sorted(at - world.book.rows[key].due_at for key, at in rang)
        assert len(rang) == len({key for key, _ in rang}) == COUNT
        assert late[0] >= timedelta()
        assert late[COUNT * 99 // 100] < SECOND
        assert Counter(world.book.states()) == {State.SENT: COUNT}

    run(body())


async def crashing(world: World, random: Random, workers: int) -> None:
    """Kills workers at any moment and starts new ones; lets calls fail and answers get lost."""
    alive: list[tuple[Notifier, asyncio.Task[None]]] = []
    for _ in range(random.randint(5, 15)):
        while len(alive) < workers:
            ledger = MemoryLedger(world.book)
            ledger.faults = {
                call: random.choices(list(Fault), weights=(8, 1, 1), k=20)
                for call in ("claim", "begin", "end", "release")
            }
            notifier = world.another(ledger)
            alive.append((notifier, world.start(notifier)))
        await asyncio.sleep(random.choice([0.0, 0.01, 0.1, 1, 5]) * random.random())
        world.kill(*alive.pop(random.randrange(len(alive))))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), workers=st.integers(1, 4))
def test_whatever_dies_when_each_rings_and_twice_only_if_its_row_says_so(
    seed: int, workers: int
) -> None:
    async def body() -> None:
        random = Random(seed)
        world = World(WallClock(START))
        world.browsers = [browser(1)]
        for way in (world.mail, world.push):
            way.takes_s = random.choice([0.0, 0.01, 0.5])
            way.answers = random.choices(
                [Temporary(reason="later", scope=Scope.RECIPIENT)], k=random.randint(0, 5)
            )
        rows = [
            due(
                START + random.uniform(0, 30) * SECOND,
                random.choice(list(ChannelName)),
                UserId(UUID(int=random.randrange(5))),
                number,
            )
            for number in range(60)
        ]
        world.book.put(*rows)
        await crashing(world, random, workers)
        # At last one worker that stays.
        world.start(world.another(MemoryLedger(world.book)))
        await world.until(world.clock.now() + 20 * MINUTE)
        await world.close()

        assert Counter(world.book.states()) == {State.SENT: 60}
        taken = world.mail.taken + world.push.taken
        for row in world.book.rows.values():
            if row.channel is ChannelName.IN_APP:
                assert row.id in world.book.feed
                assert not row.maybe_repeated
            else:
                assert taken[row.id] >= 1
                assert taken[row.id] == 1 or row.maybe_repeated
        for key, at in (*world.mail.sent, *world.push.sent):
            assert at >= world.book.rows[key].due_at

    run(body())
