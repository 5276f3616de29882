"""Messages of `graphql-transport-ws` as clients send them, checked; PROTOCOL.md of graphql-ws."""

import json
from collections.abc import Mapping
from typing import cast

SENT_BY_CLIENTS = {"connection_init", "subscribe", "complete", "ping", "pong"}


class Closing(Exception):
    """The client broke a rule: `args` are the close code and the reason."""


def parsed(text: object, max_bytes: int) -> Mapping[str, object]:
    """Returns a message of a known type."""
    if not isinstance(text, str):
        raise Closing(4400, "Messages are text")
    if len(text) > max_bytes:
        raise Closing(1009, "Message too big")
    try:
        message = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Closing(4400, "Messages are JSON") from error
    kind = message.get("type") if isinstance(message, dict) else None
    if not isinstance(kind, str) or kind not in SENT_BY_CLIENTS:
        raise Closing(4400, "Messages are objects whose type is one that clients send")
    return cast(Mapping[str, object], message)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def member(holder: Mapping[str, object], name: str) -> Mapping[str, object] | None:
    """Returns a member that is an object, None where there is none."""
    value = holder.get(name)
    if value is not None and not isinstance(value, dict):
        raise Closing(4400, f"`{name}` is an object")
    return value


def operation_payload(message: Mapping[str, object]) -> Mapping[str, object]:
    """Returns the payload of `subscribe`, its known members in their known types."""
    payload = member(message, "payload")
    if payload is None or not isinstance(payload.get("query"), str):
        raise Closing(4400, "The payload's `query` is a string")
    if not isinstance(payload.get("operationName"), str | None):
        raise Closing(4400, "`operationName` is a string")
    member(payload, "variables")
    member(payload, "extensions")
    return payload
