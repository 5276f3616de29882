"""Reminders of tasks that recur: each occurrence rings as the one before it did."""

from datetime import timedelta

import pytest

from domain.channels import ChannelName
from domain.recurrence.policies import Anchor, Open
from domain.reminders import Before, Wanted
from domain.services import series_batch
from domain.services.occurrences import Scope
from tests.recurring import Recurring
from tests.worlds import World

HALF_HOUR = Wanted(
    when=Before(span=timedelta(minutes=30)), channels=frozenset({ChannelName.IN_APP})
)


@pytest.fixture
def recurring(world: World) -> Recurring:
    return Recurring.of(world)


async def rings(recurring: Recurring) -> list[tuple[str, str]]:
    rows = await recurring.world.lanes.fetch("SELECT due_at, state FROM delivery ORDER BY due_at")
    return [(f"{row['due_at']:%m-%d %H:%M}", row["state"]) for row in rows]


async def test_the_next_occurrence_rings_as_the_latest_did(recurring: Recurring) -> None:
    task = await recurring.begin()
    world = recurring.world
    await world.reminders.add(world.command(), task, None, HALF_HOUR)

    await recurring.tick("2027-01-01T09:00")
    await recurring.tick("2027-01-02T09:00")

    assert await rings(recurring) == [
        ("01-01 08:30", "PENDING"),
        ("01-02 08:30", "PENDING"),
        ("01-03 08:30", "PENDING"),
    ]
    changes = await world.log(world.ada)  # type: ignore[arg-type]
    assert [row["seq"] for row in changes] == list(range(1, 7))


async def test_what_is_replaced_rings_no_more(recurring: Recurring) -> None:
    task = await recurring.begin(open=Open.REPLACE)
    world = recurring.world
    await world.reminders.add(world.command(), task, None, HALF_HOUR)

    await recurring.tick("2027-01-01T09:00")
    await recurring.tick("2027-01-02T09:00")

    states = dict(await rings(recurring))
    assert states["01-01 08:30"] == "CANCELLED"
    assert states["01-03 08:30"] == "PENDING"


async def test_what_an_undone_completion_takes_back_rings_no_more(recurring: Recurring) -> None:
    task = await recurring.begin(anchor=Anchor.COMPLETION)
    world = recurring.world
    await world.reminders.add(world.command(), task, None, HALF_HOUR)
    await recurring.complete(task)
    before = await rings(recurring)
    assert [state for _, state in before] == ["CANCELLED", "PENDING"]

    await recurring.reopen(task)

    assert [state for _, state in await rings(recurring)] == ["PENDING", "CANCELLED"]

    await recurring.complete(task)

    assert [state for _, state in await rings(recurring)] == ["CANCELLED", "PENDING"]


@pytest.mark.parametrize("how", ["skipped", "deleted"])
async def test_what_is_skipped_or_deleted_rings_no_more(recurring: Recurring, how: str) -> None:
    task = await recurring.begin()
    world = recurring.world
    await world.reminders.add(world.command(), task, None, HALF_HOUR)
    await recurring.tick("2027-01-01T08:00")

    if how == "skipped":
        await recurring.occurrences.skip(world.command(), task, None)
        expected = ["CANCELLED", "PENDING"]
    else:
        await recurring.tick("2027-01-01T09:00")
        await recurring.occurrences.delete(world.command(), task, None, Scope.ALL)
        expected = ["CANCELLED", "CANCELLED"]

    await recurring.tick("2027-01-01T09:00")
    assert [state for _, state in await rings(recurring)] == expected


async def test_a_crowd_that_is_replaced_at_once_rings_no_more(
    recurring: Recurring, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A thousand would take a minute here.
    monkeypatch.setattr(series_batch, "CHANGES_MAX", 3)
    task = await recurring.begin()
    world = recurring.world
    await world.reminders.add(world.command(), task, None, HALF_HOUR)
    for day in range(1, 6):
        await recurring.tick(f"2027-01-0{day}T08:00")
        await recurring.tick(f"2027-01-0{day}T09:00")
    await world.lanes.fetch("UPDATE series SET open = 'REPLACE'")

    await recurring.tick("2027-01-06T09:00")

    states = [state for _, state in await rings(recurring)]
    assert states == ["CANCELLED"] * 5 + ["PENDING"] * 2
