"""Relay connections: https://relay.dev/graphql/connections.htm."""

from dataclasses import dataclass

import strawberry
from strawberry import UNSET


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@dataclass(frozen=True, slots=True)
class Slice:
    """The arguments of a nested connection: `first` rows after a cursor."""

    first: int
    after: str | None


def nested(first: int = 50, after: str | None = UNSET) -> Slice:
    """Returns a nested connection's arguments; the plan of the whole query reads its rows."""
    return Slice(first, after or None)
