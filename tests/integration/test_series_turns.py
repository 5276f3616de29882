"""What series do by themselves, on a real database and by a clock of the test's own."""

from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import orjson
import pytest

from domain.errors import Stale
from domain.ids import CategoryId, TagId, TaskId
from domain.ports import Command, Needs, Seen, Store, Writes
from domain.recurrence.policies import Anchor, CatchUp, Open
from domain.recurrence.slots import Slot, occurrence_id
from domain.services import series_batch
from domain.services.task_patch import DueDraft, TaskPatch
from domain.tasks import DEPTH_MAX, Status
from tests.recurring import Recurring, at
from tests.worlds import World, named


@pytest.fixture
def recurring(world: World) -> Recurring:
    return Recurring.of(world)


async def test_the_next_is_made_when_the_latest_is_due(recurring: Recurring) -> None:
    await recurring.begin()

    await recurring.tick("2027-01-01T08:59")
    assert await recurring.open() == ["01-01T09:00"]

    await recurring.tick("2027-01-01T09:00")
    assert await recurring.open() == ["01-01T09:00", "01-02T09:00"]

    await recurring.tick("2027-01-01T09:00")
    await recurring.tick("2027-01-01T18:00")
    assert await recurring.open() == ["01-01T09:00", "01-02T09:00"]


async def test_an_occurrence_has_the_id_of_its_slot_and_no_actor(recurring: Recurring) -> None:
    await recurring.begin()

    await recurring.tick("2027-01-01T09:00")

    row, series = await recurring.task("01-02T09:00"), await recurring.series()
    slot = Slot(at("2027-01-02T09:00").replace(tzinfo=None), False, at("2027-01-02T09:00"))
    assert row["id"] == occurrence_id(series["id"], slot)
    assert (row["due_day"], row["due_at"], row["due_zone"]) == (date(2027, 1, 2), "09:00", "UTC")
    *_, created = await recurring.world.log()
    assert (created["kind"], created["actor"], created["actor_name"]) == (
        "task.created",
        None,
        None,
    )
    assert orjson.loads(created["payload"])["occurrence"]["slot"] == "2027-01-02T09:00"


@pytest.mark.parametrize(
    "_case, catch_up, shown, missed",
    [
        ("one", CatchUp.ONE, ["01-01", "01-04", "01-05"], ["01-02", "01-03"]),
        ("none", CatchUp.SKIP, ["01-01", "01-05"], ["01-02", "01-03", "01-04"]),
        ("all", CatchUp.ALL, ["01-01", "01-02", "01-03", "01-04", "01-05"], []),
    ],
)
async def test_downtime_is_caught_up_with_by_the_policy(
    recurring: Recurring, _case: str, catch_up: CatchUp, shown: list[str], missed: list[str]
) -> None:
    await recurring.begin(catch_up=catch_up)

    await recurring.tick("2027-01-04T10:00")

    assert await recurring.open() == [f"{day}T09:00" for day in shown]
    assert await recurring.slots("MISSED") == [f"{day}T09:00" for day in missed]


async def test_a_year_of_downtime_is_caught_up_with_in_bounded_commits(
    recurring: Recurring,
) -> None:
    task = await recurring.begin(catch_up=CatchUp.ALL)
    for number in range(30):
        await recurring.create(f"step {number}", parent=task)

    await recurring.tick("2028-01-01T08:00")

    assert len(await recurring.open()) == 1 + 100 + 1
    assert len(await recurring.slots("MISSED")) == 100
    assert len(await recurring.world.log()) == 34 + 101 * 31


async def test_an_open_one_may_hold_the_next(recurring: Recurring) -> None:
    task = await recurring.begin(open=Open.WAIT)

    await recurring.tick("2027-01-03T10:00")
    assert await recurring.open() == ["01-01T09:00"]
    assert (await recurring.series())["next_at"] is None

    await recurring.complete(task)
    assert await recurring.open() == ["01-03T09:00"]
    assert await recurring.slots("MISSED") == ["01-02T09:00"]

    await recurring.complete(TaskId((await recurring.task("01-03T09:00"))["id"]))
    assert await recurring.open() == ["01-04T09:00"]


async def test_one_that_is_done_in_time_holds_nothing(recurring: Recurring) -> None:
    task = await recurring.begin(open=Open.WAIT)

    await recurring.complete(task, "2026-12-31T18:00")
    assert await recurring.open() == []

    await recurring.tick("2027-01-01T09:00")
    assert await recurring.open() == ["01-02T09:00"]


async def test_an_open_one_may_be_replaced(recurring: Recurring) -> None:
    await recurring.begin(open=Open.REPLACE)

    await recurring.tick("2027-01-01T09:00")
    assert await recurring.open() == ["01-01T09:00", "01-02T09:00"]

    await recurring.tick("2027-01-02T09:00")
    assert await recurring.shown() == [
        ("01-01T09:00", "CANCELLED"),
        ("01-02T09:00", "OPEN"),
        ("01-03T09:00", "OPEN"),
    ]
    assert await recurring.slots("MISSED") == ["01-01T09:00"]


async def test_after_downtime_only_the_latest_is_not_replaced(recurring: Recurring) -> None:
    await recurring.begin(open=Open.REPLACE, catch_up=CatchUp.ALL)

    await recurring.tick("2027-01-04T10:00")

    assert await recurring.open() == ["01-04T09:00", "01-05T09:00"]
    assert await recurring.slots("MISSED") == [f"01-0{day}T09:00" for day in (1, 2, 3)]


async def test_the_next_may_count_from_the_completion(recurring: Recurring) -> None:
    task = await recurring.begin("FREQ=DAILY;INTERVAL=3", anchor=Anchor.COMPLETION)

    await recurring.tick("2027-01-05T18:00")
    assert await recurring.open() == ["01-01T09:00"]

    await recurring.complete(task)
    assert await recurring.shown() == [("01-01T09:00", "DONE"), ("01-08T09:00", "OPEN")]
    assert (await recurring.series())["next_at"] is None


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
async def test_whatever_closes_it_leads_to_the_next(recurring: Recurring, how: str) -> None:
    task = await recurring.begin("FREQ=DAILY;INTERVAL=3", anchor=Anchor.COMPLETION)
    recurring.clock.time = at("2027-01-05T18:00")

    if how == "deleted":
        await recurring.delete(task)
    else:
        await recurring.update(task, status=Status.CANCELLED)
        await recurring.settle()

    assert await recurring.open() == ["01-08T09:00"]


async def test_a_count_is_kept_where_completions_count(recurring: Recurring) -> None:
    task = await recurring.begin("FREQ=DAILY;COUNT=2", anchor=Anchor.COMPLETION)

    await recurring.complete(task, "2027-01-01T18:00")
    await recurring.complete(TaskId((await recurring.task("01-02T09:00"))["id"]))

    assert await recurring.open() == []
    assert (await recurring.series())["ended_at"] is not None
    assert (await recurring.kinds())[-1] == "series.ended"


async def test_a_series_ends_with_its_rule(recurring: Recurring) -> None:
    await recurring.begin("FREQ=DAILY;COUNT=2")

    await recurring.tick("2027-01-01T09:00")
    await recurring.tick("2027-01-02T09:00")

    series = await recurring.series()
    assert (series["ended_at"], series["next_at"]) == (at("2027-01-02T09:00"), None)
    assert (await recurring.kinds())[-1] == "series.ended"
    assert await recurring.open() == ["01-01T09:00", "01-02T09:00"]


async def test_an_undone_completion_takes_the_next_back(recurring: Recurring) -> None:
    task = await recurring.begin(anchor=Anchor.COMPLETION)
    await recurring.create("step", parent=task)
    await recurring.complete(task, "2027-01-01T18:00")
    spawned = await recurring.task("01-02T09:00")

    await recurring.reopen(task)

    assert await recurring.shown() == [("01-01T09:00", "OPEN")]
    assert await recurring.slots("WITHDRAWN") == ["01-02T09:00"]
    series = await recurring.series()
    assert (series["current"], series["made"]) == (task, 1)

    await recurring.complete(task)

    assert await recurring.shown() == [("01-01T09:00", "DONE"), ("01-02T09:00", "OPEN")]
    assert (await recurring.task("01-02T09:00"))["id"] == spawned["id"]
    assert (await recurring.kinds())[-2:] == ["task.restored", "task.restored"]
    assert await recurring.slots("WITHDRAWN") == []


async def test_what_somebody_worked_on_is_not_taken_back(recurring: Recurring) -> None:
    task = await recurring.begin(anchor=Anchor.COMPLETION)
    await recurring.complete(task, "2027-01-01T18:00")
    await recurring.update(TaskId((await recurring.task("01-02T09:00"))["id"]), title="Other")

    await recurring.reopen(task)

    assert await recurring.open() == ["01-01T09:00", "01-02T09:00"]


async def test_what_waited_is_taken_back_too(recurring: Recurring) -> None:
    task = await recurring.begin(open=Open.WAIT)
    await recurring.tick("2027-01-01T10:00")
    await recurring.complete(task)
    assert await recurring.open() == ["01-02T09:00"]

    await recurring.reopen(task)

    assert await recurring.open() == ["01-01T09:00"]
    assert (await recurring.series())["next_at"] is None
    await recurring.complete(task)
    assert await recurring.open() == ["01-02T09:00"]


async def test_subtasks_and_tags_come_along_fresh(recurring: Recurring) -> None:
    world = recurring.world
    tag = TagId(await named(world, "tag", "Red"))
    category = CategoryId(await named(world, "category", "Home"))
    task = await recurring.begin(tags=frozenset([tag]), category=category, assignee=world.ada)
    first = await recurring.create("first", parent=task, due=DueDraft(day=date(2027, 1, 3)))
    await recurring.create("below", parent=first)
    gone = await recurring.create("gone", parent=task)
    await recurring.delete(gone)
    await recurring.complete(first, "2027-01-01T08:00")

    await recurring.tick("2027-01-01T09:00")

    made = await recurring.task("01-02T09:00")
    assert (made["tag_ids"], made["category_id"], made["assignee_id"]) == (
        [tag],
        category,
        world.ada,
    )
    (copy,) = await world.lanes.fetch("SELECT * FROM task WHERE parent_id = $1", made["id"])
    assert (copy["title"], copy["status"], copy["completed_at"]) == ("first", "OPEN", None)
    assert (copy["due_day"], copy["version"]) == (date(2027, 1, 4), 1)
    below = await world.lanes.fetch("SELECT title FROM task WHERE parent_id = $1", copy["id"])
    assert [row["title"] for row in below] == ["below"]


async def test_labels_and_people_that_are_gone_do_not_come_along(recurring: Recurring) -> None:
    world = recurring.world
    tag = TagId(await named(world, "tag", "Red"))
    await recurring.begin(tags=frozenset([tag]))
    await world.labels.delete(world.command(), "tag", tag)

    await recurring.tick("2027-01-01T09:00")

    assert (await recurring.task("01-02T09:00"))["tag_ids"] == []


async def test_nothing_is_made_below_a_task_in_the_trash(recurring: Recurring) -> None:
    project = await recurring.create("project")
    await recurring.begin(parent=project)
    await recurring.delete(project)

    await recurring.tick("2027-01-03T10:00")
    assert await recurring.shown() == []

    await recurring.tasks.restore(recurring.world.command(), project, None)
    await recurring.tick("2027-01-04T09:00")
    assert await recurring.open() == ["01-01T09:00", "01-04T09:00", "01-05T09:00"]


async def test_a_task_that_took_the_id_of_a_slot_takes_no_slot(recurring: Recurring) -> None:
    await recurring.begin()
    series = await recurring.series()
    slot = Slot(at("2027-01-02T09:00").replace(tzinfo=None), False, at("2027-01-02T09:00"))
    squatted = occurrence_id(series["id"], slot)
    world = recurring.world
    await recurring.tasks.create(world.command(), world.home, squatted, TaskPatch(title="Mine"))

    await recurring.tick("2027-01-01T09:00")

    assert await recurring.open() == ["01-01T09:00", "01-02T09:00"]
    assert (await recurring.task("01-02T09:00"))["id"] != squatted


async def test_many_series_have_their_turns_together(recurring: Recurring) -> None:
    for _ in range(70):
        await recurring.begin()
    before = await recurring.world.head()

    await recurring.tick("2027-01-01T09:00")

    assert await recurring.world.head() == before + 70
    positions = await recurring.world.lanes.fetch(
        "SELECT count(DISTINCT position) AS places, count(*) AS tasks FROM task"
    )
    assert (positions[0]["places"], positions[0]["tasks"]) == (140, 140)


@dataclass
class Weighing:
    """A store that keeps how much each flush writes: bytes of words of new tasks, and changes."""

    store: Store
    flushed: list[int] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)

    async def load(self, command: Command, needs: Needs) -> Seen:
        return await self.store.load(command, needs)

    async def flush(self, command: Command, writes: Writes) -> int:
        self.flushed.append(sum(len(task.description) for task in writes.tasks_new))
        self.changes.append(len(writes.facts))
        return await self.store.flush(command, writes)


@dataclass
class Jammed:
    """A store where whatever is about several series loses every race."""

    store: Store

    async def load(self, command: Command, needs: Needs) -> Seen:
        return await self.store.load(command, needs)

    async def flush(self, command: Command, writes: Writes) -> int:
        if len(writes.series) > 1:
            raise Stale("somebody was faster")
        return await self.store.flush(command, writes)


async def test_one_commit_takes_only_so_many_words_whoever_wrote_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Megabytes would take half a minute here.
    monkeypatch.setattr(series_batch, "BYTES_MAX", 40_000)
    store = Weighing(world.store)
    recurring = Recurring.of(world, store=store)
    for _ in range(2):
        task = await recurring.begin(catch_up=CatchUp.ALL, description="x" * 1_000)
        for number in range(4):
            await recurring.create(f"step {number}", parent=task, description="y " * 500)
    await recurring.begin(title="Heavy", description="x" * 50_000)

    await recurring.tick("2027-01-06T10:00")

    assert len(await recurring.open()) == 2 * 7 + 3
    assert sum(store.flushed) == 2 * 6 * 5_000 + 2 * 50_000
    assert sorted(store.flushed, reverse=True)[:2] == [50_000, 50_000]
    assert max(size for size in store.flushed if size != 50_000) <= 40_000


async def test_passed_slots_may_be_passed_over_again_after_an_undo(recurring: Recurring) -> None:
    task = await recurring.begin(open=Open.WAIT)
    await recurring.tick("2027-01-05T10:00")
    await recurring.complete(task)
    await recurring.reopen(task)

    await recurring.complete(task, "2027-01-07T12:00")

    assert await recurring.open() == ["01-07T09:00"]
    assert await recurring.slots("MISSED") == [f"01-0{day}T09:00" for day in range(2, 7)]
    assert await recurring.slots("WITHDRAWN") == []


async def test_a_slot_that_was_made_is_never_made_again(recurring: Recurring) -> None:
    await recurring.begin()
    await recurring.begin(title="Other")
    await recurring.tick("2027-01-01T09:00")
    before = await recurring.world.head()
    await recurring.world.lanes.fetch(
        "UPDATE series SET done_until = done_until - interval '1 day', next_at = now()"
        " WHERE title = 'Water'"
    )

    await recurring.tick("2027-01-02T09:00")

    # It failed alone, and was put off.
    assert await recurring.world.head() == before + 1
    assert (await recurring.task("01-03T09:00"))["title"] == "Other"


async def test_what_cannot_be_decided_together_is_decided_alone(world: World) -> None:
    recurring = Recurring.of(world, store=Jammed(world.store))
    for title in ("Water", "Feed"):
        await recurring.begin(title=title)

    await recurring.tick("2027-01-01T09:00")

    assert await recurring.open() == ["01-01T09:00"] * 2 + ["01-02T09:00"] * 2


async def test_it_may_be_undone_as_often_as_one_likes(recurring: Recurring) -> None:
    task = await recurring.begin(anchor=Anchor.COMPLETION)
    for day in range(1, 14):
        await recurring.complete(task, f"2027-01-{day:02}T10:00")
        await recurring.reopen(task)
        assert await recurring.open() == ["01-01T09:00"]

    for _ in range(2):
        await recurring.complete(task)
        assert await recurring.open() == ["01-14T09:00"]
        await recurring.reopen(task)
        assert await recurring.open() == ["01-01T09:00"]
    await recurring.complete(task)

    assert len(await recurring.slots("WITHDRAWN")) == 12


async def test_a_label_that_goes_is_no_work_on_the_next(recurring: Recurring) -> None:
    world = recurring.world
    tag = TagId(await named(world, "tag", "Red"))
    task = await recurring.begin(anchor=Anchor.COMPLETION, tags=frozenset([tag]))
    await recurring.complete(task, "2027-01-01T10:00")
    await world.labels.delete(world.command(), "tag", tag)

    await recurring.reopen(task)

    assert await recurring.open() == ["01-01T09:00"]


async def test_what_somebody_put_below_it_is_not_taken_back(recurring: Recurring) -> None:
    task = await recurring.begin(anchor=Anchor.COMPLETION)
    await recurring.complete(task, "2027-01-01T10:00")
    made = await recurring.task("01-02T09:00")
    await recurring.create("Mine", parent=TaskId(UUID(int=made["id"].int)))

    await recurring.reopen(task)

    assert await recurring.open() == ["01-01T09:00", "01-02T09:00"]


@pytest.mark.parametrize("anchor", Anchor)
async def test_subtasks_come_along_from_the_trash_too(recurring: Recurring, anchor: Anchor) -> None:
    task = await recurring.begin(anchor=anchor)
    await recurring.create("step", parent=task)
    recurring.clock.time = at("2027-01-01T08:00")
    await recurring.delete(task)

    await recurring.tick("2027-01-01T10:00")

    made = await recurring.task("01-02T09:00")
    (step,) = await recurring.world.lanes.fetch(
        "SELECT * FROM task WHERE parent_id = $1", made["id"]
    )
    assert (step["title"], step["deleted_at"]) == ("step", None)


async def test_one_that_is_too_tall_for_its_place_is_made_at_the_top(recurring: Recurring) -> None:
    deep = await recurring.create("top")
    for _ in range(DEPTH_MAX - 3):
        deep = await recurring.create("lower", parent=deep)
    project = await recurring.create("project")
    task = await recurring.begin(parent=project)
    await recurring.create("step", parent=await recurring.create("step", parent=task))
    flat = await recurring.begin(title="Flat", parent=project)
    for one in (task, flat):
        await recurring.update(one, parent=None)
    await recurring.update(project, parent=deep)

    await recurring.tick("2027-01-01T09:00")

    rows = await recurring.world.lanes.fetch(
        "SELECT title, parent_id FROM task WHERE slot = '2027-01-02T09:00' ORDER BY title"
    )
    assert [tuple(row) for row in rows] == [("Flat", project), ("Water", None)]


@pytest.mark.parametrize("anchor", Anchor)
async def test_a_series_ends_whose_place_is_purged(recurring: Recurring, anchor: Anchor) -> None:
    project = await recurring.create("project")
    task = await recurring.begin(parent=project, anchor=anchor)
    await recurring.update(task, parent=None)
    await recurring.delete(project)
    await recurring.world.lanes.fetch("DELETE FROM task WHERE id = $1", project)

    await recurring.complete(task, "2027-01-01T09:00")

    series = await recurring.series()
    assert (series["ended_at"], series["next_at"]) == (at("2027-01-01T09:00"), None)
    assert (await recurring.kinds())[-1] == "series.ended"


async def test_one_that_was_done_while_its_place_was_in_the_trash_goes_on(
    recurring: Recurring,
) -> None:
    project = await recurring.create("project")
    task = await recurring.begin(parent=project, anchor=Anchor.COMPLETION)
    await recurring.update(task, parent=None)
    await recurring.delete(project)
    await recurring.complete(task, "2027-01-01T10:00")
    assert await recurring.open() == []

    await recurring.tasks.restore(recurring.world.command(), project, None)
    await recurring.tick("2027-01-01T10:10")

    assert await recurring.open() == ["01-02T09:00"]


async def test_what_was_cancelled_counts_from_then(recurring: Recurring) -> None:
    task = await recurring.begin("FREQ=DAILY;INTERVAL=3", anchor=Anchor.COMPLETION)
    recurring.clock.time = at("2027-01-01T10:00")
    await recurring.update(task, status=Status.CANCELLED)
    recurring.clock.time = at("2027-01-10T10:00")
    await recurring.update(task, title="Edited while nobody looked")

    await recurring.settle()

    assert await recurring.open() == ["01-04T09:00"]


async def test_what_is_replaced_counts_among_the_changes_of_a_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A thousand would take a minute here.
    monkeypatch.setattr(series_batch, "CHANGES_MAX", 10)
    store = Weighing(world.store)
    recurring = Recurring.of(world, store=store)
    for title in ("Water", "Feed"):
        await recurring.begin(title=title)
    for day in range(1, 13):
        await recurring.tick(f"2027-01-{day:02}T09:00")
    await world.lanes.fetch("UPDATE series SET open = 'REPLACE'")
    store.changes.clear()

    await recurring.tick("2027-01-13T09:00")

    assert await recurring.open() == ["01-13T09:00"] * 2 + ["01-14T09:00"] * 2
    assert max(store.changes) <= 10
    assert sum(store.changes) == 2 * (12 + 1)
