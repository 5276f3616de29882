"""What leaves the log comes back as it was; what is broken says where."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from domain.changes import Change, chain, digest, head_digest, text
from domain.events import PURGED, VERSION, Malformed
from domain.ids import ChangeId, UserId
from domain.outbox import Entry, Topic
from infra.envelope import delivered, event

STREAM, USER, TASK = UUID(int=1), UserId(UUID(int=2)), UUID(int=3)
AT = datetime(2026, 11, 24, 9, 30, 0, 120_000, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def entry(**given: Any) -> Entry:
    change: dict[str, Any] = {
        "id": ChangeId(UUID(int=9)),
        "stream": STREAM,
        "seq": 2**60 + 1,
        "kind": "task.updated",
        "at": AT,
        "actor": USER,
        "actor_name": 'Bøb "B"',
        "subject": TASK,
        "fields": ("title", "tags"),
        "key": "k" * 16,
        "payload": text({"id": str(TASK), "title": 'Käse\n"x" \\ 😀', "version": 3}),
        "version": VERSION,
        "trace": TRACE,
    }
    return Entry(
        change=Change(**{**change, **given}), before=text({"title": "Milk"}), hash=b"\x01" * 32
    )


def test_a_change_comes_back_as_it_was() -> None:
    for one in (entry(), entry(actor=None, actor_name=None, key=None, trace=None)):
        body = orjson.dumps(event(Topic.TASK_EVENTS, one))

        found = delivered(body)

        assert (found.stream, found.seq, found.version) == (STREAM, 2**60 + 1, VERSION)
        assert found.change == one.change


def test_an_event_is_a_cloud_event_of_the_change() -> None:
    made = json.loads(orjson.dumps(event(Topic.TASK_EVENTS, entry())))

    data = made.pop("data")
    assert made == {
        "specversion": "1.0",
        "id": str(UUID(int=9)),
        "source": f"/workspaces/{STREAM}",
        "type": "carillon.task.updated",
        "subject": str(TASK),
        "time": "2026-11-24T09:30:00.12+00:00",
        "datacontenttype": "application/json",
        "stream": str(STREAM),
        "seq": str(2**60 + 1),
        "schemaversion": str(VERSION),
        "traceparent": TRACE,
        "traceid": TRACE,
    }
    assert data["state"] == {"id": str(TASK), "title": 'Käse\n"x" \\ 😀', "version": 3}
    # CloudEvents 1.0, 3.1: extension names are lower-case letters and digits.
    assert all(name.isalnum() and name.islower() for name in made)


def test_an_event_has_the_version_of_its_writer() -> None:
    made = event(Topic.TASK_EVENTS, entry(version=VERSION + 1))

    assert made["schemaversion"] == str(VERSION + 1)


def test_users_streams_have_a_source_of_their_own() -> None:
    assert event(Topic.REMINDERS, entry())["source"] == f"/users/{STREAM}"


def test_the_audit_trail_verifies_by_what_it_carries() -> None:
    previous = b"\x07" * 32
    one = entry()
    at = event(Topic.AUDIT_LOGS, one)["time"]
    head = head_digest(
        kind=one.change.kind,
        at=str(at),
        actor=USER,
        subject=TASK,
        fields=one.change.fields,
        key=one.change.key,
    )
    payload, before = digest(one.change.payload), digest(one.before)
    hash_ = chain(previous, one.change.seq, head, before, payload)
    sent = json.loads(
        orjson.dumps(
            event(Topic.AUDIT_LOGS, Entry(change=one.change, before=one.before, hash=hash_))
        )
    )

    data = sent["data"]
    found = chain(
        previous,
        int(sent["seq"]),
        head_digest(
            kind=data["kind"],
            at=sent["time"],
            actor=UserId(UUID(data["actor"]["id"])),
            subject=UUID(sent["subject"]),
            fields=tuple(data["fields"]),
            key=data["key"],
        ),
        digest(data["before"]),
        digest(data["payload"]),
    )

    assert found.hex() == data["hash"]


def test_a_newer_version_tells_its_place_and_is_not_read() -> None:
    made = {**event(Topic.TASK_EVENTS, entry()), "schemaversion": str(VERSION + 1), "data": "?"}

    found = delivered(orjson.dumps(made))

    assert (found.stream, found.change, found.version) == (STREAM, None, VERSION + 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'"text"',
        b'{"stream": 1, "seq": "1", "schemaversion": "1"}',
        b'{"stream": "00000000-0000-0000-0000-000000000001", "seq": "x", "schemaversion": "1"}',
        b'{"stream": "00000000-0000-0000-0000-000000000001", "seq": "0", "schemaversion": "1"}',
        b'{"stream": "00000000-0000-0000-0000-000000000001", "seq": "1", "schemaversion": "1"}',
        b'{"stream": "00000000-0000-0000-0000-000000000001", "seq": 1.5, "schemaversion": "9"}',
        b'{"stream": "00000000-0000-0000-0000-000000000001", "seq": "1_0", "schemaversion": "9"}',
        b'{"stream": "00000000-0000-0000-0000-000000000001", "seq": "1", "schemaversion": true}',
        b'{"stream": "00000000-0000-0000-0000-000000000001", "seq": "9223372036854775808",'
        b' "schemaversion": "9"}',
    ],
)
def test_what_is_no_event_of_ours_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        delivered(body)


@pytest.mark.parametrize("missing", ["id", "time", "subject", "data"])
def test_an_event_that_is_not_whole_is_malformed(missing: str) -> None:
    made = event(Topic.TASK_EVENTS, entry())
    del made[missing]

    with pytest.raises(Malformed):
        delivered(orjson.dumps(made))


@pytest.mark.parametrize(
    "where,name,value",
    [
        ("event", "time", "0001-01-01T00:00:00+14:00"),
        ("event", "time", "9999-12-31T23:59:59-14:00"),
        ("event", "time", "2026-11-24T09:30:00"),
        ("event", "time", 1),
        ("event", "id", 1),
        ("event", "subject", {}),
        ("event", "traceparent", {}),
        ("event", "data", []),
        ("data", "kind", {}),
        ("data", "actor", "Ada"),
        ("data", "actor", {"id": str(USER), "name": 1}),
        ("data", "fields", "abc"),
        ("data", "fields", [1]),
        ("data", "key", {}),
        ("data", "state", None),
        ("data", "state", "text"),
    ],
)
def test_a_value_of_another_type_is_malformed_and_says_so(
    where: str, name: str, value: object
) -> None:
    made = json.loads(orjson.dumps(event(Topic.TASK_EVENTS, entry())))
    (made if where == "event" else made["data"])[name] = value

    with pytest.raises(Malformed, match="The event is not whole: "):
        delivered(orjson.dumps(made))


@pytest.mark.parametrize("kind", [PURGED, "kind.of.tomorrow"])
def test_what_is_gone_for_good_has_no_state_and_an_unknown_kind_may_have_none(kind: str) -> None:
    made = event(Topic.TASK_EVENTS, entry(kind=kind, payload="null"))

    found = delivered(orjson.dumps(made)).change

    assert found is not None
    assert (found.kind, found.payload) == (kind, "null")
