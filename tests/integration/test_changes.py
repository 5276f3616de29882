"""The log of a real workspace: no gap, a chain, and each change leads to the state after it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import orjson

from domain.changes import GENESIS, chain, digest, head_digest
from domain.ids import CategoryId, TagId, TaskId
from domain.labels import Kind
from domain.services.labels import LabelPatch
from domain.services.mutations import Outcome
from domain.services.task_patch import DueDraft, Place, TaskPatch
from domain.text import sort_key
from tests.worlds import World, label, named, refused


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
