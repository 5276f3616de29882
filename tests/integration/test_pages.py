"""Pages walk an index: what they cost does not grow with the workspace."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from sqlalchemy import Uuid, any_, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from domain.due import due
from domain.filter_input import parse
from domain.ids import CategoryId, TagId, TaskId, UserId, WorkspaceId
from domain.paging import KEYS, POSITION, RANK, Order, Page, decode, page
from domain.tasks import Priority, Status, Task
from infra.postgres.connections import LIVE
from infra.postgres.pages import Scope, task_page
from infra.postgres.tables import task as task_table
from tests.task_rows import NOW, WORKSPACE, Binds, connect, insert, keep, page_statement, rows, task

TASKS = 20_000
NEIGHBOURS = 5_000
SIZE = 50
# Groups of equal keys are read to their end, from two or three ranges.
READ_MAX_ROWS = 250
ALL = parse(None)
ORDERS = [
    Order(key, descending)
    for key in KEYS.values()
    if key is not RANK
    for descending in (False, True)
]


def _tasks(count: int, workspace: WorkspaceId, first: int, random: Random) -> Iterator[Task]:
    words = ["fix", "kitchen", "report", "customer", "call", "write", "plan", "buy", "milk"]
    for number in range(first, first + count):
        day = NOW.date() + timedelta(days=random.randrange(-200, 200))
        yield task(
            number,
            workspace_id=workspace,
            title=" ".join(random.choices(words, k=4)),
            status=random.choice(list(Status)),
            priority=random.choice(list(Priority)),
            due=None if number % 3 == 0 else due(day, None, ZoneInfo("UTC"), fold=False),
            category_id=CategoryId(UUID(int=random.randrange(200))),
            assignee_id=None if number % 2 else UserId(UUID(int=random.randrange(200))),
            parent_id=None if number % 2 else TaskId(UUID(int=random.randrange(3, TASKS))),
            tag_ids=frozenset({TagId(UUID(int=random.randrange(1_000)))}),
            position=f"V{random.randrange(10**7)}",
            created_at=NOW - timedelta(seconds=random.randrange(10**6)),
            updated_at=NOW - timedelta(seconds=random.randrange(10**6)),
            deleted_at=NOW if number % 20 == 0 else None,
        )


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database_url)
    random = Random(3)
    await insert(connection, list(_tasks(TASKS, WORKSPACE, 1, random)))
    neighbour = WorkspaceId(UUID(int=2))
    await insert(connection, list(_tasks(NEIGHBOURS, neighbour, TASKS + 1, random)))
    await connection.execute("VACUUM ANALYZE task")
    yield connection
    await connection.close()


def _literal(value: object) -> str:
    if isinstance(value, list | tuple):
        return _literal("{" + ",".join(map(str, value)) + "}")
    if isinstance(value, int | float):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


async def _plan(
    connection: asyncpg.Connection, sql: str, arguments: list[object]
) -> list[Mapping[str, Any]]:
    """Returns the nodes of the plan as it ran."""
    await connection.execute(f"PREPARE examined AS {sql}")
    given = ", ".join(map(_literal, arguments))
    text = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE examined({given})")
    await connection.execute("DEALLOCATE examined")
    return list(_nodes(json.loads(text)[0]["Plan"]))


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _read(node: Mapping[str, Any]) -> float:
    rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return float(rows * node["Actual Loops"])


def _indexes(nodes: list[Mapping[str, Any]]) -> set[str]:
    scans = [node for node in nodes if node["Node Type"].endswith("Scan")]
    names = {node.get("Index Name", node["Node Type"]) for node in scans}
    return names - {"Subquery Scan", "CTE Scan"}


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
async def test_every_order_walks_its_index_from_the_start_and_from_far_inside(
    connection: asyncpg.Connection, mode: str
) -> None:
    await connection.execute(f"SET plan_cache_mode = {mode}")
    for order in ORDERS:
        for backwards in (False, True):
            side = "before" if backwards else "after"
            whole = await rows(connection, ALL, [order], Page(size=TASKS, backwards=backwards))
            inside = [decode(whole[place]["cursor"], [order]) for place in (7_000, -5)]
            for place in (None, *inside):
                asked = Page(size=SIZE, backwards=backwards, **{side: place})

                nodes = await _plan(connection, *page_statement(ALL, [order], asked))

                case = (order, backwards, place)
                name = {"DUE": "due", "CREATED_AT": "created", "UPDATED_AT": "updated"}.get(
                    order.key.name, order.key.name.lower()
                )
                allowed = {f"task_{name}_idx", f"task_{name}_desc_idx"}
                assert _indexes(nodes) <= allowed, case
                assert max(map(_read, nodes)) <= READ_MAX_ROWS, case


@pytest.mark.parametrize(
    "names", ["DUE -PRIORITY TITLE", "DUE -PRIORITY", "-PRIORITY TITLE", "-PRIORITY DUE"]
)
async def test_several_keys_continue_from_far_inside_by_an_index_of_one_of_them(
    connection: asyncpg.Connection, names: str
) -> None:
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    orders = [Order(KEYS[name.lstrip("-")], name.startswith("-")) for name in names.split()]
    whole = await rows(connection, ALL, orders, Page(size=TASKS))
    for number in (100, 7_000, 15_000, -5):
        asked = Page(size=SIZE, after=decode(whole[number]["cursor"], orders))

        nodes = await _plan(connection, *page_statement(ALL, orders, asked))

        assert all(name.startswith("task_") for name in _indexes(nodes)), number
        # A third of the tasks have no due, and a quarter have one priority: such a group is passed
        # over by the index of another key, and never read whole and sorted.
        assert max(map(_read, nodes)) <= 3 * READ_MAX_ROWS, number


NARROW: list[tuple[dict[str, object], str]] = [
    ({"tags": {"any": [str(UUID(int=7)), str(UUID(int=8))]}}, "task_tags_idx"),
    ({"tags": {"all": [str(UUID(int=7))]}}, "task_tags_idx"),
    ({"id": {"in": [str(UUID(int=7)), str(UUID(int=8))]}}, "task_pkey"),
    ({"id": {"eq": str(UUID(int=7))}}, "task_pkey"),
    ({"parent": {"eq": str(UUID(int=7))}}, "task_parent_idx"),
    ({"category": {"in": [str(UUID(int=7)), str(UUID(int=8))]}}, "task_category_idx"),
    ({"assignee": {"eq": str(UUID(int=7))}}, "task_assignee_idx"),
    ({"due": {"gte": NOW, "lt": NOW + timedelta(days=1)}}, "task_due_idx"),
    ({"isDeleted": True}, "task_deleted_idx"),
]


async def test_narrow_filters_use_their_index(connection: asyncpg.Connection) -> None:
    await connection.execute("SET plan_cache_mode = force_custom_plan")
    for given, index in NARROW:
        statement = page_statement(parse(given), [Order(POSITION)], Page(size=SIZE))

        nodes = await _plan(connection, *statement)

        assert index in _indexes(nodes), given
        assert max(map(_read, nodes)) <= TASKS / 10, given


async def test_a_search_uses_the_text_index(connection: asyncpg.Connection) -> None:
    rare = task(TASKS * 2, title="Zebra kitchen")
    await insert(connection, [rare])
    await connection.execute("SET plan_cache_mode = force_custom_plan")
    statement = page_statement(parse({"search": "kitchen zeb"}), [Order(RANK)], Page(size=SIZE))

    nodes = await _plan(connection, *statement)

    assert "task_search_idx" in _indexes(nodes)
    assert max(map(_read, nodes)) <= READ_MAX_ROWS


async def test_pages_of_many_parents_come_from_one_lateral_join(
    connection: asyncpg.Connection,
) -> None:
    await connection.execute(
        "UPDATE task SET parent_id = ('00000000-0000-0000-0000-00000000000' || right(id::text, 1))"
        "::uuid WHERE right(id::text, 1) IN ('1', '2') AND workspace_id = $1",
        WORKSPACE,
    )
    binds = Binds()
    parents, children = task_table.alias("parent"), task_table.alias("child")
    scope = Scope(
        tasks=children,
        where=children.c.parent_id == parents.c.id,
        outer=parents,
    )
    orders = [Order(POSITION)]
    nested = task_page(binds, scope, LIVE, orders, page(orders, first=3), NOW).lateral("nested")
    statement = (
        select(parents.c.id, nested.c.id, nested.c.place)
        .join(nested, true())
        .where(parents.c.id == any_(binds([UUID(int=n) for n in (1, 2, 3)], ARRAY(Uuid))))
    )
    kept = keep(statement)

    found = await connection.fetch(kept.sql, *(binds.values[place] for place in kept.places))

    for parent in (UUID(int=1), UUID(int=2)):
        expected = await connection.fetch(
            "SELECT id FROM task WHERE parent_id = $1 AND deleted_at IS NULL"
            " ORDER BY position, id LIMIT 4",
            parent,
        )
        mine = sorted((row for row in found if row[0] == parent), key=lambda row: row[2])
        assert [row[1] for row in mine] == [row["id"] for row in expected]
    assert {row[0] for row in found} == {UUID(int=1), UUID(int=2)}
