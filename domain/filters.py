"""Filters of tasks: a small algebra of comparisons, and what it means in memory.

`domain/filter_input.py` makes one from the public `TaskFilter`; `infra/postgres/conditions.py`
says the same in SQL. Logic has two values: a comparison with an absent value is false, and `not`
negates that.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from operator import attrgetter
from typing import Any, Final, TypeAlias

from domain.search import Query
from domain.tasks import Task
from domain.text import sort_key


class Operator(Enum):
    """How an attribute is compared; of an absent value all but ABSENT are false."""

    EQUAL = "EQUAL"
    AMONG = "AMONG"
    AT_LEAST = "AT_LEAST"
    AT_MOST = "AT_MOST"
    BELOW = "BELOW"
    ABSENT = "ABSENT"
    # An instant that is now or earlier: the one operator that reads the clock.
    PASSED = "PASSED"
    # A set of ids that shares one with the given, has all of the given, or has none.
    OVERLAPS = "OVERLAPS"
    CONTAINS = "CONTAINS"
    EMPTY = "EMPTY"
    # A text in which a search finds something: only the database can tell.
    FOUND = "FOUND"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One attribute compared with one value; `value` is None where the operator takes none."""

    attribute: str
    operator: Operator
    value: Hashable = None


@dataclass(frozen=True, slots=True)
class Not:
    """Holds where `part` does not."""

    part: "Filter"


@dataclass(frozen=True, slots=True)
class All:
    """Holds where every part does; without parts it holds."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Holds where a part does; without parts it does not."""

    parts: tuple["Filter", ...]


Filter: TypeAlias = Comparison | Not | All | Either
# Whether a task passes at an instant; None where only the database can tell.
Predicate: TypeAlias = Callable[[Task, datetime], bool | None]

# Among bound values: the instant at which they are asked for.
_NOW: Final = object()
# The attributes of a task that are compared or ordered by, named as their columns are.
ATTRIBUTES: Final[Mapping[str, Callable[[Task], object]]] = {
    "id": attrgetter("id"),
    "status": attrgetter("status"),
    "priority": attrgetter("priority"),
    "category_id": attrgetter("category_id"),
    "assignee_id": attrgetter("assignee_id"),
    "parent_id": attrgetter("parent_id"),
    "tag_ids": attrgetter("tag_ids"),
    "due_day": lambda task: None if task.due is None else task.due.day,
    "due_instant": lambda task: None if task.due is None else task.due.instant,
    "title_key": lambda task: sort_key(task.title),
    "position": attrgetter("position"),
    "created_at": attrgetter("created_at"),
    "updated_at": attrgetter("updated_at"),
    "completed_at": attrgetter("completed_at"),
    "deleted_at": attrgetter("deleted_at"),
    "series_id": attrgetter("series_id"),
}


def comparisons(filter: Filter) -> Iterator[Comparison]:
    """Yields every comparison of the filter, in the one order that all evaluators keep."""
    match filter:
        case Comparison():
            yield filter
        case Not(part):
            yield from comparisons(part)
        case All(parts) | Either(parts):
            for part in parts:
                yield from comparisons(part)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Where:
    """A whole filter, with what depends on it alone, worked out once for many reads.

    `shape` is what its SQL depends on: equal shapes have the same text. `rank` is the `tsquery` by
    which relevance is measured, see `ranking`.
    """

    filter: Filter
    shape: Hashable
    rank: str | None
    bound: tuple[object, ...]

    def values(self, now: datetime) -> list[object]:
        """Returns the values that the filter's SQL binds, in its order."""
        return [now if value is _NOW else value for value in self.bound]


def where(filter: Filter) -> Where:
    """Returns the filter, ready to be asked for."""
    return Where(
        filter=filter, shape=_shape(filter), rank=ranking(filter), bound=tuple(_bound(filter))
    )


def _shape(filter: Filter) -> Hashable:
    match filter:
        case Comparison(attribute, operator, Query(match=None)):
            return (attribute, operator, None)
        case Comparison(attribute, operator, _):
            return (attribute, operator)
        case Not(part):
            return ("not", _shape(part))
        case All(parts):
            return ("all", *map(_shape, parts))
        case Either(parts):
            return ("either", *map(_shape, parts))


def _bound(filter: Filter) -> Iterator[object]:
    for comparison in comparisons(filter):
        match comparison:
            case Comparison(operator=Operator.ABSENT | Operator.EMPTY):
                pass
            case Comparison(operator=Operator.PASSED):
                yield _NOW
            case Comparison(value=Query(match=text)):
                if text is not None:
                    yield text
            case Comparison(value=value):
                yield value


def reads_clock(filter: Filter) -> bool:
    """Tells whether a task may pass or cease to pass by the clock alone."""
    return any(comparison.operator is Operator.PASSED for comparison in comparisons(filter))


def ranking(filter: Filter) -> str | None:
    """Returns the `tsquery` by which relevance is measured: all searches that are not negated.

    It is None where there is no such search, and empty where none has a word to rank by.
    """
    ranks = [rank for rank in _ranks(filter) if rank is not None]
    return None if not ranks else " | ".join(rank for rank in ranks if rank)


def _ranks(filter: Filter) -> Iterator[str | None]:
    match filter:
        case Comparison(value=Query(rank=rank)):
            yield rank or ""
        case All(parts) | Either(parts):
            for part in parts:
                yield from _ranks(part)


def predicate(filter: Filter) -> Predicate:
    """Returns the filter's meaning as one function, compiled once for many tasks."""
    match filter:
        case Comparison():
            return _comparison(filter)
        case Not(part):
            return _not(predicate(part))
        case All(parts):
            return _decided_by(False, tuple(predicate(part) for part in parts))
        case Either(parts):
            return _decided_by(True, tuple(predicate(part) for part in parts))


def matches(filter: Filter, task: Task, now: datetime) -> bool | None:
    """Tells whether the task passes at that instant; None where only the database can tell."""
    return predicate(filter)(task, now)


def _not(part: Predicate) -> Predicate:
    def opposite(task: Task, now: datetime) -> bool | None:
        passes = part(task, now)
        return None if passes is None else not passes

    return opposite


def _decided_by(decisive: bool, parts: tuple[Predicate, ...]) -> Predicate:
    def combined(task: Task, now: datetime) -> bool | None:
        result: bool | None = not decisive
        for part in parts:
            passes = part(task, now)
            if passes is decisive:
                return decisive
            if passes is None:
                result = None
        return result

    return combined


def _comparison(comparison: Comparison) -> Predicate:
    if comparison.operator is Operator.FOUND:
        return _found(comparison.value)
    read = ATTRIBUTES[comparison.attribute]
    return _MEANINGS[comparison.operator](read, comparison.value)


def _found(value: object) -> Predicate:
    blank = isinstance(value, Query) and value.match is None
    return lambda _task, _now: True if blank else None


def _equal(read: Callable[[Task], Any], value: Any) -> Predicate:
    return lambda task, _now: read(task) == value


def _among(read: Callable[[Task], Any], value: Any) -> Predicate:
    values = frozenset(value)
    return lambda task, _now: read(task) in values


def _at_least(read: Callable[[Task], Any], value: Any) -> Predicate:
    return lambda task, _now: (has := read(task)) is not None and has >= value


def _at_most(read: Callable[[Task], Any], value: Any) -> Predicate:
    return lambda task, _now: (has := read(task)) is not None and has <= value


def _below(read: Callable[[Task], Any], value: Any) -> Predicate:
    return lambda task, _now: (has := read(task)) is not None and has < value


def _absent(read: Callable[[Task], Any], _value: Any) -> Predicate:
    return lambda task, _now: read(task) is None


def _passed(read: Callable[[Task], Any], _value: Any) -> Predicate:
    return lambda task, now: (at := read(task)) is not None and at <= now


def _overlaps(read: Callable[[Task], Any], value: Any) -> Predicate:
    values = frozenset(value)
    return lambda task, _now: not values.isdisjoint(read(task))


def _contains(read: Callable[[Task], Any], value: Any) -> Predicate:
    values = frozenset(value)
    return lambda task, _now: values <= read(task)


def _empty(read: Callable[[Task], Any], _value: Any) -> Predicate:
    return lambda task, _now: not read(task)


_MEANINGS: Final[Mapping[Operator, Callable[[Callable[[Task], Any], Any], Predicate]]] = {
    Operator.EQUAL: _equal,
    Operator.AMONG: _among,
    Operator.AT_LEAST: _at_least,
    Operator.AT_MOST: _at_most,
    Operator.BELOW: _below,
    Operator.ABSENT: _absent,
    Operator.PASSED: _passed,
    Operator.OVERLAPS: _overlaps,
    Operator.CONTAINS: _contains,
    Operator.EMPTY: _empty,
}
