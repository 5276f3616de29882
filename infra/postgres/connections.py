"""Connections: a page of rows, and what is said about it, as JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    Uuid,
    and_,
    case,
    cast,
    func,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from domain.filter_input import parse
from domain.filters import Where, where
from domain.paging import Order, Page
from domain.reading import MEMBER_ORDER, SUBTASK_ORDER, TaskPage
from domain.selection import Field, Selection
from infra.postgres import bounds
from infra.postgres.building import Request, Statement, json_list, json_object, text_of
from infra.postgres.conditions import matching
from infra.postgres.pages import Scope, cursor_text, page_values, task_page
from infra.postgres.tables import INSTANT, member, task, workspace

# A count reads every row it counts: beyond so many it costs more than the page itself, and the
# answer is null.
COUNT_MAX = 100_000
# What every list shows that has no filter of its own: the trash is left out.
LIVE: Final[Where] = where(parse(None))

# Makes the JSON of one row; given by who knows the kinds of objects.
Node: TypeAlias = Callable[[Statement, FromClause, Selection], ColumnElement[Any]]
_Part: TypeAlias = Callable[[Field], ColumnElement[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """A page's rows: `place` counts from where it starts, and one more than `size` may be there.

    `within` ends the statement where what is shown of them is too large.
    """

    page: FromClause
    size: ColumnElement[Any]
    within: ColumnElement[bool]
    backwards: bool
    has_after: bool
    has_before: bool

    @property
    def shown(self) -> ColumnElement[bool]:
        return self.page.c.place <= self.size

    @property
    def order(self) -> Sequence[ColumnElement[Any]]:
        return [self.page.c.place.desc() if self.backwards else self.page.c.place]


def tasks(statement: Statement, index: int, selection: Selection, node: Node) -> ColumnElement[Any]:
    """Returns the connection that the request's read of that index asks for."""
    read: TaskPage = statement.request.reads[index]

    def asked(request: Request) -> TaskPage:
        found: TaskPage = request.reads[index]
        return found

    rows = task.alias()
    space = statement.bind(lambda request: asked(request).workspace, Uuid())
    here = rows.c.workspace_id == space
    count = _counted(statement, selection, rows, here, asked)
    parts = {"total_count": count, "seq": _seq(space)}
    if not _wants_rows(selection):
        return _object(selection, parts)
    size = statement.bind(lambda request: asked(request).page.size, BigInteger())
    statement.values.append(
        lambda r: page_values(asked(r).where, asked(r).orders, asked(r).page, r.now)
    )
    page = task_page(
        statement.register,
        Scope(tasks=rows, where=here),
        read.where,
        read.orders,
        read.page,
        statement.request.now,
    ).subquery()
    return _connection(statement, selection, _found(page, size, read.page), parts, node)


def subtasks(
    statement: Statement, parent: FromClause, field: Field, node: Node
) -> ColumnElement[Any]:
    """Returns a task's subtasks in their manual order."""
    selection, index = _nested(field)
    rows = task.alias()
    count = _number(statement, rows, rows.c.parent_id == parent.c.id, parent)
    parts = {"total_count": count, "seq": _seq(parent.c.workspace_id, parent)}
    if not _wants_rows(selection):
        return _object(selection, parts)
    size = statement.bind(lambda request: request.pages[index].size, BigInteger())
    statement.values.append(lambda r: page_values(LIVE, SUBTASK_ORDER, r.pages[index], r.now))
    asked = statement.request.pages[index]
    page = task_page(
        statement.register,
        Scope(tasks=rows, where=rows.c.parent_id == parent.c.id, outer=parent),
        LIVE,
        SUBTASK_ORDER,
        asked,
        statement.request.now,
    ).subquery()
    return _connection(statement, selection, _found(page, size, asked), parts, node, parent)


def members(
    statement: Statement, space: FromClause, field: Field, node: Node
) -> ColumnElement[Any]:
    """Returns a workspace's members by the time they joined."""
    rows = member.alias()
    owned = Owned(rows=rows, where=rows.c.workspace_id == space.c.id, owner=space)
    return by_time(statement, owned, field, MEMBER_ORDER, node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """Rows, each with an id, that belong to a row of the owner by a condition."""

    rows: FromClause
    where: ColumnElement[bool]
    owner: FromClause


def by_time(
    statement: Statement, owned: Owned, field: Field, orders: tuple[Order, ...], node: Node
) -> ColumnElement[Any]:
    """Returns the rows of an owner in the order of an instant that each has."""
    selection, index = _nested(field)
    rows, outer, (order,) = owned.rows, owned.owner, orders
    number = select(func.count()).select_from(rows).where(owned.where).correlate(outer)
    parts = {"total_count": number.scalar_subquery()}
    if not _wants_rows(selection):
        return _object(selection, parts)
    asked = statement.request.pages[index]
    size = statement.bind(lambda request: request.pages[index].size, BigInteger())
    keys = (rows.c[order.key.attribute], rows.c.id)
    sorted_by = [key.desc() if order.descending else key for key in keys]
    wanted = select(*rows.c).where(owned.where).order_by(*sorted_by)
    wanted = wanted.limit(size + literal_column("1"))
    if asked.after is not None:
        time = statement.bind(lambda request: _key(request, index, 0), INSTANT)
        ident = statement.bind(lambda request: _key(request, index, 1), Uuid())
        mine, place = tuple_(*keys), tuple_(time, ident)
        wanted = wanted.where(mine < place if order.descending else mine > place)
    some = wanted.correlate(outer).subquery()
    columns = (some.c[order.key.attribute], some.c.id)
    over = [one.desc() if order.descending else one for one in columns]
    place_of = func.row_number().over(order_by=over)
    page = select(
        *some.c, place_of.label("place"), cursor_text(some, orders).label("cursor")
    ).subquery()
    return _connection(statement, selection, _found(page, size, asked), parts, node, outer)


def _nested(field: Field) -> tuple[Selection, int]:
    if field.selection is None or field.page is None:
        raise TypeError(field)
    return field.selection, field.page


def _key(request: Request, index: int, part: int) -> object:
    after = request.pages[index].after
    return None if after is None else after[part]


def _found(page: FromClause, size: ColumnElement[Any], asked: Page) -> _Rows:
    return _Rows(
        page=page,
        size=size,
        backwards=asked.backwards,
        has_after=asked.after is not None,
        has_before=asked.before is not None,
        within=true(),
    )


def _counted(
    statement: Statement,
    selection: Selection,
    rows: FromClause,
    here: ColumnElement[bool],
    asked: Callable[[Request], TaskPage],
) -> ColumnElement[Any]:
    """Returns the number of rows the filter finds, where the selection wants to know."""
    if not any(field.attribute == "total_count" for field in selection.fields):
        return literal_column("NULL")
    statement.values.append(lambda r: asked(r).where.values(r.now))
    wanted = asked(statement.request).where.filter
    condition = matching(statement.register, rows, wanted, statement.request.now)
    some: Select[Any] = select(literal_column("1")).select_from(rows).where(here, condition)
    return _limited(some.limit(literal_column(str(COUNT_MAX + 1))))


def _number(
    statement: Statement, rows: FromClause, here: ColumnElement[bool], outer: FromClause
) -> ColumnElement[Any]:
    condition = matching(statement.register, rows, LIVE.filter, statement.request.now)
    some: Select[Any] = select(literal_column("1")).select_from(rows).where(here, condition)
    some = some.correlate(outer)
    return _limited(some.limit(literal_column(str(COUNT_MAX + 1))))


def _limited(some: Select[Any]) -> ColumnElement[Any]:
    counted = select(func.count().label("n")).select_from(some.subquery()).subquery()
    few = counted.c.n <= literal_column(str(COUNT_MAX))
    return select(case((few, counted.c.n))).scalar_subquery()


def _seq(space: ColumnElement[Any], outer: FromClause | None = None) -> ColumnElement[Any]:
    rows = workspace.alias()
    head = select(cast(rows.c.head, Text)).where(rows.c.id == space)
    return (head if outer is None else head.correlate(outer)).scalar_subquery()


def _wants_rows(selection: Selection) -> bool:
    return any(f.attribute in ("edges", "nodes", "page_info") for f in selection.fields)


def _connection(
    statement: Statement,
    selection: Selection,
    rows: _Rows,
    parts: Mapping[str, ColumnElement[Any]],
    node: Node,
    outer: FromClause | None = None,
) -> ColumnElement[Any]:
    lists = [field for field in selection.fields if field.attribute in ("nodes", "edges")]
    if lists:
        rows = _measured(statement, lists, rows, node)

    def shown(field: Field) -> ColumnElement[Any]:
        item = rows.page.c[_item(lists.index(field))]
        return json_list(item, rows.order, and_(rows.shown, rows.within))

    made: dict[str, _Part] = {
        "nodes": shown,
        "edges": shown,
        "page_info": lambda field: _page_info(rows, _below(field)),
    }
    found = select(_object(selection, parts, made)).select_from(rows.page)
    # Without a GROUP BY this makes one row of any number of rows, none too.
    whole = found.having(func.count() >= literal_column("0"))
    return (whole if outer is None else whole.correlate(outer)).scalar_subquery()


def _measured(statement: Statement, lists: Sequence[Field], rows: _Rows, node: Node) -> _Rows:
    """Returns the rows with what each list shows of them, `_item`, and whether that is too much."""
    makers: Mapping[str, Callable[[Selection], ColumnElement[Any]]] = {
        "nodes": lambda below: node(statement, rows.page, below),
        "edges": lambda below: _edge(statement, rows, below, node),
    }

    def values() -> Sequence[ColumnElement[Any]]:
        made = (
            case((rows.shown, makers[field.attribute](_below(field)))).label(_item(index))
            for index, field in enumerate(lists)
        )
        return [rows.page.c.place, rows.page.c.cursor, *made]

    made = statement.joined(rows.page, values)
    counted, within = bounds.measured(
        statement, made, [_item(index) for index in range(len(lists))]
    )
    return replace(rows, page=counted, within=within)


def _item(index: int) -> str:
    return f"item{index}"


def _object(
    selection: Selection,
    parts: Mapping[str, ColumnElement[Any]],
    made: Mapping[str, _Part] | None = None,
) -> ColumnElement[Any]:
    """Returns an object of parts that are there, and of parts made for each field that asks."""
    pairs = []
    for field in selection.fields:
        if field.attribute == "__typename":
            pairs.append((field.key, text_of(selection.kind)))
        elif field.attribute in parts:
            pairs.append((field.key, parts[field.attribute]))
        else:
            pairs.append((field.key, (made or {})[field.attribute](field)))
    return json_object(pairs)


def _below(field: Field) -> Selection:
    if field.selection is None:
        raise TypeError(field)
    return field.selection


def _edge(
    statement: Statement, rows: _Rows, selection: Selection, node: Node
) -> ColumnElement[Any]:
    made = {"node": lambda field: node(statement, rows.page, _below(field))}
    return _object(selection, {"cursor": rows.page.c.cursor}, made)


def _page_info(rows: _Rows, selection: Selection) -> ColumnElement[Any]:
    more = func.count() > rows.size
    ahead: ColumnElement[bool] = literal_column("true" if rows.has_before else "false")
    behind: ColumnElement[bool] = literal_column("true" if rows.has_after else "false")
    first, last = (_outermost(rows, far=far) for far in (rows.backwards, not rows.backwards))
    return _object(
        selection,
        {
            "has_next_page": ahead if rows.backwards else more,
            "has_previous_page": more if rows.backwards else behind,
            "start_cursor": first,
            "end_cursor": last,
        },
    )


def _outermost(rows: _Rows, *, far: bool) -> ColumnElement[Any]:
    """Returns the cursor of the shown row that is nearest to the page's start, or farthest."""
    place = rows.page.c.place.desc() if far else rows.page.c.place
    order = aggregate_order_by(rows.page.c.cursor, place)
    cursors: Any = func.array_agg(order, type_=ARRAY(Text)).filter(rows.shown)
    return cursors[literal_column("1", BigInteger())]  # type: ignore[no-any-return]
