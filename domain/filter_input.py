"""The public `TaskFilter`: which fields it has, what each compares, and how it is read."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, TypeAlias
from uuid import UUID

from domain.errors import OverLimit, invalid
from domain.filters import All, Comparison, Either, Filter, Not, Operator
from domain.ids import parse_uuid
from domain.search import Query, query
from domain.tasks import Priority, Status
from domain.text import storable

# `and`, `or` and `not` nest; people write two or three levels.
DEPTH_MAX = 10
# Each costs the database planning time, and a live view time for every change.
COMPARISONS_MAX = 100
# In all lists of a filter together: as many as a workspace may have tags.
VALUES_MAX = 1_000
# Each may be a scan of the text index that nothing else narrows.
SEARCHES_MAX = 4
# A whole title can be looked for.
SEARCH_MAX_CHARS = 500

Path: TypeAlias = tuple[str, ...]


def _ident(value: object, path: Path) -> UUID:
    parsed = parse_uuid(value) if isinstance(value, str) else None
    if parsed is None:
        raise invalid("Write an id as the service answered it: a UUID.", *path)
    return parsed


def _status(value: object, path: Path) -> Status:
    if isinstance(value, str) and value in Status.__members__:
        return Status[value]
    raise invalid("This is no status.", *path)


def _priority(value: object, path: Path) -> Priority:
    if isinstance(value, str) and value in Priority.__members__:
        return Priority[value]
    raise invalid("This is no priority.", *path)


def _instant(value: object, path: Path) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise invalid("Write an instant with its offset.", *path)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise invalid("Use an instant within the years 1 to 9999.", *path) from None


def _day(value: object, path: Path) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise invalid("Write a date as YYYY-MM-DD.", *path)
    return value


def _search(value: object, path: Path) -> Query:
    if not isinstance(value, str) or not storable(value):
        raise invalid("Remove NUL characters and lone surrogates.", *path)
    if len(value) > SEARCH_MAX_CHARS:
        raise OverLimit(
            f"Search for at most {SEARCH_MAX_CHARS} characters; these are {len(value)}."
        )
    return query(value)


@dataclass(frozen=True, slots=True)
class _Compare:
    """An input field with a value: the attribute, the operator, and how the value is read."""

    attribute: str
    operator: Operator
    read: Callable[[object, Path], Hashable]
    is_list: bool = False
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class _Flag:
    """A Boolean input field: true asks for what `holds`, false for the opposite."""

    holds: Filter


_Field: TypeAlias = _Compare | _Flag


def _absent(attribute: str) -> _Flag:
    return _Flag(Comparison(attribute, Operator.ABSENT))


def _id_fields(attribute: str) -> Mapping[str, _Field]:
    return {
        "eq": _Compare(attribute, Operator.EQUAL, _ident),
        "in": _Compare(attribute, Operator.AMONG, _ident, is_list=True),
        "isNull": _absent(attribute),
    }


def _instant_fields(attribute: str) -> Mapping[str, _Field]:
    return {
        "gte": _Compare(attribute, Operator.AT_LEAST, _instant),
        "lt": _Compare(attribute, Operator.BELOW, _instant),
        "isNull": _absent(attribute),
    }


_OPEN = Comparison("status", Operator.AMONG, (Status.OPEN, Status.IN_PROGRESS))
_IS_DELETED = Not(Comparison("deleted_at", Operator.ABSENT))

# Every field of the public `TaskFilter` besides `and`, `or`, `not`; one that is an input object
# of its own lists that object's fields.
FIELDS: Final[Mapping[str, _Field | Mapping[str, _Field]]] = {
    "id": _id_fields("id"),
    "status": {
        "eq": _Compare("status", Operator.EQUAL, _status),
        "in": _Compare("status", Operator.AMONG, _status, is_list=True),
    },
    "priority": {
        "eq": _Compare("priority", Operator.EQUAL, _priority),
        "in": _Compare("priority", Operator.AMONG, _priority, is_list=True),
        "gte": _Compare("priority", Operator.AT_LEAST, _priority),
        "lte": _Compare("priority", Operator.AT_MOST, _priority),
    },
    "category": _id_fields("category_id"),
    "assignee": _id_fields("assignee_id"),
    "parent": _id_fields("parent_id"),
    "tags": {
        "any": _Compare("tag_ids", Operator.OVERLAPS, _ident, is_list=True),
        "all": _Compare("tag_ids", Operator.CONTAINS, _ident, is_list=True),
        "none": _Compare("tag_ids", Operator.OVERLAPS, _ident, is_list=True, is_negated=True),
        "isEmpty": _Flag(Comparison("tag_ids", Operator.EMPTY)),
    },
    "due": {
        **_instant_fields("due_instant"),
        "dateGte": _Compare("due_day", Operator.AT_LEAST, _day),
        "dateLt": _Compare("due_day", Operator.BELOW, _day),
    },
    "createdAt": _instant_fields("created_at"),
    "updatedAt": _instant_fields("updated_at"),
    "completedAt": _instant_fields("completed_at"),
    "search": _Compare("search", Operator.FOUND, _search),
    "isOverdue": _Flag(All((_OPEN, Comparison("due_instant", Operator.PASSED)))),
    "isRecurring": _Flag(Not(Comparison("series_id", Operator.ABSENT))),
    "isDeleted": _Flag(_IS_DELETED),
}


def parse(given: Mapping[str, object] | None, *path: str) -> Filter:
    """Returns the filter; deleted tasks pass only where its top level names `isDeleted`.

    Args:
        given: a coerced `TaskFilter`, keyed by its public names: ids are texts, enum values
            their names, instants aware; null and absent are the same.
        path: where it stands in the arguments, for the refusals.

    Raises:
        Refused: INVALID; a malformed id, or NUL or lone surrogates in a search.
        OverLimit: it is too deep or too large.
    """
    top = given or {}
    asked = _Parser().parts(top, path, DEPTH_MAX)
    if top.get("isDeleted") is None:
        asked.append(negation(_IS_DELETED))
    return _every(asked)


def negation(part: Filter) -> Filter:
    """Returns the filter that holds where `part` does not."""
    return part.part if isinstance(part, Not) else Not(part)


def _every(parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else All(tuple(parts))


class _Parser:
    """Reads one filter and counts what it is made of."""

    def __init__(self) -> None:
        self._left = {"comparison": COMPARISONS_MAX, "value": VALUES_MAX, "search": SEARCHES_MAX}

    def parts(self, given: Mapping[str, object], path: Path, levels: int) -> list[Filter]:
        found: list[Filter] = []
        for name, value in given.items():
            if value is None:
                continue
            if name in ("and", "or", "not"):
                found.append(self._nested(name, value, (*path, name), levels))
                continue
            field = FIELDS.get(name)
            if isinstance(field, Mapping):
                found += self._object(field, _mapping(value, (*path, name)), (*path, name))
            else:
                found.append(self._comparison(field, value, (*path, name)))
        return found

    def _object(
        self, fields: Mapping[str, _Field], given: Mapping[str, object], path: Path
    ) -> list[Filter]:
        return [
            self._comparison(fields.get(name), value, (*path, name))
            for name, value in given.items()
            if value is not None
        ]

    def _nested(self, name: str, value: object, path: Path, levels: int) -> Filter:
        if levels == 1:
            raise OverLimit(f"Nest and, or, not at most {DEPTH_MAX - 1} levels deep.")
        if name == "not":
            return negation(_every(self.parts(_mapping(value, path), path, levels - 1)))
        parts = []
        for index, item in enumerate(_list(value, path)):
            here = (*path, str(index))
            # Counted also where it is empty: a list of a million empty filters is a large one.
            self._count("comparison")
            parts.append(_every(self.parts(_mapping(item, here), here, levels - 1)))
        return _every(parts) if name == "and" else Either(tuple(parts))

    def _comparison(self, field: _Field | None, value: object, path: Path) -> Filter:
        if field is None:
            raise invalid("There is no such field.", *path)
        self._count("comparison")
        if isinstance(field, _Flag):
            return field.holds if value else negation(field.holds)
        if field.operator is Operator.FOUND:
            self._count("search")
        if field.is_list:
            items = _list(value, path)
            self._count("value", len(items))
            read = (field.read(item, (*path, str(i))) for i, item in enumerate(items))
            made = Comparison(field.attribute, field.operator, tuple(dict.fromkeys(read)))
        else:
            made = Comparison(field.attribute, field.operator, field.read(value, path))
        return Not(made) if field.is_negated else made

    def _count(self, what: str, number: int = 1) -> None:
        self._left[what] -= number
        if self._left[what] < 0:
            raise OverLimit(f"The filter is too large: it has too many {what}s.")


def _mapping(value: object, path: Path) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise invalid("Write an input object.", *path)
    return value


def _list(value: object, path: Path) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise invalid("Write a list.", *path)
    return value
