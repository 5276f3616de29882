"""The write path on a real PostgreSQL: decisions, guards, and what a repeat answers."""

import asyncio
import itertools
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson
import pytest

from domain.errors import Code, Refused
from domain.ids import CategoryId, TagId, TaskId, UserId
from domain.services.labels import LabelPatch
from domain.services.mutations import Outcome
from domain.services.task_patch import DueDraft, Place, TaskPatch
from domain.tasks import DESCRIPTION_MAX_CHARS
from domain.workspaces import Role
from tests.worlds import LABEL, World, label, refused

KEY = "a-key-of-the-test"


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


def listed(value: object) -> list[Any]:
    assert isinstance(value, list)
    return value
