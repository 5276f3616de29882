"""Reminders in the write path: the ledger follows the task, each change in its person's stream."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, time, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from domain.channels import ChannelName
from domain.durations import Duration
from domain.errors import Code
from domain.ids import DeliveryId, ReminderId, TaskId, UserId
from domain.personal import LEAVING_MAX
from domain.reminders import REMINDERS_MAX, Before, OnDay, Wanted
from domain.services.mutations import Outcome
from domain.services.task_patch import DueDraft, TaskPatch
from domain.tasks import Status
from domain.workspaces import Role
from tests.worlds import AT, World, refused

KEY = "a-key-of-the-test"
PARIS = ZoneInfo("Europe/Paris")
DUE = DueDraft(day=date(2027, 3, 1), at=time(12), zone=PARIS)
LATER = replace(DUE, day=date(2027, 3, 2))
HALF_HOUR = Wanted(
    when=Before(span=timedelta(minutes=30)), channels=frozenset({ChannelName.IN_APP})
)


async def remind(
    world: World,
    task: TaskId,
    wanted: Wanted = HALF_HOUR,
    *,
    actor: UserId | None = None,
    key: str | None = None,
) -> Outcome:
    return await world.reminders.add(world.command(key, actor=actor), task, None, wanted)


async def ledger(world: World, category: str = "REMINDER") -> list[asyncpg.Record]:
    return await world.lanes.fetch(
        "SELECT * FROM delivery WHERE category = $1 ORDER BY due_at, channel", category
    )


async def states(world: World) -> list[tuple[str, str]]:
    return [(f"{row['due_at']:%d %H:%M}", row["state"]) for row in await ledger(world)]


async def own(world: World, user: UserId | None = None) -> Sequence[asyncpg.Record]:
    return await world.log(user or world.ada)  # type: ignore[arg-type]


async def join(world: World, name: str = "Bob", role: Role = Role.MEMBER) -> UserId:
    user, _ = await world.sign_up(name)
    await world.workspaces.add_member(world.command(), world.home, f"{user}@example.com", role)
    return user


async def test_a_reminder_is_a_row_of_the_ledger_and_a_change_of_its_person_s_stream(
    world: World,
) -> None:
    task = await world.task(due=DUE)
    head = await world.head()

    made = await remind(world, task)

    assert await states(world) == [("01 10:30", "PENDING")]
    changes = await own(world)
    assert [(row["seq"], row["kind"]) for row in changes] == [
        (1, "reminder.added"),
        (2, "delivery.scheduled"),
    ]
    assert made.seq == 2
    assert made.state["before_due"] == "PT30M"
    assert made.state["at"] == "2027-03-01T10:30:00+00:00"
    # Nobody else hears of it.
    assert await world.head() == head


async def test_the_ledger_follows_its_task(world: World) -> None:
    task = await world.task(due=DUE)
    await remind(world, task)
    first, second = ("01 10:30", "02 10:30")

    await world.tasks.update(world.command(), task, TaskPatch(due=LATER), None)
    assert await states(world) == [(first, "CANCELLED"), (second, "PENDING")]

    await world.tasks.complete(world.command(), task, None)
    assert await states(world) == [(first, "CANCELLED"), (second, "CANCELLED")]

    await world.tasks.reopen(world.command(), task, None)
    assert await states(world) == [(first, "CANCELLED"), (second, "PENDING")]

    await world.tasks.update(world.command(), task, TaskPatch(due=DUE), None)
    assert await states(world) == [(first, "PENDING"), (second, "CANCELLED")]

    await world.tasks.delete(world.command(), task, None)
    assert await states(world) == [(first, "CANCELLED"), (second, "CANCELLED")]

    await world.tasks.restore(world.command(), task, None)
    await world.tasks.update(world.command(), task, TaskPatch(due=None), None)
    assert await states(world) == [(first, "CANCELLED"), (second, "CANCELLED")]
    assert await world.lanes.fetchval("SELECT at FROM reminder") is None
    seqs = [row["seq"] for row in await own(world)]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_a_deleted_parent_takes_the_reminders_of_its_subtasks_along(world: World) -> None:
    parent = await world.task()
    child = await world.task(parent=parent, due=DUE)
    await remind(world, child)

    await world.tasks.delete(world.command(), parent, None)
    assert await states(world) == [("01 10:30", "CANCELLED")]

    await world.tasks.restore(world.command(), parent, None)
    assert await states(world) == [("01 10:30", "PENDING")]


async def test_a_change_that_moves_nothing_writes_nothing_for_people(world: World) -> None:
    task = await world.task(due=DUE)
    await remind(world, task)

    await world.tasks.update(world.command(), task, TaskPatch(title="Buy oats"), None)

    assert len(await own(world)) == 2


async def test_a_repeat_answers_with_the_reminder_made_then(world: World) -> None:
    task = await world.task(due=DUE)
    first = await remind(world, task, key=KEY)
    await world.tasks.update(world.command(), task, TaskPatch(due=LATER), None)

    again = await remind(world, task, key=KEY)

    assert again == first
    assert len(await world.lanes.fetch("SELECT FROM reminder")) == 1


async def test_a_removed_reminder_rings_no_more(world: World) -> None:
    task = await world.task(due=DUE)
    made = ReminderId((await remind(world, task)).subject)
    bob = await join(world)

    code = await refused(world.reminders.remove(world.command(actor=bob), made))
    assert code is Code.NOT_FOUND
    gone = await world.reminders.remove(world.command(), made)

    assert await states(world) == [("01 10:30", "CANCELLED")]
    assert [row["kind"] for row in await own(world)][2:] == [
        "reminder.removed",
        "delivery.cancelled",
    ]
    assert gone.seq == 4
    assert await world.lanes.fetchval("SELECT count(*) FROM reminder") == 0


async def test_everybody_has_reminders_of_their_own(world: World) -> None:
    task = await world.task(due=DUE)
    bob = await join(world, role=Role.VIEWER)
    both = replace(HALF_HOUR, channels=frozenset({ChannelName.EMAIL, ChannelName.PUSH}))
    await remind(world, task, both, actor=bob)
    await remind(world, task)

    await world.tasks.update(world.command(), task, TaskPatch(due=LATER), None)

    rows = Counter((row["recipient"], row["state"]) for row in await ledger(world))
    assert rows == {
        (bob, "CANCELLED"): 2,
        (bob, "PENDING"): 2,
        (world.ada, "CANCELLED"): 1,
        (world.ada, "PENDING"): 1,
    }
    kinds = Counter(row["kind"] for row in await own(world, bob))
    assert kinds == {"reminder.added": 1, "delivery.scheduled": 4, "delivery.cancelled": 2}


async def test_who_leaves_hears_nothing_of_the_workspace_any_more(world: World) -> None:
    task = await world.task(due=DUE)
    bob = await join(world)
    await remind(world, task, actor=bob)
    await remind(world, task)
    assert LEAVING_MAX >= 1

    await world.workspaces.remove_member(world.command(), world.home, bob)

    assert {row["recipient"]: row["state"] for row in await ledger(world)} == {
        bob: "CANCELLED",
        world.ada: "PENDING",
    }
    # Their reminder is still there, and does not come to life by itself.
    await world.tasks.update(world.command(), task, TaskPatch(due=LATER), None)
    pending = [row["recipient"] for row in await ledger(world) if row["state"] == "PENDING"]
    assert pending == [world.ada]


async def test_a_person_is_told_of_what_is_assigned_to_them_by_others(world: World) -> None:
    bob = await join(world)
    task = await world.task(assignee=world.ada)
    assert await ledger(world, "ASSIGNMENT") == []

    await world.tasks.update(world.command(), task, TaskPatch(assignee=bob), None)
    rows = await ledger(world, "ASSIGNMENT")
    assert [(row["channel"], row["state"]) for row in rows] == [
        ("EMAIL", "PENDING"),
        ("IN_APP", "PENDING"),
    ]
    assert {(row["recipient"], row["source"], row["due_at"]) for row in rows} == {
        (bob, world.ada, AT)
    }

    # It is somebody else's before they heard of it.
    await world.tasks.update(world.command(), task, TaskPatch(assignee=None), None)
    assert {row["state"] for row in await ledger(world, "ASSIGNMENT")} == {"CANCELLED"}


async def test_a_new_task_may_bring_its_reminders(world: World) -> None:
    all_day = DueDraft(day=date(2027, 3, 1), zone=PARIS)
    at_nine = Wanted(when=OnDay(at=time(9)), channels=frozenset({ChannelName.PUSH}))

    await world.tasks.create(
        world.command(), world.home, None, TaskPatch(title="Milk", due=all_day), [at_nine]
    )

    assert await states(world) == [("01 08:00", "PENDING")]


async def test_a_task_has_only_so_many_reminders(world: World) -> None:
    task = await world.task()
    for _ in range(REMINDERS_MAX):
        await remind(world, task)

    assert await refused(remind(world, task)) is Code.LIMIT_EXCEEDED
    many = [HALF_HOUR] * 10_000
    new = world.tasks.create(world.command(), world.home, None, TaskPatch(title="x"), many)
    assert await refused(new) is Code.LIMIT_EXCEEDED
    assert await world.lanes.fetchval("SELECT count(*) FROM reminder") == REMINDERS_MAX


async def test_strangers_and_what_is_gone_are_the_same(world: World) -> None:
    task = await world.task(due=DUE)
    mallory, _ = await world.sign_up("Mallory")
    made = await remind(world, task)

    for mutation in (
        remind(world, task, actor=mallory),
        remind(world, TaskId(uuid4())),
        world.reminders.remove(world.command(actor=mallory), ReminderId(made.subject)),
        world.reminders.remove(world.command(), ReminderId(uuid4())),
        world.reminders.snooze(world.command(), DeliveryId(uuid4()), Duration(days=1)),
    ):
        assert await refused(mutation) is Code.NOT_FOUND
    assert len(await own(world)) == 2
    assert await own(world, mallory) == []


async def test_an_id_that_anything_has_is_taken(world: World) -> None:
    task = await world.task(due=DUE)
    add = world.reminders.add(world.command(), task, task, HALF_HOUR)
    assert await refused(add) is Code.CONFLICT
    mine = (await remind(world, task)).subject
    again = world.reminders.add(world.command(), task, mine, HALF_HOUR)
    assert await refused(again) is Code.CONFLICT
    other = world.tasks.create(world.command(), world.home, mine, TaskPatch(title="x"))
    assert await refused(other) is Code.CONFLICT


async def test_what_is_snoozed_rings_again_later_on_all_its_channels(world: World) -> None:
    task = await world.task(due=DUE)
    both = frozenset({ChannelName.IN_APP, ChannelName.EMAIL})
    await remind(world, task, replace(HALF_HOUR, channels=both))
    rows = await ledger(world)
    await world.lanes.fetchval("UPDATE delivery SET state = 'SENT'")

    until = rows[0]["due_at"] + timedelta(minutes=10)
    one = DeliveryId(UUID(str(rows[0]["id"])))
    first = await world.reminders.snooze(world.command(KEY), one, until)
    again = await world.reminders.snooze(world.command(KEY), one, until)

    assert again.seq == first.seq == 7
    assert await states(world) == [
        ("01 10:30", "SNOOZED"),
        ("01 10:30", "SNOOZED"),
        ("01 10:40", "PENDING"),
        ("01 10:40", "PENDING"),
    ]
    new = (await ledger(world))[2:]
    assert {row["snoozed_from"] for row in new} == {row["id"] for row in rows}

    await world.tasks.complete(world.command(), task, None)
    assert (await states(world))[2:] == [("01 10:40", "CANCELLED")] * 2


async def test_a_worker_s_moves_make_a_mutation_decide_again(world: World) -> None:
    task = await world.task(due=DUE)
    await remind(world, task)
    stop = asyncio.Event()

    async def worker() -> None:
        while not stop.is_set():
            await world.lanes.fetchval(
                """UPDATE delivery SET state = 'CLAIMED', worker = $1, token = $1
                WHERE state = 'PENDING'""",
                UUID(int=1),
            )
            await asyncio.sleep(0)

    working = asyncio.create_task(worker())
    for day in range(2, 20):
        due = replace(DUE, day=date(2027, 3, day))
        await world.tasks.update(world.command(), task, TaskPatch(due=due), None)
    stop.set()
    await working

    live = [row for row in await ledger(world) if row["state"] in ("PENDING", "CLAIMED")]
    assert [f"{row['due_at']:%d %H:%M}" for row in live] == ["19 10:30"]
    seqs = [row["seq"] for row in await own(world)]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_streams_of_people_have_no_gap_under_many_writers(world: World) -> None:
    bob = await join(world)
    tasks = [await world.task(due=DUE) for _ in range(6)]

    async def work(number: int) -> None:
        task = tasks[number % len(tasks)]
        actor = bob if number % 2 else world.ada
        await remind(world, task, actor=actor)
        due = LATER if number % 3 else DUE
        await world.tasks.update(world.command(actor=actor), task, TaskPatch(due=due), None)

    await asyncio.gather(*(work(number) for number in range(24)))

    for user in (world.ada, bob):
        changes = await own(world, user)
        assert [row["seq"] for row in changes] == list(range(1, len(changes) + 1))
        head = await world.lanes.fetchrow("SELECT * FROM user_stream WHERE id = $1", user)
        assert head is not None
        assert (head["head"], head["head_hash"]) == (len(changes), changes[-1]["hash"])
    rows = await ledger(world)
    live = Counter(row["source"] for row in rows if row["state"] == "PENDING")
    assert set(live.values()) == {1}
    assert len(live) == 24


@pytest.mark.parametrize("status", [Status.DONE, Status.CANCELLED])
async def test_a_closed_task_rings_for_nobody(world: World, status: Status) -> None:
    task = await world.task(due=DUE)
    await world.tasks.update(world.command(), task, TaskPatch(status=status), None)

    made = await remind(world, task)

    assert await states(world) == []
    await world.tasks.reopen(world.command(), task, None)
    assert await states(world) == [("01 10:30", "PENDING")]
    assert made.seq == 1


def wrong(**given: Any) -> Wanted:
    return replace(HALF_HOUR, **given)


@pytest.mark.parametrize(
    "wanted",
    [
        wrong(channels=frozenset()),
        wrong(when=Before(days=400)),
        wrong(when=Before(days=-1)),
        wrong(when=OnDay(at=time(9), days_before=-1)),
    ],
)
async def test_what_can_never_ring_is_refused(world: World, wanted: Wanted) -> None:
    task = await world.task(due=DUE)

    assert await refused(remind(world, task, wanted)) is Code.INVALID
    assert await own(world) == []
