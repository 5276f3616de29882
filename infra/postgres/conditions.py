"""What filters of tasks mean in SQL.

Values are never part of the text: every function takes `bind`, which registers one value of this
request and returns its parameter. The text depends on `Where.shape` only, so a compiled statement
serves every request whose shape is equal; such a request needs no building, only `Where.values`,
which come in the order of the binds.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Text,
    and_,
    any_,
    false,
    func,
    literal_column,
    or_,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from domain.filters import All, Comparison, Either, Filter, Not, Operator
from domain.search import Query

Bind: TypeAlias = Callable[[object, TypeEngine[Any]], BindParameter[Any]]


def matching(bind: Bind, tasks: FromClause, filter: Filter, now: datetime) -> ColumnElement[bool]:
    """Returns the condition that the filter means for `tasks`, the table or an alias of it.

    It is true, or false or null, which a WHERE does not tell apart; only under `not` it matters.

    Args:
        now: the instant at which a due has passed.
    """
    match filter:
        case Comparison():
            return _comparison(bind, tasks, filter, now)
        case Not(Comparison(attribute, Operator.ABSENT)):
            return tasks.c[attribute].is_not(None)
        case Not(part):
            return matching(bind, tasks, part, now).is_not(true())
        case All(parts):
            return and_(true(), *(matching(bind, tasks, part, now) for part in parts))
        case Either(parts):
            return or_(false(), *(matching(bind, tasks, part, now) for part in parts))


def _comparison(
    bind: Bind, tasks: FromClause, comparison: Comparison, now: datetime
) -> ColumnElement[bool]:
    column, value = tasks.c[comparison.attribute], comparison.value
    match comparison.operator:
        case Operator.ABSENT:
            return column.is_(None)
        case Operator.EMPTY:
            return func.cardinality(column) == literal_column("0")
        case Operator.PASSED:
            return column <= bind(now, column.type)
        case Operator.FOUND:
            return _found(bind, column, value)
        case Operator.AMONG:
            return column == any_(bind(value, ARRAY(column.type)))
        case _:
            return column.bool_op(_SYMBOLS[comparison.operator])(bind(value, column.type))


_SYMBOLS: Final = {
    Operator.EQUAL: "=",
    Operator.AT_LEAST: ">=",
    Operator.AT_MOST: "<=",
    Operator.BELOW: "<",
    Operator.OVERLAPS: "&&",
    Operator.CONTAINS: "@>",
}


def _found(bind: Bind, column: ColumnElement[Any], value: object) -> ColumnElement[bool]:
    if not isinstance(value, Query):
        raise TypeError(value)
    if value.match is None:
        return true()
    return column.bool_op("@@")(tsquery(bind(value.match, Text())))


def tsquery(text: ColumnElement[str]) -> ColumnElement[Any]:
    """Returns the query that `domain.search` wrote."""
    return func.to_tsquery(literal_column("'simple'"), text)
