"""Manual positions on a real PostgreSQL: tasks lie right where they were put."""

import asyncio
import random
from uuid import UUID, uuid4

import orjson
import pytest

from domain.ids import TaskId
from domain.services.task_patch import Place, TaskPatch
from tests.worlds import World


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


async def ordered(world: World) -> list[TaskId]:
    rows = await world.lanes.fetch(
        "SELECT id FROM task WHERE deleted_at IS NULL ORDER BY position, id"
    )
    return [TaskId(UUID(bytes=row["id"].bytes)) for row in rows]


async def positions(world: World) -> set[str]:
    """Returns the positions of live tasks."""
    rows = await world.lanes.fetch("SELECT position FROM task WHERE deleted_at IS NULL")
    return {row["position"] for row in rows}
