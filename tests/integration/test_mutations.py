"""The write path on a real PostgreSQL: decisions, the flush and its guards, the log."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import orjson
import pytest

from domain.changes import GENESIS, chain, digest, head_digest
from domain.errors import Code, Refused
from domain.ids import CategoryId, TagId, TaskId, UserId, WorkspaceId
from domain.labels import Kind
from domain.ports import Command
from domain.services.labels import LabelPatch
from domain.services.mutations import Outcome
from domain.services.task_patch import DueDraft, Place, TaskPatch
from domain.tasks import DEPTH_MAX, DESCRIPTION_MAX_CHARS, SUBTREE_MAX, SUBTREE_MAX_BYTES
from domain.text import sort_key
from domain.workspaces import Role
from tests.worlds import World

KEY = "a-key-of-the-test"


async def test_fifty_writers_leave_no_gap_and_a_chain_that_verifies(world: World) -> None:
    tag = (await world.labels.create(*label(world, "tag", "Red"))).subject
    shared = await world.task("shared")

    async def write(number: int) -> None:
        for turn in range(6):
            await world.task(f"{number}.{turn}", tags=frozenset([TagId(tag)]))
            done = world.tasks.complete if turn % 2 else world.tasks.reopen
            await done(world.command(), shared, None)
            await asyncio.gather(
                world.labels.update(world.command(), "tag", tag, LabelPatch(name="X")),
                refused(world.tasks.update(world.command(), shared, TaskPatch(title=""), None)),
            )

    await asyncio.gather(*(write(number) for number in range(50)))

    rows = await world.log()
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > 300
    assert await world.head() == len(rows)
    assert chain_of(rows) == await world.lanes.fetchval(
        "SELECT head_hash FROM workspace WHERE id = $1", world.home
    )


async def test_one_flipped_bit_breaks_the_chain(world: World) -> None:
    await world.task()
    rows = [dict(row) for row in await world.log()]

    rows[-1]["payload"] = rows[-1]["payload"].replace("milk", "mild")

    assert chain_of(rows) != rows[-1]["hash"]


async def test_every_change_leads_from_the_state_before_to_the_state_after(world: World) -> None:
    await busy(world, random.Random(7), turns=400)

    states: dict[UUID, dict[str, Any]] = {}
    kinds = set()
    for row in await world.log():
        subject, after = row["subject"], orjson.loads(row["payload"])
        before = states.get(subject, {})
        kinds.add(row["kind"])
        if not row["kind"].endswith((".created", ".added")):
            patched = {**before, **{name: after[name] for name in row["fields"]}}
            if "version" in before:
                patched |= {"version": before["version"] + 1, "updated_at": row["at"]}
            assert patched == after, row["kind"]
            was = {name: before[name] for name in row["fields"]}
            assert less(orjson.loads(row["before"]), {"id"}) == was, row["kind"]
        states[subject] = after
        follow(states, row["kind"], after)

    assert kinds >= {
        *(f"task.{done}" for done in ("created", "updated", "completed", "deleted", "restored")),
        *(f"{kind}.{done}" for kind in ("tag", "category") for done in ("updated", "deleted")),
    }
    stored = await world.lanes.fetch("SELECT * FROM task")
    assert len(stored) > 20
    for row in stored:
        state = states[row["id"]]
        for name in ("title", "description", "status", "position", "version"):
            assert row[name] == state[name], name
        assert row["tag_ids"] == sorted(UUID(tag["id"]) for tag in state["tags"])
        for name in ("category", "assignee", "parent"):
            assert row[f"{name}_id"] == (state[name] and UUID(state[name]["id"])), name
        assert (row["deleted_at"] is None) == (state["deleted_at"] is None)


async def test_a_repeat_answers_with_the_change_made_then(world: World) -> None:
    first = await world.tasks.create(
        world.command(KEY), world.home, None, TaskPatch(title="Buy milk")
    )
    await world.tasks.update(
        world.command(), TaskId(first.subject), TaskPatch(title="Buy oats"), None
    )
    head = await world.head()

    again = await world.tasks.create(
        world.command(KEY), world.home, None, TaskPatch(title="Buy milk")
    )

    assert again == first
    assert await world.head() == head


async def test_many_at_once_with_one_key_make_one_change(world: World) -> None:
    new = uuid4()

    answers = await asyncio.gather(
        *(
            world.tasks.create(world.command(KEY), world.home, new, TaskPatch(title="Once"))
            for _ in range(20)
        )
    )

    assert len({answer.seq for answer in answers}) == 1
    assert await world.head() == answers[0].seq == 3


async def test_many_at_once_with_one_key_make_one_workspace(world: World) -> None:
    new = uuid4()

    answers = await asyncio.gather(
        *(world.workspaces.create(world.command(KEY), new, "Office") for _ in range(10))
    )

    assert {(answer.subject, answer.seq) for answer in answers} == {(new, 2)}
    assert [answer.state["name"] for answer in answers] == ["Office"] * 10


async def test_a_key_with_other_arguments_is_refused(world: World) -> None:
    await world.tasks.create(world.command(KEY), world.home, None, TaskPatch(title="One"))
    other = replace(world.command(KEY), arguments=b"other")
    head = await world.head()

    code = await refused(world.tasks.create(other, world.home, None, TaskPatch(title="Two")))

    assert code is Code.KEY_REUSED
    assert await world.head() == head


async def test_a_repeated_no_op_stays_one_after_others_went_on(world: World) -> None:
    task = await world.task()
    await world.tasks.complete(world.command(), task, None)
    first = await world.tasks.complete(world.command(KEY), task, None)
    await world.tasks.reopen(world.command(), task, None)

    again = await world.tasks.complete(world.command(KEY), task, None)

    assert again == first
    assert again.state["status"] == "DONE"
    status = await world.lanes.fetchval("SELECT status FROM task WHERE id = $1", task)
    assert status == "OPEN"


async def test_a_repeated_no_op_answers_what_it_answered(world: World) -> None:
    tag = TagId((await world.labels.create(*label(world, "tag", "Red"))).subject)
    category = CategoryId((await world.labels.create(*label(world, "category", "Home"))).subject)
    task = await world.task(tags=frozenset([tag]), category=category)
    rename = LabelPatch(name="Blue", given=frozenset(["name"]))
    await world.labels.update(world.command(), "tag", tag, rename)
    await world.labels.delete(world.command(), "category", category)
    first = await world.tasks.reopen(world.command(KEY), task, None)
    await world.labels.delete(world.command(), "tag", tag)

    again = await world.tasks.reopen(world.command(KEY), task, None)

    assert again == first
    assert [tag["name"] for tag in listed(first.state["tags"])] == ["Blue"]
    assert first.state["category"] is None


async def test_only_a_no_op_keeps_a_state_beside_the_log(world: World) -> None:
    task = await world.task()
    await world.tasks.complete(world.command("a change of a test"), task, None)
    await world.tasks.complete(world.command("a no-op of the test"), task, None)

    rows = await world.lanes.fetch("SELECT key, state FROM idempotency ORDER BY key")

    assert [(row["key"], row["state"] is None) for row in rows] == [
        ("a change of a test", True),
        ("a no-op of the test", False),
    ]


async def test_who_has_left_hears_so_again(world: World) -> None:
    bob, _ = await world.sign_up("Bob")
    await world.workspaces.add_member(
        world.command(), world.home, f"{bob}@example.com", Role.MEMBER
    )
    as_bob = world.command(KEY, actor=bob)
    first = await world.workspaces.remove_member(as_bob, world.home, bob)
    head = await world.head()

    again = await world.workspaces.remove_member(as_bob, world.home, bob)

    assert again == first
    assert await world.head() == head


async def test_who_was_removed_hears_nothing_by_an_old_key(world: World) -> None:
    bob, _ = await world.sign_up("Bob")
    await world.workspaces.add_member(world.command(), world.home, f"{bob}@example.com", Role.ADMIN)
    as_bob = world.command(KEY, actor=bob)
    await world.tasks.create(as_bob, world.home, None, TaskPatch(title="x"))
    await world.workspaces.remove_member(world.command(), world.home, bob)

    again = world.tasks.create(as_bob, world.home, None, TaskPatch(title="x"))

    assert await refused(again) is Code.NOT_FOUND


async def test_a_stale_version_shows_the_present_and_changes_nothing(world: World) -> None:
    task = await world.task()
    await world.tasks.update(world.command(), task, TaskPatch(title="Oats"), 1)
    head = await world.head()

    with pytest.raises(Refused) as refusal:
        await world.tasks.update(world.command(), task, TaskPatch(title="Tea"), 1)

    assert refusal.value.problems[0].code is Code.STALE_VERSION
    assert refusal.value.current is not None
    assert refusal.value.current["title"] == "Oats"
    assert await world.head() == head


async def test_one_of_many_with_the_same_expected_version_wins(world: World) -> None:
    task = await world.task()

    results = await asyncio.gather(
        *(
            world.tasks.update(world.command(), task, TaskPatch(title=f"t{n}"), 1)
            for n in range(12)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(result, Outcome) for result in results) == 1
    assert await world.lanes.fetchval("SELECT version FROM task WHERE id = $1", task) == 2


async def test_crossing_moves_never_make_a_circle(world: World) -> None:
    tasks = [await world.task(f"t{n}") for n in range(6)]
    chance = random.Random(3)

    async def move() -> None:
        child, parent = chance.sample(tasks, 2)
        await refused(world.tasks.update(world.command(), child, TaskPatch(parent=parent), None))

    for _ in range(15):
        await asyncio.gather(*(move() for _ in range(8)))

    parents = dict(await world.lanes.fetch("SELECT id, parent_id FROM task"))
    for task in tasks:
        seen, at = set(), parents[task]
        while at is not None:
            assert at not in seen
            seen.add(at)
            at = parents[at]


async def test_a_task_with_very_many_below_it_never_lies_below_itself(world: World) -> None:
    top = await world.task("top")
    below = await many_below(world, top, SUBTREE_MAX + 100)

    for child in random.Random(5).sample(below, 60):
        moved = world.tasks.update(world.command(), top, TaskPatch(parent=child), None)
        assert await refused(moved) is Code.CONFLICT
    assert await world.lanes.fetchval("SELECT parent_id FROM task WHERE id = $1", top) is None


async def test_depth_is_counted_beyond_very_many_subtasks(world: World) -> None:
    top = await world.task("top")
    await many_below(world, top, SUBTREE_MAX + 100)
    await chain_below(world, top, 10)
    host = await chain_below(world, await world.task("host"), DEPTH_MAX - 11)

    too_deep = TaskPatch(parent=host[-1])
    code = await refused(world.tasks.update(world.command(), top, too_deep, None))
    fits = await world.tasks.update(world.command(), top, TaskPatch(parent=host[-2]), None)

    assert code is Code.LIMIT_EXCEEDED
    assert fits.state["parent"] == {"id": str(host[-2])}


async def test_a_task_shows_no_name_that_was_gone_when_it_committed(world: World) -> None:
    tag = (await world.labels.create(*label(world, "tag", "n0"))).subject

    async def rename() -> None:
        for n in range(1, 30):
            await world.labels.update(
                world.command(), "tag", tag, LabelPatch(name=f"n{n}", given=frozenset(["name"]))
            )

    async def create() -> None:
        for n in range(30):
            await world.task(f"t{n}", tags=frozenset([TagId(tag)]))

    await asyncio.gather(rename(), create(), create())

    name = "n0"
    for row in await world.log():
        state = orjson.loads(row["payload"])
        if row["kind"] == "tag.updated":
            name = state["name"]
        if row["kind"] == "task.created":
            assert state["tags"][0]["name"] == name


async def test_a_stranger_learns_nothing_and_changes_nothing(world: World) -> None:
    task = await world.task()
    tag = (await world.labels.create(*label(world, "tag", "Red"))).subject
    bob, _ = await world.sign_up("Bob")
    head, as_bob = await world.head(), world.command(actor=bob)

    codes = [
        await refused(world.tasks.update(as_bob, task, TaskPatch(title="Mine"), None)),
        await refused(world.tasks.complete(as_bob, task, 99)),
        await refused(world.tasks.delete(as_bob, task, None)),
        await refused(world.tasks.create(as_bob, world.home, None, TaskPatch(title="x"))),
        await refused(world.labels.delete(as_bob, "tag", tag)),
        await refused(world.workspaces.add_member(as_bob, world.home, "x@example.com", Role.OWNER)),
        await refused(world.workspaces.remove_member(as_bob, world.home, world.ada)),
    ]

    assert set(codes) == {Code.NOT_FOUND}
    assert await world.head() == head


async def test_references_must_be_of_the_same_workspace(world: World) -> None:
    bob, bobs = await world.sign_up("Bob")
    theirs = world.command(actor=bob)
    tag = (await world.labels.create(theirs, "tag", bobs, None, LABEL)).subject
    task = (await world.tasks.create(theirs, bobs, None, TaskPatch(title="Bob's"))).subject

    for patch in (
        TaskPatch(title="x", tags=frozenset([TagId(tag)])),
        TaskPatch(title="x", category=CategoryId(tag)),
        TaskPatch(title="x", assignee=bob),
        TaskPatch(title="x", parent=TaskId(task)),
        TaskPatch(title="x", place=Place(after=TaskId(task))),
    ):
        made = world.tasks.create(world.command(), world.home, None, patch)
        assert await refused(made) is Code.NOT_FOUND


async def test_a_viewer_may_look_but_not_touch(world: World) -> None:
    task = await world.task()
    bob, _ = await world.sign_up("Bob")
    await world.workspaces.add_member(
        world.command(), world.home, f"{bob}@example.com", Role.VIEWER
    )

    code = await refused(world.tasks.complete(world.command(actor=bob), task, None))

    assert code is Code.FORBIDDEN


async def test_the_last_owner_stays(world: World) -> None:
    head = await world.head()

    code = await refused(world.workspaces.remove_member(world.command(), world.home, world.ada))

    assert code is Code.CONFLICT
    assert await world.head() == head


async def test_an_id_that_exists_anywhere_is_a_conflict(world: World) -> None:
    tag = (await world.labels.create(*label(world, "tag", "Red"))).subject
    task = await world.task()

    for taken in (tag, task, world.home, world.ada):
        made = world.tasks.create(world.command(), world.home, taken, TaskPatch(title="x"))
        assert await refused(made) is Code.CONFLICT


async def test_of_all_that_bring_one_id_at_once_one_gets_it(world: World) -> None:
    bob, bobs = await world.sign_up("Bob")

    for number in range(30):
        new, as_bob = uuid4(), world.command(actor=bob)
        patch = replace(LABEL, name=str(number))
        codes = await asyncio.gather(
            refused(world.tasks.create(world.command(), world.home, new, TaskPatch(title="x"))),
            refused(world.labels.create(as_bob, "tag", bobs, new, patch)),
            refused(world.labels.create(world.command(), "category", world.home, new, patch)),
            refused(world.workspaces.create(as_bob, new, "Office")),
        )
        assert sorted(codes, key=str) == [Code.CONFLICT] * 3 + [None]


async def test_subtasks_go_to_the_trash_and_come_back_together(world: World) -> None:
    top = await world.task("top")
    below = await world.task("below", parent=top)
    deep = await world.task("deep", parent=below)
    before = await world.head()

    gone = await world.tasks.delete(world.command(), top, None)
    refusal = await refused(world.tasks.restore(world.command(), deep, None))
    back = await world.tasks.restore(world.command(), top, None)

    assert refusal is Code.CONFLICT
    assert (gone.seq, back.seq) == (before + 3, before + 6)
    assert gone.subject == back.subject == top
    assert await world.lanes.fetchval("SELECT count(*) FROM task WHERE deleted_at IS NULL") == 3


async def test_nothing_is_added_below_a_task_that_is_being_deleted(world: World) -> None:
    for _ in range(10):
        top = await world.task("top")
        await asyncio.gather(
            world.tasks.delete(world.command(), top, None),
            *(
                refused(
                    world.tasks.create(
                        world.command(), world.home, None, TaskPatch(title="sub", parent=top)
                    )
                )
                for _ in range(4)
            ),
        )
        orphans = await world.lanes.fetchval(
            "SELECT count(*) FROM task WHERE parent_id = $1 AND deleted_at IS NULL", top
        )
        assert orphans == 0


async def test_a_subtree_with_more_text_than_a_commit_takes_stays(world: World) -> None:
    top = await world.task("top")
    longest = "\N{GRINNING FACE}" * DESCRIPTION_MAX_CHARS
    await many_below(world, top, 400, longest)
    head = await world.head()

    code = await refused(world.tasks.delete(world.command(), top, None))

    assert code is Code.LIMIT_EXCEEDED
    assert await world.head() == head
    assert not await world.lanes.fetchval("SELECT count(*) FROM task WHERE deleted_at IS NOT NULL")


async def test_a_subtree_with_as_much_text_as_a_commit_takes_goes(world: World) -> None:
    top = await world.task("top")
    longest = "\N{GRINNING FACE}" * DESCRIPTION_MAX_CHARS
    fitting = SUBTREE_MAX_BYTES // len(longest.encode())
    below = await many_below(world, top, fitting, longest)

    gone = await world.tasks.delete(world.command(), top, None)
    back = await world.tasks.restore(world.command(), top, None)

    assert back.seq == gone.seq + fitting + 1
    rows = await world.lanes.fetch(
        "SELECT description FROM task WHERE id = ANY($1) AND deleted_at IS NULL", below
    )
    assert [row["description"] for row in rows] == [longest] * fitting


async def test_subtasks_in_the_trash_stay_there_and_count_for_nothing(world: World) -> None:
    top = await world.task("top")
    for _ in range(2):
        basket = await world.task("basket", parent=top)
        await many_below(world, basket, SUBTREE_MAX)
        await world.tasks.delete(world.command(), basket, None)
    head = await world.head()

    gone = await world.tasks.delete(world.command(), top, None)

    assert gone.seq == head + 1


async def test_tasks_nest_only_so_deep(world: World) -> None:
    parent = await world.task("0")
    for level in range(1, DEPTH_MAX):
        parent = await world.task(str(level), parent=parent)

    made = world.tasks.create(
        world.command(), world.home, None, TaskPatch(title="too deep", parent=parent)
    )

    assert await refused(made) is Code.LIMIT_EXCEEDED


async def test_a_deleted_label_leaves_its_tasks_by_one_change(world: World) -> None:
    tag = TagId((await world.labels.create(*label(world, "tag", "Red"))).subject)
    category = CategoryId((await world.labels.create(*label(world, "category", "Home"))).subject)
    task = await world.task(tags=frozenset([tag]), category=category)
    head = await world.head()

    await world.labels.delete(world.command(), "tag", tag)
    await world.labels.delete(world.command(), "category", category)

    row = await world.lanes.fetchrow("SELECT * FROM task WHERE id = $1", task)
    assert row is not None
    # A task's version tells of every change of what it has; updated_at of its own changes.
    assert (row["tag_ids"], row["category_id"], row["version"]) == ([], None, 3)
    assert await world.head() == head + 2
    stale = world.tasks.update(world.command(), task, TaskPatch(title="x"), 1)
    assert await refused(stale) is Code.STALE_VERSION


async def test_names_are_unique_whatever_their_case(world: World) -> None:
    await world.labels.create(*label(world, "tag", "Straße"))

    assert await refused(world.labels.create(*label(world, "tag", "STRASSE"))) is Code.CONFLICT


async def test_all_bad_fields_are_told_at_once(world: World) -> None:
    with pytest.raises(Refused) as refusal:
        await world.task("\0", description="\ud800", assignee=UserId(uuid4()))

    assert [problem.path for problem in refusal.value.problems] == [
        ("input", "title"),
        ("input", "description"),
        ("input", "assigneeId"),
    ]


async def test_moves_keep_the_order_people_gave(world: World) -> None:
    order = [await world.task(f"t{n}") for n in range(12)]
    chance = random.Random(11)

    for _ in range(150):
        task = order.pop(chance.randrange(len(order)))
        at = chance.randrange(len(order) + 1)
        place = Place(after=order[at - 1]) if at else Place(before=order[0])
        if at == len(order) and chance.random() < 0.5:
            place = Place()
        order.insert(at, task)
        await world.tasks.update(world.command(), task, TaskPatch(place=place), None)

    assert await ordered(world) == order


async def test_a_task_lies_right_after_another_that_moves_meanwhile(world: World) -> None:
    pinned, *others = [await world.task(f"t{n}") for n in range(5)]

    for number in range(40):
        away = TaskPatch(place=Place(after=others[number % 4]))
        moved, made = await asyncio.gather(
            world.tasks.update(world.command(), pinned, away, None),
            world.tasks.create(
                world.command(), world.home, None, TaskPatch(title="x", place=Place(after=pinned))
            ),
        )
        order = await ordered(world)
        if made.seq > moved.seq:
            assert order[order.index(pinned) + 1] == made.subject
        await world.tasks.delete(world.command(), TaskId(made.subject), None)


@pytest.mark.parametrize("side", ["after", "before"])
async def test_the_last_of_many_put_beside_one_task_lies_beside_it(world: World, side: str) -> None:
    pinned = [await world.task(f"t{n}") for n in range(3)][1]
    place = Place(**{side: pinned})

    made = await asyncio.gather(*(world.task(f"{n}", place=place) for n in range(20)))

    order = [one for one in await ordered(world) if one in (pinned, *made)]
    latest = (await world.log())[-20:]
    committed = [row["subject"] for row in latest]
    assert order == ([pinned, *reversed(committed)] if side == "after" else [*committed, pinned])


async def test_no_two_tasks_have_one_position(world: World) -> None:
    first = await world.task("first")
    ids = [UUID(int=uuid4().int // 62**3 * 62**3) for _ in range(12)]

    await asyncio.gather(
        *(world.tasks.create(world.command(), world.home, new, TaskPatch(title="x")) for new in ids)
    )

    order = await ordered(world)
    assert order[0] == first
    assert len(await positions(world)) == 13
    beside = await world.task("new", place=Place(after=order[3]))
    assert (await ordered(world))[4] == beside


async def test_a_task_comes_back_beside_the_one_that_took_its_place(world: World) -> None:
    low, high = await world.task("low"), await world.task("high")
    gone = await world.task("gone", place=Place(after=low))
    await world.tasks.delete(world.command(), gone, None)
    new = await world.task("new", place=Place(after=low))

    back = await world.tasks.restore(world.command(), gone, None)

    assert await ordered(world) == [low, new, gone, high]
    assert len(await positions(world)) == 4
    row = (await world.log())[-1]
    assert row["fields"] == ["position", "deleted_at"]
    assert back.state["position"] == orjson.loads(row["payload"])["position"]


async def test_places_of_a_subtree_are_found_again_together(world: World) -> None:
    top = await world.task("top")
    below = [await world.task(f"t{n}", parent=top) for n in range(4)]
    await world.task("end")
    await world.tasks.delete(world.command(), top, None)
    taken = [*below[1:3]]
    for one in taken:
        # As a position that was given away would leave it; no use case makes the very same.
        await world.lanes.fetch(
            """INSERT INTO task (id, workspace_id, title, title_key, description, status, priority,
                   tag_ids, position, version, created_at, updated_at, search)
               SELECT gen_random_uuid(), workspace_id, 'x', 'x', '', 'OPEN', 1, '{}', position, 1,
                   created_at, updated_at, '' FROM task WHERE id = $1 RETURNING id""",
            one,
        )

    await world.tasks.restore(world.command(), top, None)

    assert len(await positions(world)) == 8
    assert [one for one in await ordered(world) if one in below] == below


async def test_due_is_over_at_the_next_local_midnight(world: World) -> None:
    made = await world.tasks.create(
        world.command(),
        world.home,
        None,
        TaskPatch(title="x", due=DueDraft(day=date(2027, 3, 28), zone=ZoneInfo("Europe/Paris"))),
    )

    assert made.state["due"] == {
        "date": "2027-03-28",
        "time": None,
        "time_zone": "Europe/Paris",
        "fold": False,
        "instant": "2027-03-28T22:00:00+00:00",
    }


@pytest.mark.parametrize(
    "_case, letters, length",
    [
        # Six letters of three bytes each, once folded: 1.4 MB of words that differ.
        ("squares", "\u3316\u331e\u3305\u330c\u3315\u331a\u3321\u332b\u3333\u333a\u3340\u3347", 4),
        # What costs a vector most beside its letters: short words that differ.
        ("short words", "".join(chr(code) for code in range(0x4E00, 0x9FA5)), 1),
        ("short words of letters", "abcdefghijklmnopqrstuvwxyz0123456789", 3),
        # Folded it is a sentence of 18 letters.
        ("a ligature", "\ufdfa", 1),
    ],
)
async def test_every_description_of_the_longest_length_is_kept(
    world: World, _case: str, letters: str, length: int
) -> None:
    words = ("".join(word) for word in itertools.product(letters, repeat=length))
    text = "first " + " ".join(itertools.islice(itertools.cycle(words), DESCRIPTION_MAX_CHARS))
    description = text[:DESCRIPTION_MAX_CHARS]

    task = await world.task("\ufdfa" * 70, description=description)

    stored = await world.lanes.fetchrow("SELECT description, search FROM task WHERE id = $1", task)
    assert stored is not None
    assert stored["description"] == description
    assert "'first'" in stored["search"]


LABEL = LabelPatch(name="Red", colour="#ff0000", given=frozenset(["name", "colour"]))


def label(
    world: World, kind: Kind, name: str
) -> tuple[Command, Kind, WorkspaceId, None, LabelPatch]:
    return world.command(), kind, world.home, None, replace(LABEL, name=name)


async def refused(mutation: object) -> Code | None:
    """Returns the code of the refusal, None where it was carried out."""
    try:
        await mutation  # type: ignore[misc]
    except Refused as refusal:
        return refusal.problems[0].code
    return None


async def ordered(world: World) -> list[TaskId]:
    rows = await world.lanes.fetch(
        "SELECT id FROM task WHERE deleted_at IS NULL ORDER BY position, id"
    )
    return [TaskId(UUID(bytes=row["id"].bytes)) for row in rows]


async def positions(world: World) -> set[str]:
    """Returns the positions of live tasks."""
    rows = await world.lanes.fetch("SELECT position FROM task WHERE deleted_at IS NULL")
    return {row["position"] for row in rows}


def listed(value: object) -> list[Any]:
    assert isinstance(value, list)
    return value


async def chain_below(world: World, top: TaskId, levels: int) -> list[TaskId]:
    """Returns subtasks that lie each below the one before."""
    chain = [top]
    for level in range(levels):
        chain.append(await world.task(f"level {level}", parent=chain[-1]))
    return chain[1:]


async def many_below(world: World, top: TaskId, count: int, description: str = "") -> list[TaskId]:
    """Returns subtasks that were put there without the use cases: a thousand take seconds."""
    rows = await world.lanes.fetch(
        """INSERT INTO task (id, workspace_id, title, title_key, description, status, priority,
               tag_ids, parent_id, position, version, created_at, updated_at, search)
           SELECT gen_random_uuid(), workspace_id, 'below', 'below', $3, 'OPEN', 1, '{}', id,
               position || lpad(n::text, 6, '0') || 'V', 1, created_at, updated_at, ''
           FROM task, generate_series(1, $2::int) AS n WHERE id = $1 RETURNING id""",
        top,
        count,
        description,
    )
    return [TaskId(UUID(bytes=row["id"].bytes)) for row in rows]


async def busy(world: World, chance: random.Random, *, turns: int) -> None:
    """Makes random mutations, refused ones among them."""
    tags = [TagId(await named(world, "tag", f"tag {n}")) for n in range(4)]
    categories = [CategoryId(await named(world, "category", f"category {n}")) for n in range(3)]
    tasks = [await world.task("first")]

    def patch() -> TaskPatch:
        some: list[Callable[[], dict[str, Any]]] = [
            lambda: {"title": f"title {chance.randrange(9)}"},
            lambda: {"description": "d" * chance.randrange(3)},
            lambda: {"tags": frozenset(chance.sample(tags, chance.randrange(3)))},
            lambda: {"add_tags": frozenset([chance.choice(tags)])},
            lambda: {"category": chance.choice([None, *categories])},
            lambda: {"parent": chance.choice([None, *tasks])},
            lambda: {"assignee": chance.choice([None, world.ada])},
            lambda: {"due": chance.choice([None, DueDraft(day=date(2027, 1, 1))])},
            lambda: {"place": Place(after=chance.choice(tasks))},
        ]
        given: dict[str, Any] = {}
        for one in chance.sample(some, chance.randint(1, 3)):
            given |= one()
        return replace(TaskPatch(), **given)

    def turn(task: TaskId) -> Awaitable[Outcome]:
        who = world.command()
        ways: list[Callable[[], Awaitable[Outcome]]] = [
            lambda: world.tasks.update(who, task, patch(), None),
            lambda: world.tasks.complete(who, task, None),
            lambda: world.tasks.reopen(who, task, None),
            lambda: world.tasks.delete(who, task, None),
            lambda: world.tasks.restore(who, task, None),
        ]
        return chance.choices(ways, weights=[10, 2, 2, 1, 1])[0]()

    for _ in range(turns):
        if chance.random() < 0.15:
            tasks.append(await world.task(f"task {len(tasks)}"))
        if chance.random() < 0.05:
            await relabel(world, chance, "tag", tags)
            await relabel(world, chance, "category", categories)
        await refused(turn(chance.choice(tasks)))


async def relabel(world: World, chance: random.Random, kind: Kind, labels: list[Any]) -> None:
    """Renames one of the labels, or deletes it and puts another in its place."""
    at = chance.randrange(len(labels))
    name = f"{kind} {chance.randrange(10**6)}"
    if chance.random() < 0.7:
        given = LabelPatch(name=name, given=frozenset(["name"]))
        await world.labels.update(world.command(), kind, labels[at], given)
    else:
        await world.labels.delete(world.command(), kind, labels[at])
        labels[at] = await named(world, kind, name)


async def named(world: World, kind: Kind, name: str) -> UUID:
    return (await world.labels.create(*label(world, kind, name))).subject


def follow(states: dict[UUID, dict[str, Any]], kind: str, label: dict[str, Any]) -> None:
    """Does to the tasks what one change of a label means for them, as the schema tells clients."""
    if kind not in {"tag.updated", "tag.deleted", "category.updated", "category.deleted"}:
        return
    gone = kind.endswith(".deleted")
    for task in states.values():
        tags, category = task.get("tags") or [], task.get("category")
        shown = [tag["id"] for tag in tags] + ([category["id"]] if category else [])
        if "version" not in task or label["id"] not in shown:
            continue
        if kind.startswith("category."):
            task["category"] = None if gone else label
        else:
            others = [tag for tag in tags if tag["id"] != label["id"]]
            tags = others if gone else [*others, label]
            task["tags"] = sorted(tags, key=lambda tag: (sort_key(tag["name"]), tag["id"]))
        task["version"] += gone


def less(state: dict[str, object], names: set[str]) -> dict[str, object]:
    return {name: value for name, value in state.items() if name not in names}


def chain_of(rows: Sequence[Any]) -> bytes:
    """Computes the hash of the last row, as an auditor would, from the rows alone."""
    previous = GENESIS
    for row in rows:
        head = head_digest(
            kind=row["kind"],
            at=row["at"],
            actor=row["actor"],
            subject=row["subject"],
            fields=tuple(row["fields"]),
            key=row["key"],
        )
        previous = chain(previous, row["seq"], head, digest(row["before"]), digest(row["payload"]))
    return previous
