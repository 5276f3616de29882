"""States are answered as they were selected, and known to be enough or not."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain.changes import Change, text
from domain.ids import ChangeId, UserId
from domain.messages import CaughtUp, Message, ResyncReason, ResyncRequired
from domain.selection import Field, Missing, Selection
from resolvers.render import message_state, render

STATE = {
    "id": "1",
    "title": "Buy",
    "due": None,
    "tags": [{"id": "2", "name": "b"}, {"id": "3", "name": "a"}],
    "assignee": {"id": "4", "name": "Ada"},
    "parent": {"id": "5"},
}
NAME, EMAIL, TITLE = (Field(name, name) for name in ("name", "email", "title"))
SUBTASKS = Field("s", "subtasks", Selection("TaskConnection"), 0)


def _task(*fields: Field) -> Selection:
    return Selection("Task", fields)


def test_fields_come_under_their_keys_in_their_order() -> None:
    tags = Selection("Tag", (Field("n", "name"), Field("type", "__typename")))
    selection = _task(Field("b", "title"), Field("tags", "tags", tags), Field("a", "title"))

    answer = render(selection, STATE)

    assert list(answer.items()) == [
        ("b", "Buy"),
        ("tags", [{"n": "b", "type": "Tag"}, {"n": "a", "type": "Tag"}]),
        ("a", "Buy"),
    ]


@pytest.mark.parametrize(
    "_case, field, kind, missing",
    [
        ("its own", Field("title", "title"), None, None),
        ("its type", Field("type", "__typename"), None, None),
        ("nothing below null", Field("d", "due", Selection("Due", (NAME,))), None, None),
        ("a list", Field("tags", "tags", Selection("Tag", (NAME,))), None, None),
        ("a person's name", Field("a", "assignee", Selection("User", (NAME,))), None, None),
        ("an address", Field("a", "assignee", Selection("User", (NAME, EMAIL))), "User", (EMAIL,)),
        ("a parent's title", Field("p", "parent", _task(TITLE)), "Task", (TITLE,)),
        ("a connection", SUBTASKS, "Task", (SUBTASKS,)),
    ],
)
def test_what_a_state_does_not_hold_is_told_with_the_thing_that_lacks_it(
    _case: str, field: Field, kind: str | None, missing: tuple[Field, ...] | None
) -> None:
    found: list[Missing] = []

    answer = render(_task(Field("id", "id"), field), STATE, found)

    assert [(one.kind, one.fields) for one in found] == ([(kind, missing)] if kind else [])
    for one in found:
        assert one.id == {"User": "4", "Task": "1" if field is SUBTASKS else "5"}[one.kind]
        one.answer.update(dict.fromkeys((f.key for f in one.fields), "read"))
    assert ("read" in str(answer)) is bool(kind)


def test_each_thing_that_lacks_something_is_told() -> None:
    found: list[Missing] = []
    tags = Selection("Tag", (NAME, EMAIL))

    answer = render(_task(Field("tags", "tags", tags)), STATE, found)

    assert [one.id for one in found] == ["2", "3"]
    assert answer == {"tags": [{"name": "b", "email": None}, {"name": "a", "email": None}]}


@pytest.mark.parametrize(
    "message, expected",
    [
        (CaughtUp(seq=7), {"seq": "7"}),
        (
            ResyncRequired(seq=7, reason=ResyncReason.LOG_PRUNED, head=9),
            {"seq": "7", "reason": "LOG_PRUNED", "head": "9"},
        ),
    ],
)
def test_messages_about_the_stream_are_answered_by_their_names(
    message: Message, expected: dict[str, str]
) -> None:
    assert message_state(message) == expected


@pytest.mark.parametrize(
    "kind, shown", [("task.created", "task"), ("tag.updated", "tag"), ("workspace.created", None)]
)
def test_a_change_shows_its_subject_in_the_field_of_its_kind(kind: str, shown: str | None) -> None:
    change = Change(
        id=ChangeId(UUID(int=1)),
        stream=UUID(int=2),
        seq=3,
        kind=kind,
        at=datetime(2026, 11, 23, 12, 0, 0, 120000, tzinfo=UTC),
        actor=UserId(UUID(int=4)),
        actor_name="Ada",
        subject=UUID(int=5),
        fields=("title",),
        key="key",
        payload=text({"id": "5"}),
        version=1,
    )

    state = message_state(change)

    assert {name for name in ("task", "category", "tag", "member") if state[name]} == (
        {shown} if shown else set()
    )
    assert state["at"] == "2026-11-23T12:00:00.12+00:00"
    assert state["actor"] == {"id": str(UUID(int=4)), "name": "Ada"}
    assert (state["seq"], state["client_mutation_id"], state["fields"]) == ("3", "key", ["title"])
