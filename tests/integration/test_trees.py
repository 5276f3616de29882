"""Tasks below tasks on a real PostgreSQL: no circle, a bounded depth, and the trash."""

import asyncio
import random
from uuid import UUID

from domain.errors import Code
from domain.ids import TaskId
from domain.services.task_patch import TaskPatch
from domain.tasks import DEPTH_MAX, DESCRIPTION_MAX_CHARS, SUBTREE_MAX, SUBTREE_MAX_BYTES, TAGS_MAX
from tests.worlds import World, named, refused

LONGEST = "\N{GRINNING FACE}" * DESCRIPTION_MAX_CHARS
FITTING = SUBTREE_MAX_BYTES // len(LONGEST.encode())


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
    await many_below(world, top, FITTING + 1, LONGEST)
    head = await world.head()

    code = await refused(world.tasks.delete(world.command(), top, None))

    assert code is Code.LIMIT_EXCEEDED
    assert await world.head() == head
    assert not await world.lanes.fetchval("SELECT count(*) FROM task WHERE deleted_at IS NOT NULL")


async def test_a_subtree_with_as_much_text_as_a_commit_takes_goes(world: World) -> None:
    top = await world.task("top")
    below = await many_below(world, top, FITTING, LONGEST)

    gone = await world.tasks.delete(world.command(), top, None)
    back = await world.tasks.restore(world.command(), top, None)

    assert back.seq == gone.seq + FITTING + 1
    rows = await world.lanes.fetch(
        "SELECT description FROM task WHERE id = ANY($1) AND deleted_at IS NULL", below
    )
    assert [row["description"] for row in rows] == [LONGEST] * FITTING


async def test_a_subtree_with_more_tags_than_a_commit_takes_stays(world: World) -> None:
    top = await world.task("top")
    await many_below(world, top, SUBTREE_MAX)
    tags = [await named(world, "tag", str(n)) for n in range(TAGS_MAX)]
    await world.lanes.fetch("UPDATE task SET tag_ids = $1 WHERE parent_id = $2", tags, top)

    assert await refused(world.tasks.delete(world.command(), top, None)) is Code.LIMIT_EXCEEDED


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
