"""The log's rows: what happened, to what, by whom, before and after."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.ids import ChangeId, UserId

# The display form of a subject: JSON-ready, keyed by domain attribute names.
State = dict[str, object]

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A change before it has a place in its stream: `kind` is dotted, `task.completed`.

    `state` is the whole subject after the change, with the display fields of what it refers to;
    `before` holds only the changed attributes as they were (the whole subject where it is gone).
    """

    kind: str
    subject: UUID
    fields: tuple[str, ...]
    before: Mapping[str, object]
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row of the log; `payload` is the JSON text of the subject's state after it.

    `version` is `domain.events.VERSION` of the release that wrote it.
    """

    id: ChangeId
    stream: UUID
    seq: int
    kind: str
    at: datetime
    actor: UserId | None
    actor_name: str | None
    subject: UUID
    fields: tuple[str, ...]
    key: str | None
    payload: str
    version: int
    trace: str | None = None


def text(value: object) -> str:
    """Returns the one JSON text of a state: no spaces, non-ASCII kept, keys in their order."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def head_digest(
    *,
    kind: str,
    at: str,
    actor: UserId | None,
    subject: UUID,
    fields: tuple[str, ...],
    key: str | None,
) -> bytes:
    """Returns SHA-256 over a change's envelope; `at` is the log's text of the instant.

    The parts are hashed as one JSON array, so that no two envelopes share a text.
    """
    parts = [kind, at, None if actor is None else str(actor), str(subject), list(fields), key]
    return hashlib.sha256(text(parts).encode()).digest()


def digest(body: str) -> bytes:
    """Returns SHA-256 over a body, so that the body can be erased and the chain still verifies."""
    return hashlib.sha256(body.encode()).digest()


def chain(previous: bytes, seq: int, head: bytes, before: bytes, payload: bytes) -> bytes:
    """Returns the hash of a change: SHA-256(previous, seq, head, before, payload).

    `seq` is 8 bytes, big-endian; the other parts are 32 bytes each, so the text is unambiguous.
    The database computes the same in the flush, where the number is known.
    """
    return hashlib.sha256(previous + seq.to_bytes(8, "big") + head + before + payload).digest()
