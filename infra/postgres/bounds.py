"""How many bytes an answer may have: the database measures while it makes it, and stops there."""

from collections.abc import Container, Sequence
from functools import reduce
from operator import add
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    case,
    cast,
    func,
    literal_column,
    select,
)

from infra.postgres.building import Statement, json_object

# What the error says that ends a statement whose answer grows too large.
TOO_LARGE = "the answer is too large"


def measured(
    statement: Statement, rows: Select[Any], items: Sequence[str]
) -> tuple[FromClause, ColumnElement[bool]]:
    """Returns the rows, and a condition that is to be asked of each.

    It holds as long as those items, JSON, have at most `most` bytes together, and ends the
    statement beyond: what comes after is not made.
    """
    made = _once(rows).subquery()
    size: ColumnElement[Any] = reduce(add, (_size(made.c[item]) for item in items))
    so_far = func.sum(size).over(rows=(None, 0))
    counted = select(*made.c, so_far.label("so_far")).subquery()
    return counted, _within(statement.most, counted.c.so_far)


def in_turn(
    statement: Statement, pairs: Sequence[tuple[str, ColumnElement[Any]]], large: Container[str]
) -> ColumnElement[Any]:
    """Returns a JSON object of the pairs, of which those named may be large.

    Of these each is made only where the ones before it leave room for it: in a select around
    theirs, for the planner gives up on a long row of joins that look at each other.
    """
    wanted = [(key, value) for key, value in pairs if key in large]
    if len(wanted) < 2:
        return json_object(pairs)
    (_, first), *others = wanted
    step = select(first.label("part0"), literal_column("0").label("so_far")).correlate_except()
    steps = _once(step).subquery()
    for number, (_, value) in enumerate(others, 1):
        *parts, before = steps.c
        so_far = before + _size(parts[-1])
        part = case((_within(statement.most, so_far), value)).label(f"part{number}")
        step = select(*parts, part, so_far.label("so_far")).select_from(steps)
        steps = _once(step.correlate_except(steps)).subquery()
    made = {key: steps.c[f"part{number}"] for number, (key, _) in enumerate(wanted)}
    whole = select(json_object([(key, made.get(key, value)) for key, value in pairs]))
    return whole.select_from(steps).correlate_except(steps).scalar_subquery()


def _within(most: int, size: ColumnElement[Any]) -> ColumnElement[bool]:
    """Returns true for a size of at most `most` bytes; a greater one ends the statement."""
    # What cannot be cast says so, and the text is made of the row, or it would be cast while
    # the statement is planned.
    said = cast(func.concat(literal_column(f"'{TOO_LARGE}: '"), size), Boolean)
    return case((size <= literal_column(str(most)), literal_column("true")), else_=said)


def _once(statement: Select[Any]) -> Select[Any]:
    """Returns the select behind a fence: each of its values is made once, however often used."""
    return statement.offset(literal_column("0"))


def _size(item: ColumnElement[Any]) -> ColumnElement[Any]:
    """Returns the bytes of a value that was made here; known without looking into it."""
    return func.coalesce(func.pg_column_size(item), literal_column("0"))
