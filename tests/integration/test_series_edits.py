"""What people do with series and their occurrences, and how far it reaches."""

from datetime import date, time
from typing import Any
from uuid import uuid4

import orjson
import pytest

from domain.errors import Code, Refused
from domain.ids import SeriesId, TaskId
from domain.recurrence.policies import Anchor, Open
from domain.recurrence.presets import Preset
from domain.recurrence_draft import RecurrenceDraft
from domain.services.occurrences import Scope
from domain.services.task_patch import DueDraft
from tests.recurring import UTC_ZONE, Recurring, at
from tests.worlds import World, refused

WEEKLY = RecurrenceDraft(preset=Preset.WEEKLY, zone=UTC_ZONE)


@pytest.fixture
def recurring(world: World) -> Recurring:
    return Recurring.of(world)


async def _id(recurring: Recurring) -> SeriesId:
    return SeriesId((await recurring.series())["id"])


async def _task(recurring: Recurring, slot: str) -> TaskId:
    return TaskId((await recurring.task(slot))["id"])


async def _all_series(recurring: Recurring) -> list[Any]:
    return await recurring.world.lanes.fetch(
        "SELECT * FROM series ORDER BY ended_at NULLS LAST, done_until"
    )


async def test_a_paused_series_makes_nothing_and_goes_on_with_what_comes(
    recurring: Recurring,
) -> None:
    await recurring.begin()
    series, command = await _id(recurring), recurring.world.command
    recurring.clock.time = at("2027-01-01T08:00")
    await recurring.edits.pause(command(), series, None)

    await recurring.tick("2027-01-05T10:00")
    assert await recurring.open() == ["01-01T09:00"]

    await recurring.edits.resume(command(), series, None)
    await recurring.processor.tick()
    assert await recurring.open() == ["01-01T09:00", "01-06T09:00"]
    assert await recurring.slots("MISSED") == []
    assert [kind for kind in await recurring.kinds() if kind.startswith("series")] == [
        "series.created",
        "series.paused",
        "series.resumed",
    ]


async def test_what_was_completed_during_a_pause_counts_when_it_goes_on(
    recurring: Recurring,
) -> None:
    task = await recurring.begin("FREQ=DAILY;INTERVAL=3", anchor=Anchor.COMPLETION)
    series, command = await _id(recurring), recurring.world.command
    await recurring.edits.pause(command(), series, None)
    await recurring.complete(task, "2027-01-02T10:00")
    assert await recurring.open() == []

    await recurring.edits.resume(command(), series, None)
    await recurring.processor.tick()

    assert await recurring.open() == ["01-05T09:00"]


async def test_doing_it_again_changes_nothing(recurring: Recurring) -> None:
    await recurring.begin()
    series, command = await _id(recurring), recurring.world.command
    for change in (recurring.edits.pause, recurring.edits.resume, recurring.edits.end):
        await change(command(), series, None)
        head = await recurring.world.head()

        await change(command(), series, None)

        assert await recurring.world.head() == head


async def test_an_ended_series_makes_nothing_and_its_open_ones_stay(recurring: Recurring) -> None:
    await recurring.begin()
    series, command = await _id(recurring), recurring.world.command
    await recurring.edits.end(command(), series, None)

    await recurring.tick("2027-01-05T10:00")

    assert await recurring.open() == ["01-01T09:00"]
    for change in (recurring.edits.pause, recurring.edits.resume):
        assert await refused(change(command(), series, None)) is Code.CONFLICT


async def test_a_stale_version_or_a_stranger_changes_nothing(recurring: Recurring) -> None:
    await recurring.begin()
    series, command = await _id(recurring), recurring.world.command
    bob, _ = await recurring.world.sign_up("Bob")
    head = await recurring.world.head()

    with pytest.raises(Refused) as refusal:
        await recurring.edits.pause(command(), series, 7)
    codes = [
        await refused(recurring.edits.pause(command(actor=bob), series, None)),
        await refused(recurring.edits.end(command(), SeriesId(uuid4()), None)),
    ]

    assert refusal.value.problems[0].code is Code.STALE_VERSION
    assert refusal.value.current is not None
    assert refusal.value.current["version"] == 1
    assert codes == [Code.NOT_FOUND, Code.NOT_FOUND]
    assert await recurring.world.head() == head


async def test_a_slot_to_come_can_be_skipped(recurring: Recurring) -> None:
    await recurring.begin()
    series, command = await _id(recurring), recurring.world.command
    await recurring.edits.skip(command(), series, "2027-01-02T09:00", None)
    head = await recurring.world.head()
    await recurring.edits.skip(command(), series, "2027-01-02T09:00", None)
    assert await recurring.world.head() == head

    await recurring.tick("2027-01-01T09:00")
    await recurring.tick("2027-01-03T09:00")

    assert await recurring.open() == ["01-01T09:00", "01-03T09:00", "01-04T09:00"]
    assert await recurring.slots("SKIPPED") == ["01-02T09:00"]


@pytest.mark.parametrize(
    "_case, slot, code",
    [
        ("no slot", "tomorrow", Code.INVALID),
        ("none of its", "2027-01-02T10:00", Code.NOT_FOUND),
        ("one that has come", "2027-01-01T09:00", Code.CONFLICT),
        ("before it began", "2026-12-31T09:00", Code.NOT_FOUND),
    ],
)
async def test_only_a_slot_to_come_can_be_skipped(
    recurring: Recurring, _case: str, slot: str, code: Code
) -> None:
    await recurring.begin()
    series, head = await _id(recurring), await recurring.world.head()

    given = await refused(recurring.edits.skip(recurring.world.command(), series, slot, None))

    assert given is code
    assert await recurring.world.head() == head


async def test_an_occurrence_can_be_skipped(recurring: Recurring) -> None:
    task = await recurring.begin(open=Open.WAIT)
    await recurring.tick("2027-01-01T09:00")

    await recurring.occurrences.skip(recurring.world.command(), task, None)
    await recurring.settle()

    assert await recurring.shown() == [("01-01T09:00", "CANCELLED"), ("01-02T09:00", "OPEN")]
    assert await recurring.slots("SKIPPED") == ["01-01T09:00"]
    plain = await recurring.create("plain")
    again = await refused(recurring.occurrences.skip(recurring.world.command(), plain, None))
    assert again is Code.CONFLICT


async def test_this_one_alone_is_moved(recurring: Recurring) -> None:
    task = await recurring.begin()
    await recurring.update(task, due=DueDraft(day=date(2027, 1, 1), at=time(18), zone=UTC_ZONE))

    await recurring.tick("2027-01-01T09:00")

    made = await recurring.task("01-02T09:00")
    assert made["due_at"] == "09:00"


async def test_all_that_are_open_and_all_later_ones_change(recurring: Recurring) -> None:
    task = await recurring.begin()
    await recurring.tick("2027-01-01T09:00")
    await recurring.tick("2027-01-02T09:00")
    await recurring.complete(await _task(recurring, "01-02T09:00"))

    await recurring.edit(task, Scope.ALL, title="Water well", description="all of them")
    await recurring.tick("2027-01-03T09:00")

    rows = await recurring.world.lanes.fetch("SELECT slot, title FROM task ORDER BY slot")
    assert [row["title"] for row in rows] == ["Water well", "Water", "Water well", "Water well"]
    kinds = await recurring.kinds()
    assert kinds[-4:] == ["series.updated", "task.updated", "task.updated", "task.created"]


async def test_this_and_the_following_become_a_series_of_their_own(recurring: Recurring) -> None:
    await recurring.begin()
    await recurring.tick("2027-01-01T09:00")
    await recurring.tick("2027-01-02T09:00")

    second = await _task(recurring, "01-02T09:00")
    await recurring.edit(second, Scope.THIS_AND_FOLLOWING, title="Water well")
    await recurring.tick("2027-01-03T09:00")

    old, new = await _all_series(recurring)
    rows = await recurring.world.lanes.fetch("SELECT title, series_id FROM task ORDER BY slot")
    assert [(row["title"], row["series_id"]) for row in rows] == [
        ("Water", old["id"]),
        ("Water well", new["id"]),
        ("Water well", new["id"]),
        ("Water well", new["id"]),
    ]
    assert (old["title"], new["title"]) == ("Water", "Water well")
    assert (old["next_at"], new["next_at"]) == (None, at("2027-01-04T09:00"))
    ledger = await recurring.world.lanes.fetch(
        "SELECT series_id, count(*) AS slots FROM series_slot GROUP BY series_id"
    )
    assert {row["series_id"]: row["slots"] for row in ledger} == {old["id"]: 1, new["id"]: 3}


async def test_a_plain_task_can_be_made_to_recur(recurring: Recurring) -> None:
    due = DueDraft(day=date(2027, 1, 1), at=time(9), zone=UTC_ZONE)
    task = await recurring.create("plain", due=due)

    await recurring.edit(task, Scope.THIS, recurrence=WEEKLY)
    await recurring.tick("2027-01-01T09:00")

    assert await recurring.open() == ["01-01T09:00", "01-08T09:00"]


async def test_another_rule_holds_from_this_one_on(recurring: Recurring) -> None:
    await recurring.begin()
    await recurring.tick("2027-01-01T09:00")
    await recurring.tick("2027-01-02T09:00")
    second = await _task(recurring, "01-02T09:00")

    await recurring.edit(second, Scope.THIS, recurrence=WEEKLY)
    await recurring.processor.tick()

    assert await recurring.open() == ["01-01T09:00", "01-02T09:00", "01-09T09:00"]
    old, new = await _all_series(recurring)
    assert (old["rule"], new["rule"]) == ("FREQ=DAILY", "FREQ=WEEKLY")
    assert (await recurring.task("01-02T09:00"))["series_id"] == new["id"]
    assert await recurring.slots("WITHDRAWN") == ["01-02T09:00", "01-03T09:00"]


async def test_null_ends_the_series_and_keeps_the_task(recurring: Recurring) -> None:
    task = await recurring.begin()

    await recurring.edit(task, Scope.THIS, recurrence=None)
    await recurring.tick("2027-01-05T09:00")

    assert await recurring.open() == ["01-01T09:00"]
    assert (await recurring.series())["ended_at"] is not None


async def test_a_due_moves_one_occurrence_only(recurring: Recurring) -> None:
    task = await recurring.begin()
    due = DueDraft(day=date(2027, 1, 1), at=time(18), zone=UTC_ZONE)

    code = await refused(recurring.edit(task, Scope.ALL, due=due))

    assert code is Code.INVALID


@pytest.mark.parametrize(
    "_case, scope, left",
    [
        ("the following", Scope.THIS_AND_FOLLOWING, ["01-01T09:00"]),
        ("all", Scope.ALL, []),
    ],
)
async def test_a_deletion_reaches_as_far_as_it_says(
    recurring: Recurring, _case: str, scope: Scope, left: list[str]
) -> None:
    task = await recurring.begin()
    await recurring.create("step", parent=task)
    await recurring.tick("2027-01-01T09:00")
    await recurring.tick("2027-01-02T09:00")

    second = await _task(recurring, "01-02T09:00")
    await recurring.occurrences.delete(recurring.world.command(), second, None, scope)
    await recurring.tick("2027-01-09T09:00")

    assert await recurring.open() == left
    assert (await recurring.series())["ended_at"] == at("2027-01-02T09:00")
    steps = "SELECT count(*) FROM task WHERE title = 'step' AND deleted_at IS NULL"
    assert await recurring.world.lanes.fetchval(steps) == len(left)


async def test_every_change_of_a_series_leads_from_state_to_state(recurring: Recurring) -> None:
    task = await recurring.begin()
    series, command = await _id(recurring), recurring.world.command
    await recurring.edits.pause(command(), series, None)
    await recurring.edits.resume(command(), series, None)
    await recurring.edits.skip(command(), series, "2027-01-09T09:00", None)
    await recurring.edit(task, Scope.ALL, title="Water well")
    await recurring.edits.end(command(), series, None)

    state: dict[str, Any] = {}
    for row in await recurring.world.log():
        if row["subject"] == series:
            after = orjson.loads(row["payload"])
            before = {name: state[name] for name in row["fields"]} if state else {}
            assert orjson.loads(row["before"]) == before
            changed = [name for name in after if state.get(name) != after[name]]
            assert not state or set(changed) == {*row["fields"], "version"}
            state = after
    assert state["version"] == 6
