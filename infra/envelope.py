"""The envelope in which a change leaves the log: CloudEvents 1.0, in the structured JSON form.

Beside the standard attributes there are the extensions
- `stream` and `seq`: the change's place in the log; `seq` is a text, since brokers' JSON decoders
  lose digits of numbers beyond 2^53;
- `schemaversion`: `domain.events.VERSION` of the release that wrote the change, not of the relay;
- `traceid` and `traceparent`, where the mutation came with one (W3C Trace Context).

`data` holds `kind`, `actor`, `fields`, `key` and `state`, the subject after the change. The audit
trail has `before`, `payload` (the state as the text that was hashed) and `hash` in its place.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from domain.changes import Change
from domain.events import KINDS, PURGED, VERSION, Delivered, Malformed
from domain.ids import ChangeId, UserId
from domain.outbox import Entry, Streams, Topic
from domain.tasks import instant_text

CONTENT_TYPE: Final = "application/cloudevents+json"
# Of PostgreSQL's bigint, which positions are kept in.
SEQ_MAX: Final = 2**63 - 1
_TYPE_PREFIX: Final = "carillon."
_SOURCES: Final = {Streams.WORKSPACES: "/workspaces/", Streams.USERS: "/users/"}
# What reading a wrong shape raises; an instant near the year 1 or 9999 overflows in UTC.
_BROKEN: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def event(topic: Topic, entry: Entry) -> dict[str, object]:
    """Returns the entry as it is published on that topic."""
    change = entry.change
    stream = str(change.stream)
    made: dict[str, object] = {
        "specversion": "1.0",
        "id": str(change.id),
        "source": _SOURCES[topic.streams] + stream,
        "type": _TYPE_PREFIX + change.kind,
        "subject": str(change.subject),
        "time": instant_text(change.at),
        "datacontenttype": "application/json",
        "stream": stream,
        "seq": str(change.seq),
        "schemaversion": str(change.version),
    }
    if change.trace is not None:
        made |= {"traceparent": change.trace, "traceid": change.trace}
    actor = None if change.actor is None else {"id": str(change.actor), "name": change.actor_name}
    data: dict[str, object] = {
        "kind": change.kind,
        "actor": actor,
        "fields": change.fields,
        "key": change.key,
    }
    if topic is Topic.AUDIT_LOGS:
        data |= {"before": entry.before, "payload": change.payload, "hash": entry.hash.hex()}
    else:
        # The log's own text: it is not read and written once more.
        data["state"] = orjson.Fragment(change.payload)
    return {**made, "data": data}


def delivered(body: bytes) -> Delivered:
    """Returns the change that an event carries; audit events carry none to be read.

    Raises:
        Malformed: it cannot be told which change of which stream it is, or it is not whole.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"The event is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise Malformed("The event is no JSON object.")
    try:
        stream, seq = UUID(found["stream"]), _number(found["seq"])
        version = _number(found["schemaversion"])
    except _BROKEN as error:
        raise Malformed("The event has no stream, seq and schemaversion.") from error
    if not 1 <= seq <= SEQ_MAX:
        raise Malformed(f"The event's seq is not between 1 and {SEQ_MAX}.")
    change = _change(stream, seq, version, found) if version <= VERSION else None
    return Delivered(stream=stream, seq=seq, version=version, change=change)


def _change(stream: UUID, seq: int, version: int, found: Mapping[str, Any]) -> Change:
    try:
        data = found["data"]
        kind, actor = _text(data["kind"]), data["actor"]
        return Change(
            id=ChangeId(UUID(found["id"])),
            stream=stream,
            seq=seq,
            kind=kind,
            at=_instant(found["time"]),
            actor=None if actor is None else UserId(UUID(actor["id"])),
            actor_name=None if actor is None else _text(actor["name"]),
            subject=UUID(found["subject"]),
            fields=_texts(data["fields"]),
            key=_text_or_none(data["key"]),
            payload=_payload(kind, data["state"]),
            trace=_text_or_none(found.get("traceparent")),
            version=version,
        )
    except _BROKEN as error:
        raise Malformed(f"The event is not whole: {type(error).__name__} {error}.") from error


def _number(value: object) -> int:
    text = _text(value)
    # int() would take signs, spaces, underscores and the digits of other scripts.
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("not a number in digits")
    return int(text)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {type(value).__name__}")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not {type(value).__name__}")
    return tuple(map(_text, value))


def _instant(value: object) -> datetime:
    at = datetime.fromisoformat(_text(value))
    if at.tzinfo is None:
        raise ValueError("an instant without an offset")
    return at.astimezone(UTC)


def _payload(kind: str, state: object) -> str:
    # Of a kind that this release does not know, it cannot be told what its state may be.
    may_be_nothing = kind == PURGED or kind not in KINDS
    if not (isinstance(state, dict) or (state is None and may_be_nothing)):
        raise TypeError(f"a state was expected, not {type(state).__name__}")
    return orjson.dumps(state).decode()
