"""Fields whose rows a plan reads: their resolver only says which rows, from the arguments."""

from collections.abc import Callable
from typing import Any

import strawberry


def planned(rows: Callable[..., object], answers: object, description: str | None = None) -> Any:
    """Returns a field of type `answers`, whose pure function `rows` turns arguments into a read.

    Nothing calls `rows` in the way of an ordinary resolver: the plan of the whole operation does.
    """
    return strawberry.field(resolver=rows, graphql_type=answers, description=description)


def streamed(rows: Callable[..., object], answers: object, description: str) -> Any:
    """Returns a subscription of messages of type `answers`; `rows` says of what."""
    return strawberry.subscription(resolver=rows, graphql_type=answers, description=description)
