"""The envelope in which a change leaves the log: CloudEvents 1.0, in the structured JSON form.

Beside the standard attributes there are the extensions
- `stream` and `seq`: the change's place in the log; `seq` is a text, since brokers' JSON decoders
  lose digits of numbers beyond 2^53;
- `schemaversion`: `domain.events.VERSION` of the release that wrote it;
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
from domain.events import VERSION, Delivered, Malformed
from domain.ids import ChangeId, UserId
from domain.outbox import Entry, Streams, Topic
from domain.tasks import instant_text

CONTENT_TYPE: Final = "application/cloudevents+json"
_TYPE_PREFIX: Final = "carillon."
_SOURCES: Final = {Streams.WORKSPACES: "/workspaces/", Streams.USERS: "/users/"}


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
        "schemaversion": str(VERSION),
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
        stream, seq = UUID(found["stream"]), int(found["seq"])
        version = int(found["schemaversion"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Malformed("The event has no stream, seq and schemaversion.") from error
    if seq < 1:
        raise Malformed("The event's seq is less than 1.")
    change = _change(stream, seq, found) if version <= VERSION else None
    return Delivered(stream=stream, seq=seq, version=version, change=change)


def _change(stream: UUID, seq: int, found: Mapping[str, Any]) -> Change:
    try:
        data = found["data"]
        actor = data["actor"]
        return Change(
            id=ChangeId(UUID(found["id"])),
            stream=stream,
            seq=seq,
            kind=str(data["kind"]),
            at=datetime.fromisoformat(found["time"]).astimezone(UTC),
            actor=None if actor is None else UserId(UUID(actor["id"])),
            actor_name=None if actor is None else str(actor["name"]),
            subject=UUID(found["subject"]),
            fields=tuple(map(str, data["fields"])),
            key=data["key"],
            payload=orjson.dumps(data["state"]).decode(),
            trace=found.get("traceparent"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Malformed(f"The event is not whole: {type(error).__name__} {error}.") from error
