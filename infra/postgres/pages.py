"""One page of tasks in SQL: orders, cursors, and the ranges of an index that they mean.

As in `conditions`, the text depends on `page_shape` only, and `page_values` returns what a built
statement binds.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from operator import add
from typing import Any, TypeAlias

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Float,
    FromClause,
    Select,
    Text,
    Uuid,
    and_,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.types import TypeEngine

from domain.filters import Where
from domain.paging import RANK, Cursor, Order, Page, Value, signature
from infra.postgres.conditions import Bind, matching, tsquery
from infra.postgres.tables import task


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Among which tasks a filter chooses.

    `tasks` is the task table or an alias of it, `where` a condition on it, such as its workspace
    or its parent. `outer` is what `where` refers to besides, for a page in a lateral join.
    """

    tasks: FromClause
    where: ColumnElement[bool]
    outer: FromClause | None = None


def task_page(
    bind: Bind, scope: Scope, where: Where, orders: Sequence[Order], page: Page, now: datetime
) -> Select[Any]:
    """Returns the select of one page, and of one row more that tells whether it goes on.

    Its columns are those of `task` (but `search`), and
    - `place`: 1, 2, 3 ... away from where the page starts. The page's own rows have a place of at
      most `page.size`; one with a greater place only says that there are more: `hasNextPage`, or
      `hasPreviousPage` where the page is `backwards`. The answer shows its rows by ascending
      place, a `backwards` page by descending place.
    - `cursor`: the row's cursor as `domain.paging.encode` writes it.

    The text depends on `page_shape(where, orders, page)` and the scope; values are bound in the
    order of `page_values(where, orders, page, now)`. Use it as a subquery (or `.lateral()` with
    `scope.outer`); PostgreSQL drops the columns that nobody reads.
    """
    tasks = scope.tasks
    wanted = and_(scope.where, matching(bind, tasks, where.filter, now))
    columns = {column.name: column for column in tasks.c if column.name != "search"}
    if _has_rank(orders):
        columns["rank"] = _relevance(bind, tasks, where).label("rank")
    after = _place(bind, orders, page.after)
    before = _place(bind, orders, page.before)
    limit = bind(page.size + 1, BigInteger())

    terms = _terms(columns, orders, backwards=page.backwards)
    start, stop = (before, after) if page.backwards else (after, before)
    if stop is not None:
        wanted = and_(wanted, _beyond([term.flipped() for term in terms], stop))
    segments = [
        select(*columns.values())
        .where(wanted, *within)
        .order_by(*(term.ordering() for term in by))
        .limit(limit)
        for within, by in _segments(terms, start)
    ]
    rows: FromClause = _correlated(segments[0], scope).subquery("page")
    if len(segments) > 1:
        together = union_all(*map(select, _in_turn(segments, limit))).subquery("segments")
        by = _terms(dict(together.c), orders, backwards=page.backwards)
        rows = select(together).order_by(*(t.ordering() for t in by)).limit(limit).subquery("page")
    by = _terms(dict(rows.c), orders, backwards=page.backwards)
    place = func.row_number().over(order_by=[term.ordering() for term in by])
    return select(
        *(column for column in rows.c if column.name != "rank"),
        place.label("place"),
        cursor_text(rows, orders).label("cursor"),
    )


def page_shape(where: Where, orders: Sequence[Order], page: Page) -> Hashable:
    """Returns what the text of `task_page` depends on."""
    return (
        where.shape,
        signature(orders),
        page.backwards,
        _nulls(page.after),
        _nulls(page.before),
    )


def page_values(where: Where, orders: Sequence[Order], page: Page, now: datetime) -> list[object]:
    """Returns the values that `task_page` binds, in its order."""
    values = where.values(now)
    if _has_rank(orders):
        values.append(where.rank or "")
    for cursor in (page.after, page.before):
        values += [_plain(value) for value in cursor or () if value is not None]
    values.append(page.size + 1)
    return values


def _has_rank(orders: Sequence[Order]) -> bool:
    return any(order.key is RANK for order in orders)


def _relevance(bind: Bind, tasks: FromClause, where: Where) -> ColumnElement[float]:
    """Returns the relevance, negated; as float8, whose JSON text reads back as the same number."""
    rank = func.ts_rank(tasks.c.search, tsquery(bind(where.rank or "", Text())))
    # Not -rank, which makes of nothing a negative zero.
    return literal_column("0") - cast(rank, Float(53))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """One key of an order in the direction of fetching."""

    column: ColumnElement[Any]
    descending: bool
    nullable: bool
    nulls_first: bool

    def flipped(self) -> "_Term":
        return replace(self, descending=not self.descending, nulls_first=not self.nulls_first)

    @property
    def is_natural(self) -> bool:
        """Whether an index has its nulls where the order wants them."""
        return not self.nullable or self.nulls_first == self.descending

    def ordering(self) -> ColumnElement[Any]:
        term = self.column.desc() if self.descending else self.column.asc()
        if self.is_natural:
            return term
        return term.nulls_first() if self.nulls_first else term.nulls_last()

    def past(self, value: ColumnElement[Any]) -> ColumnElement[bool]:
        return self.column < value if self.descending else self.column > value


def _in_turn(segments: Sequence[Select[Any]], limit: ColumnElement[int]) -> list[CTE]:
    """Returns the segments, each of which is read only where those before it fall short."""
    parts: list[CTE] = []
    for segment in segments:
        counts = [select(func.count()).select_from(part).scalar_subquery() for part in parts]
        needed = [reduce(add, counts) < limit] if counts else []
        parts.append(segment.where(*needed).cte())
    return parts


# The values of a cursor as parameters, one a term; None stands for null.
_Place: TypeAlias = Sequence[ColumnElement[Any] | None]


def _terms(
    columns: Mapping[str, ColumnElement[Any]], orders: Sequence[Order], *, backwards: bool
) -> list[_Term]:
    terms = [
        _Term(
            column=columns[order.key.attribute],
            descending=order.descending != backwards,
            nullable=order.key.nullable,
            nulls_first=backwards,
        )
        for order in orders
    ]
    ident = _Term(column=columns["id"], descending=backwards, nullable=False, nulls_first=backwards)
    return [*terms, ident]


def _place(bind: Bind, orders: Sequence[Order], cursor: Cursor | None) -> _Place | None:
    if cursor is None:
        return None
    types = [_type(order) for order in orders]
    return [
        None if value is None else _parameter(bind, value, type_)
        for value, type_ in zip(cursor, [*types, Uuid()], strict=True)
    ]


def _parameter(bind: Bind, value: Value, type_: TypeEngine[Any]) -> ColumnElement[Any]:
    plain = _plain(value)
    return bind(plain, type_) if plain is value else cast(bind(plain, Text()), type_)


def _plain(value: Value) -> Value:
    # As text: the driver takes the first instant of year 1 for -infinity, and a page after it
    # would begin with it again.
    return value.isoformat() if isinstance(value, datetime) else value


def _type(order: Order) -> TypeEngine[Any]:
    return Float(53) if order.key is RANK else task.c[order.key.attribute].type


def _nulls(cursor: Cursor | None) -> Hashable:
    return None if cursor is None else tuple(value is None for value in cursor)


# --- keysets -------------------------------------------------------------------------------------

_Segment: TypeAlias = tuple[Sequence[ColumnElement[bool]], Sequence[_Term]]


def _segments(terms: Sequence[_Term], start: _Place | None) -> list[_Segment]:
    """Returns the rows after `start` as ranges that an index can walk, each with its order.

    A range over null and other values of a key, or one that walks a key down and the id up, is
    none of an index: PostgreSQL would read and sort the whole workspace. So is what has the first
    key of `start` and comes after it by the next: that is a range of the next key's index, or
    several, in the same way.
    """
    first, rest = terms[0], terms[1:]
    if first.column.name == "rank":
        # No index has it; one range reads what the search found once.
        return [([] if start is None else [_beyond(terms, start)], terms)]
    present = [replace(first, nullable=False), *rest]
    if start is None:
        if first.is_natural:
            return [([], terms)]
        values: _Segment = ([first.column.is_not(None)], present)
        nulls = _equals(terms, None, None)
        return [*nulls, values] if first.nulls_first else [values, *nulls]
    value, more = start[0], start[1:]
    if value is None:
        segments = _equals(terms, None, more)
        return segments + [([first.column.is_not(None)], present)] * first.nulls_first
    if len(rest) == 1 and first.descending == rest[0].descending:
        segments = [([_row_beyond(present, start)], present)]
    else:
        segments = [*_equals(terms, value, more), ([first.past(value)], present)]
    if first.nullable and not first.nulls_first:
        segments += _equals(terms, None, None)
    return segments


def _equals(
    terms: Sequence[_Term], value: ColumnElement[Any] | None, more: _Place | None
) -> list[_Segment]:
    """Returns the rows whose first key is `value` and whose others come after `more`."""
    first, rest = terms[0], terms[1:]
    if len(rest) > 1:
        same = first.column.is_(None) if value is None else first.column == value
        return [([same, *where], by) for where, by in _segments(rest, more)]
    # Ordered by the first key too, and ranges instead of an equality, which would take it out of
    # the order: with one by id alone PostgreSQL walks the primary key, through every workspace.
    by = [replace(first, nullable=False, descending=rest[0].descending), *rest]
    if value is None:
        return [([first.column.is_(None), *([] if more is None else [_beyond(rest, more)])], by)]
    bound = first.column >= value if by[0].descending else first.column <= value
    return [([_row_beyond(by, [value, *(more or ())]), bound], by)]


def _row_beyond(terms: Sequence[_Term], start: _Place) -> ColumnElement[bool]:
    row = tuple_(*(term.column for term in terms))
    place = tuple_(*start)
    return row < place if terms[0].descending else row > place


def _beyond(terms: Sequence[_Term], start: _Place) -> ColumnElement[bool]:
    """Returns the condition that a row comes after `start`, key by key."""
    term, value = terms[0], start[0]
    beyond = _past(term, value)
    if len(terms) == 1:
        return beyond
    same = term.column.is_(None) if value is None else term.column == value
    return or_(beyond, and_(same, _beyond(terms[1:], start[1:])))


def _past(term: _Term, value: ColumnElement[Any] | None) -> ColumnElement[bool]:
    if value is None:
        return term.column.is_not(None) if term.nulls_first else false()
    if term.nullable and not term.nulls_first:
        return or_(term.past(value), term.column.is_(None))
    return term.past(value)


def _correlated(statement: Select[Any], scope: Scope) -> Select[Any]:
    return statement if scope.outer is None else statement.correlate(scope.outer)


def cursor_text(rows: FromClause, orders: Sequence[Order]) -> ColumnElement[str]:
    """Returns the text that `domain.paging.encode` writes; base64url in terms of PostgreSQL 15."""
    parts = [_json(rows.c[order.key.attribute], order) for order in orders]
    kind = literal_column(f"'{signature(orders)}'", Text())
    text = cast(func.json_build_array(kind, *parts, rows.c.id), Text)
    encoded = func.encode(
        func.convert_to(text, literal_column("'UTF8'")), literal_column("'base64'")
    )
    return func.translate(encoded, literal_column("E'+/=\\n'"), literal_column("'-_'"))


def _json(column: ColumnElement[Any], order: Order) -> ColumnElement[Any]:
    if order.key.kind is not datetime:
        return column
    # Numeric until the end: microseconds are exact.
    return cast(func.extract("epoch", column) * literal_column("1000000"), BigInteger)
