"""Responses as bytes: data that is JSON already, errors, and the operation's cost."""

import json
from collections.abc import Sequence

import orjson

from resolvers.streams import Error


class Rejected(Exception):
    """An operation that was not executed; `errors` says why, `cost` where it is known."""

    def __init__(self, errors: Sequence[Error], cost: int | None = None) -> None:
        super().__init__(errors)
        self.errors = list(errors)
        self.cost = cost

    def response(self) -> bytes:
        """Returns the response without data."""
        extensions = {} if self.cost is None else {"extensions": {"cost": self.cost}}
        return encoded({"errors": self.errors, **extensions})


def response(data: bytes, errors: Sequence[Error], cost: int) -> bytes:
    """Returns the response of an operation that was executed."""
    wrong = b'"errors":%b,' % encoded(errors) if errors else b""
    return b'{%b"data":%b,"extensions":{"cost":%d}}' % (wrong, data, cost)


def encoded(value: object) -> bytes:
    """Returns the value as JSON; a lone surrogate that a client sent goes back as an escape."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()
