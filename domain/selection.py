"""Which fields of its rows a read wants.

A selection is fixed per document and the booleans of its directives, so that what is prepared
from it can be kept; the values of a request come beside it. It speaks of kinds and attributes,
never of GraphQL or SQL.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of the answer: `key` is its name there, `attribute` its name in the domain.

    `selection` is there for objects and lists of them. `page` is there for a nested connection:
    the index of its page among those that come with the request.
    """

    key: str
    attribute: str
    selection: "Selection | None" = None
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The wanted fields of an object of one kind, in the order of the answer.

    `kind` is the public name of the object's type, which the attribute `__typename` answers.
    """

    kind: str
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """What is selected of an object, and is not in the state that the answer is made from.

    `answer` is the object's, where the fields stand by their keys, null until they are read;
    `place` is where that answer stands in another one, None for the outermost.
    """

    kind: str
    id: str
    fields: tuple[Field, ...]
    answer: dict[str, Any]
    place: tuple[dict[str, Any], str] | None
