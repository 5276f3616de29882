"""Tasks in memory, the same tasks as rows, and statements over them run as the reader runs them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import BindParameter, Select, bindparam
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.types import TypeEngine

from domain.filter_input import parse
from domain.filters import Filter, where
from domain.ids import TaskId, WorkspaceId
from domain.paging import Order, Page
from domain.tasks import Priority, Status, Task, clock_text, instant_text
from domain.text import search_text, sort_key
from infra.postgres.pages import Scope, page_shape, page_values, task_page
from infra.postgres.tables import task as task_table

DIALECT = dialect()  # type: ignore[no-untyped-call]

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WORKSPACE = WorkspaceId(UUID(int=1))
_INSERT = """
INSERT INTO task (id, workspace_id, title, title_key, description, status, priority, due_day,
    due_at, due_zone, due_fold, due_instant, category_id, tag_ids, assignee_id, parent_id,
    position, version, created_at, updated_at, completed_at, deleted_at, series_id, slot, search)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::timestamptz, $13, $14, $15, $16,
    $17, $18, $19::text::timestamptz, $20::text::timestamptz, $21::text::timestamptz,
    $22::text::timestamptz, $23, $24, setweight(to_tsvector('simple', $25), 'A')
        || setweight(to_tsvector('simple', $26), 'B'))
"""


def task(number: int, **changes: Any) -> Task:
    """Returns the task of that number; what is not given is the same for all."""
    given: dict[str, Any] = {
        "id": TaskId(UUID(int=number)),
        "workspace_id": WORKSPACE,
        "title": "Task",
        "description": "",
        "status": Status.OPEN,
        "priority": Priority.MEDIUM,
        "due": None,
        "category_id": None,
        "tag_ids": frozenset(),
        "assignee_id": None,
        "parent_id": None,
        "position": "V0",
        "version": 1,
        "created_at": NOW,
        "updated_at": NOW,
        "completed_at": None,
        "deleted_at": None,
    }
    return Task(**{**given, **changes})


async def connect(url: str) -> asyncpg.Connection:
    """Returns a connection on which rows need none of those that they refer to."""
    connection = await asyncpg.connect(url, server_settings={"TimeZone": "UTC", "jit": "off"})
    await connection.execute("SET session_replication_role = replica")
    return connection


async def insert(connection: asyncpg.Connection, tasks: Sequence[Task]) -> None:
    await connection.executemany(_INSERT, [_row(one) for one in tasks])


def _row(one: Task) -> tuple[object, ...]:
    due = one.due
    return (
        one.id,
        one.workspace_id,
        one.title,
        sort_key(one.title),
        one.description,
        one.status.value,
        one.priority,
        None if due is None else due.day,
        None if due is None else clock_text(due),
        None if due is None else due.zone,
        None if due is None else due.fold,
        None if due is None else instant_text(due.instant),
        one.category_id,
        list(one.tag_ids),
        one.assignee_id,
        one.parent_id,
        one.position,
        one.version,
        instant_text(one.created_at),
        instant_text(one.updated_at),
        instant_text(one.completed_at),
        instant_text(one.deleted_at),
        one.series_id,
        one.slot,
        search_text(one.title),
        search_text(one.description),
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """A compiled statement: its text, and the place of each of its arguments among the binds."""

    sql: str
    places: list[int]


class Binds:
    """Registers the values of one request."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def __call__(self, value: object, type_: TypeEngine[Any]) -> BindParameter[Any]:
        self.values.append(value)
        return bindparam(f"p{len(self.values) - 1}", type_=type_)


def keep(statement: Select[Any]) -> Kept:
    """Compiles a statement whose parameters came from `Binds`."""
    text = statement.compile(dialect=DIALECT)
    assert text.positiontup is not None
    return Kept(str(text), [int(name[1:]) for name in text.positiontup])


def compiled(
    filter: Filter, orders: Sequence[Order], page: Page, workspace: WorkspaceId
) -> tuple[Kept, list[object]]:
    """Returns the statement, built anew, and what it bound."""
    binds = Binds()
    tasks = task_table.alias("t")
    scope = Scope(tasks=tasks, where=tasks.c.workspace_id == binds(workspace, tasks.c.id.type))
    return keep(task_page(binds, scope, where(filter), orders, page, NOW)), binds.values


_kept: dict[Hashable, Kept] = {}


def page_statement(
    filter: Filter, orders: Sequence[Order], page: Page, workspace: WorkspaceId = WORKSPACE
) -> tuple[str, list[object]]:
    """Returns the page's statement with its arguments; built for the first of a shape only."""
    asked = where(filter)
    shape = page_shape(asked, orders, page)
    if shape not in _kept:
        _kept[shape], bound = compiled(filter, orders, page, workspace)
        assert bound == [workspace, *page_values(asked, orders, page, NOW)]
    values = [workspace, *page_values(asked, orders, page, NOW)]
    return _kept[shape].sql, [values[place] for place in _kept[shape].places]


async def rows(
    connection: asyncpg.Connection, filter: Filter, orders: Sequence[Order], page: Page
) -> list[asyncpg.Record]:
    """Returns the page's rows by place, the one beyond the page included."""
    sql, arguments = page_statement(filter, orders, page)
    found = await connection.fetch(sql, *arguments)
    return sorted(found, key=lambda row: row["place"])


async def found_by(connection: asyncpg.Connection, given: Mapping[str, object]) -> set[int]:
    """Returns the numbers of the tasks that the filter finds."""
    found = await rows(connection, parse(given, "filter"), [], Page(size=10_000))
    return {row["id"].int for row in found}
