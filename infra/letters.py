"""A dead letter: the event that a consumer could not read, with the reason, as a CloudEvent."""

import base64
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import orjson

_TYPE: Final = "carillon.dead-letter"
# A reader of the topic wants to see what it was; the rest is in the original topic.
BODY_MAX_BYTES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """Why an event was not taken; `body` is its beginning, `size` counts the bytes of all of it."""

    reason: str
    body: bytes
    size: int


def sealed(body: bytes, reason: str, *, topic: str) -> bytes:
    """Returns the letter for an event's body, as it is published on that topic."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": f"/{topic}",
            "type": _TYPE,
            "datacontenttype": "application/json",
            "data": {
                "reason": reason,
                "body": base64.b64encode(body[:BODY_MAX_BYTES]).decode(),
                "bytes": len(body),
            },
        }
    )


def opened(letter: bytes) -> Letter | None:
    """Returns what a letter of ours says, None for anything else."""
    try:
        event: Any = orjson.loads(letter)
        if event["type"] != _TYPE:
            return None
        data = event["data"]
        return Letter(
            reason=str(data["reason"]),
            body=base64.b64decode(data["body"]),
            size=int(data["bytes"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
