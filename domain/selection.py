"""What a read asks for: which rows (`Read`), and which of their fields (`Selection`).

A selection is static per document and the booleans of its directives; a read carries the
request's values. Both speak of kinds and attributes, never of GraphQL or SQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.filters import Filter, Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A slice of an ordered list: `first` rows after a cursor, or `last` rows before one.

    Cursors are decoded already: the texts of the order's keys in order, the id last.
    """

    size: int
    backwards: bool = False
    after: tuple[str | None, ...] | None = None
    before: tuple[str | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of the answer: `key` is its name there, `attribute` its name in the domain.

    `selection` is there for objects; `page` for nested connections.
    """

    key: str
    attribute: str
    selection: "Selection | None" = None
    page: Page | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The wanted fields of an object of one kind, in the order of the answer.

    `kind` is the public name of the object's type, which `__typename` answers.
    """

    kind: str
    fields: tuple[Field, ...] = field(default=())
