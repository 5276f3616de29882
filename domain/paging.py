"""Orders, cursors and pages of the task list.

A cursor is the place of one row in an order: the values of the order's keys, and the row's id,
which breaks ties. It travels as opaque text: base64url of the JSON array [order, key ..., id].
The database writes the same text as `encode`.
"""

import json
import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

from domain.errors import OverLimit, invalid
from domain.filters import Where
from domain.ids import parse_uuid
from domain.text import storable

SIZE_DEFAULT = 50
SIZE_MAX = 200
# A title's key has up to 2,600 bytes, JSON may double them, base64 adds a third.
CURSOR_MAX_CHARS = 8_192
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Value: TypeAlias = datetime | int | float | str | UUID | None
# The values of the order's keys, then the id.
Cursor: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What rows may be ordered by.

    `name` is public; `attribute` is the column's name; `kind` is the type of its values.
    """

    name: str
    attribute: str
    kind: type[datetime] | type[int] | type[float] | type[str]
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One key of an order; absent values come last in either direction."""

    key: Key
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A slice of an ordered list: its first `size` rows, or `backwards` its last ones.

    Only rows strictly after `after` and strictly before `before` count.
    """

    size: int
    backwards: bool = False
    after: Cursor | None = None
    before: Cursor | None = None


POSITION: Final = Key(name="POSITION", attribute="position", kind=str)
# 0 is the least relevant, and negative is better: ascending, as the default direction is, has the
# best first.
RANK: Final = Key(name="RANK", attribute="rank", kind=float)
KEYS: Final[Mapping[str, Key]] = {
    key.name: key
    for key in (
        Key(name="DUE", attribute="due_instant", kind=datetime, nullable=True),
        Key(name="PRIORITY", attribute="priority", kind=int),
        Key(name="CREATED_AT", attribute="created_at", kind=datetime),
        Key(name="UPDATED_AT", attribute="updated_at", kind=datetime),
        Key(name="TITLE", attribute="title_key", kind=str),
        POSITION,
        RANK,
    )
}


def order_for(
    given: Sequence[Mapping[str, object]] | None, where: Where, *path: str
) -> tuple[Order, ...]:
    """Returns the orders asked for, without repeated keys; POSITION, or RANK with a search.

    Args:
        given: coerced `TaskOrder`s; `field` and `direction` are the names of enum values.
        where: whose searches RANK measures by.
        path: where `given` stands in the arguments.

    Raises:
        Refused: INVALID; RANK without a search, or an unknown field.
    """
    rank = where.rank
    orders: dict[str, Order] = {}
    for index, item in enumerate(given or ()):
        name = str(item["field"])
        if name not in KEYS:
            raise invalid("There is no such order.", *path, str(index), "field")
        if name == RANK.name and rank is None:
            raise invalid("Ask for a search to order by RANK.", *path, str(index), "field")
        orders.setdefault(name, Order(KEYS[name], item.get("direction") == "DESC"))
    if not given and rank is not None:
        orders[RANK.name] = Order(RANK)
    if not rank:
        # The search is blank or only excludes: everything it finds is equally relevant.
        orders.pop(RANK.name, None)
    return tuple(orders.values()) or (Order(POSITION),)


def page(
    orders: Sequence[Order],
    *,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> Page:
    """Returns the page that a connection's arguments ask for.

    Raises:
        Refused: INVALID; a negative size, both `first` and `last`, or a cursor that is malformed
            or of another order.
        OverLimit: a size of more than 200.
    """
    if first is not None and last is not None:
        raise invalid("Give first or last, not both.", "last")
    size = SIZE_DEFAULT
    for name, given in (("first", first), ("last", last)):
        if given is not None:
            size = given
        if size < 0:
            raise invalid("Ask for 0 rows or more.", name)
    if size > SIZE_MAX:
        raise OverLimit(f"Ask for at most {SIZE_MAX} rows a page; this asks for {size}.")
    return Page(
        size=size,
        backwards=last is not None,
        after=None if after is None else decode(after, orders, "after"),
        before=None if before is None else decode(before, orders, "before"),
    )


def signature(orders: Sequence[Order]) -> str:
    """Returns the text by which a cursor is known to be of these orders: `DUE,-PRIORITY`."""
    return ",".join("-" * order.descending + order.key.name for order in orders)


def encode(orders: Sequence[Order], cursor: Cursor) -> str:
    """Returns the cursor's text."""
    parts = [signature(orders), *map(_plain, cursor)]
    text = json.dumps(parts, ensure_ascii=False).encode()
    return urlsafe_b64encode(text).decode().rstrip("=")


def decode(text: str, orders: Sequence[Order], *path: str) -> Cursor:
    """Returns the place that the text names, each value of its key's type and range.

    Raises:
        Refused: INVALID; it is malformed, or a place in another order.
    """
    try:
        *values, ident = _parts(text, signature(orders))
        keys = [_value(value, order.key) for value, order in zip(values, orders, strict=True)]
        return (*keys, _ident(ident))
    except (ValueError, OverflowError, RecursionError):
        raise invalid("Give a cursor that this list answered, in the same order.", *path) from None


def _parts(text: str, kind: str) -> list[object]:
    if len(text) > CURSOR_MAX_CHARS or not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError("not base64url")
    parts = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    if not isinstance(parts, list) or len(parts) < 2 or parts[0] != kind:
        raise ValueError("not a cursor of this order")
    return parts[1:]


def _plain(value: Value) -> object:
    if isinstance(value, datetime):
        return (value - _EPOCH) // _MICROSECOND
    return str(value) if isinstance(value, UUID) else value


def _value(value: object, key: Key) -> Value:
    if value is None and key.nullable:
        return None
    return _READERS[key.kind](value)


def _ident(value: object) -> UUID:
    ident = parse_uuid(value) if isinstance(value, str) else None
    if ident is None:
        raise ValueError("not an id")
    return ident


def _instant(value: object) -> datetime:
    return _EPOCH + timedelta(microseconds=_int(value))


def _small(value: object) -> int:
    number = _int(value)
    if not 0 <= number < 2**15:
        raise ValueError("out of range")
    return number


def _int(value: object) -> int:
    # A bool is an int, too.
    if type(value) is not int:
        raise ValueError("not an integer")
    return value


def _finite(value: object) -> float:
    # The database writes a whole number without a point.
    number = value if type(value) is float else float(_int(value))
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _text(value: object) -> str:
    if not isinstance(value, str) or not storable(value):
        raise ValueError("not a text that can be stored")
    return value


_READERS: Final[Mapping[type, Callable[[object], Value]]] = {
    datetime: _instant,
    int: _small,
    float: _finite,
    str: _text,
}
