"""New zone data moves what is still to come, once, and nothing else."""

from datetime import date, time
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from domain.recurrence.presets import Preset
from domain.recurrence_draft import RecurrenceDraft
from domain.services.task_patch import DueDraft
from domain.services.zone_changes import ZoneChanges
from infra.postgres.leases import PostgresLeases
from infra.postgres.zone_data import PostgresZoneData
from tests.recurring import Recurring, at, start
from tests.worlds import World
from workers.zone_data import ZoneDataWatch

PARIS = ZoneInfo("Europe/Paris")
NOON = DueDraft(day=date(2027, 7, 1), at=time(12), zone=PARIS)


@pytest.fixture
def recurring(world: World) -> Recurring:
    return Recurring.of(world)


def watch(recurring: Recurring, version: str) -> ZoneDataWatch:
    return ZoneDataWatch(
        version,
        dependents=PostgresZoneData(recurring.world.lanes),
        changes=ZoneChanges(recurring.world.store, recurring.clock),
        leases=PostgresLeases(recurring.world.lanes),
        owner=uuid4(),
        clock=recurring.clock,
    )


async def _as_by_other_data(recurring: Recurring) -> None:
    """Leaves instants as zone data would that has Paris an hour behind."""
    for statement in (
        "UPDATE task SET due_instant = due_instant + interval '1 hour'",
        "UPDATE series SET next_at = next_at + interval '1 hour',"
        " done_until = done_until + interval '1 hour'",
        "UPDATE series_slot SET instant = instant + interval '1 hour'",
    ):
        await recurring.world.lanes.fetchval(statement)


async def test_what_is_to_come_moves_once(recurring: Recurring) -> None:
    draft = RecurrenceDraft(preset=Preset.DAILY, start=start("2027-07-01T09:00"), zone=PARIS)
    await recurring.create("daily", recurrence=draft)
    plain = await recurring.create("plain", due=NOON)
    past = await recurring.create("past", due=DueDraft(day=date(2026, 7, 1), zone=PARIS))
    await _as_by_other_data(recurring)
    head = await recurring.world.head()

    assert await watch(recurring, "2027a").step()
    assert await watch(recurring, "2027a").step()

    dues = await recurring.world.lanes.fetch("SELECT id, due_instant FROM task ORDER BY title")
    assert [row["due_instant"] for row in dues] == [
        at("2027-07-01T07:00"),
        at("2026-07-01T23:00"),
        at("2027-07-01T10:00"),
    ]
    assert [row["id"] for row in dues[1:]] == [past, plain]
    series = await recurring.series()
    assert (series["next_at"], series["done_until"]) == (at("2027-07-01T07:00"),) * 2
    instant = await recurring.world.lanes.fetchval("SELECT instant FROM series_slot")
    assert instant == at("2027-07-01T07:00")
    assert await recurring.world.head() == head + 2
    assert (await recurring.world.log())[-1]["fields"] == ["due"]


async def test_one_process_does_it(recurring: Recurring) -> None:
    await recurring.create("plain", due=NOON)
    await _as_by_other_data(recurring)
    leases = PostgresLeases(recurring.world.lanes)
    await leases.hold(["zone-data"], uuid4(), 60)
    head = await recurring.world.head()

    assert not await watch(recurring, "2027a").step()

    assert await recurring.world.head() == head


async def test_the_same_data_costs_a_look(recurring: Recurring) -> None:
    await recurring.create("plain", due=NOON)
    assert await watch(recurring, "2027a").step()
    await _as_by_other_data(recurring)
    head = await recurring.world.head()

    assert await watch(recurring, "2027a").step()

    assert await recurring.world.head() == head
