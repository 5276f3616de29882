"""How a statement is put together: parameters, joins, and JSON made by the database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, TypeAlias

from sqlalchemy import (
    JSON,
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.types import TypeEngine

from domain.ids import UserId
from domain.paging import Page

# json_build_object takes 100 arguments (JSON_OBJECT takes more, from PostgreSQL 16 on).
PAIRS_MAX = 50


@dataclass(frozen=True, slots=True)
class Request:
    """The values of one request, from which a kept statement's parameters are taken."""

    viewer: UserId | None
    reads: Sequence[Any]
    pages: Sequence[Page]
    now: datetime


# What a run of parameters is in a request, in the order in which they were bound.
Values: TypeAlias = Callable[[Request], Sequence[object]]
Join: TypeAlias = tuple[FromClause, ColumnElement[bool]]


@dataclass(slots=True)
class Statement:
    """A statement being built, for the request that needed it first.

    Its answer has at most about `most` bytes: see `infra.postgres.bounds`.
    """

    request: Request
    most: int
    values: list[Values] = field(default_factory=list)
    # Without all of them the statement's answer is null.
    guards: list[ColumnElement[bool]] = field(default_factory=list)
    bound: int = 0
    joins: list[list[Join]] = field(default_factory=list)
    _viewer: ColumnElement[Any] | None = None

    @property
    def viewer(self) -> ColumnElement[Any]:
        """The parameter that says who asks."""
        if self._viewer is None:
            self._viewer = self.bind(lambda request: request.viewer, Uuid())
        return self._viewer

    def parameter(self, type_: TypeEngine[Any]) -> BindParameter[Any]:
        """Returns the next parameter; its value must be added to `values` in the same order."""
        self.bound += 1
        return bindparam(f"p{self.bound - 1}", type_=type_)

    def bind(self, value: Callable[[Request], object], type_: TypeEngine[Any]) -> Any:
        """Returns a parameter with that value."""
        self.values.append(lambda request: (value(request),))
        return self.parameter(type_)

    def register(self, _value: object, type_: TypeEngine[Any]) -> BindParameter[Any]:
        """Returns a parameter of a run; see `infra.postgres.conditions.Bind`."""
        return self.parameter(type_)

    def joined(
        self, source: FromClause, values: Callable[[], Sequence[ColumnElement[Any]]]
    ) -> Select[Any]:
        """Returns `SELECT values() FROM source` with the joins that `values` asked for."""
        self.joins.append([])
        statement = select(*values())
        for target, on in self.joins.pop():
            source = source.outerjoin(target, on)
        return statement.select_from(source)

    def join(self, target: FromClause, on: ColumnElement[bool]) -> None:
        """Joins `target`, none or one row for each, to the innermost select being built."""
        self.joins[-1].append((target, on))


def json_object(pairs: Sequence[tuple[str, ColumnElement[Any]]]) -> ColumnElement[Any]:
    """Returns a JSON object of the pairs in their order; the keys are GraphQL names."""
    chunks = [_object(pairs[at : at + PAIRS_MAX]) for at in range(0, len(pairs), PAIRS_MAX)]
    if len(chunks) < 2:
        return chunks[0] if chunks else literal_column("'{}'::json", JSON())
    # The texts of several objects make one: each but the last without its end, each but the
    # first without its beginning.
    texts: list[ColumnElement[Any]] = [cast(chunk, Text) for chunk in chunks]
    headless = [texts[0], *(func.substr(text, literal_column("2")) for text in texts[1:])]
    open_ended = [func.left(text, literal_column("-1")) for text in headless[:-1]]
    whole = func.concat_ws(literal_column("','"), *open_ended, headless[-1])
    return cast(whole, JSON)


def _object(pairs: Sequence[tuple[str, ColumnElement[Any]]]) -> ColumnElement[Any]:
    flat = (part for key, value in pairs for part in (text_of(key), value))
    return func.json_build_object(*flat, type_=JSON())


def json_list(
    value: ColumnElement[Any],
    order: Sequence[ColumnElement[Any]],
    where: ColumnElement[bool] | None = None,
) -> ColumnElement[Any]:
    """Returns a JSON array of the values of all rows, or of those `where` holds."""
    items: Any = func.json_agg(aggregate_order_by(value, *order))
    if where is not None:
        items = items.filter(where)
    return func.coalesce(items, literal_column("'[]'::json"), type_=JSON())


def name_of(column: ColumnElement[Any], names: type[IntEnum]) -> ColumnElement[Any]:
    """Returns the public name of a number that an IntEnum stands for."""
    named = [(column == literal_column(str(n.value)), text_of(n.name)) for n in names]
    return case(*named)


def text_of(name: str) -> ColumnElement[str]:
    """Returns a constant; never for anything that a client wrote but GraphQL names."""
    if not name.replace("_", "").isalnum():
        raise ValueError(name)
    return literal_column(f"'{name}'", Text())
