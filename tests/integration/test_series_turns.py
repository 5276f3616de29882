"""What series do by themselves, on a real database and by a clock of the test's own."""

from dataclasses import dataclass, field
from datetime import date

import orjson
import pytest

from domain.ids import CategoryId, TagId, TaskId
from domain.ports import Command, Needs, Seen, Store, Writes
from domain.recurrence.policies import Anchor, CatchUp, Open
from domain.recurrence.slots import Slot, occurrence_id
from domain.services import series_batch
from domain.services.task_patch import DueDraft, TaskPatch
from domain.tasks import Status
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
    """A store that keeps how many bytes of words each flush makes."""

    store: Store
    flushed: list[int] = field(default_factory=list)

    async def load(self, command: Command, needs: Needs) -> Seen:
        return await self.store.load(command, needs)

    async def flush(self, command: Command, writes: Writes) -> int:
        self.flushed.append(sum(len(task.description) for task in writes.tasks_new))
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
