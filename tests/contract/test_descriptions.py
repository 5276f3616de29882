"""Everything that clients can ask of an object is described in SQL, and null where it may be."""

from collections.abc import Iterator
from typing import Any

from graphql import GraphQLObjectType, get_named_type, is_non_null_type, is_object_type

from carillon.graphql import build
from infra.postgres.objects import KINDS
from infra.postgres.tables import (
    account,
    category,
    member,
    notification,
    reminder,
    series,
    series_slot,
    tag,
    task,
    workspace,
)
from resolvers.selection import attribute

CORE = build()._schema
TABLES = {
    "Task": task,
    "Series": series,
    "SeriesSlot": series_slot,
    "Category": category,
    "Tag": tag,
    "User": account,
    "Member": member,
    "Workspace": workspace,
    "Viewer": account,
    "Reminder": reminder,
    "Notification": notification,
}
# Made of other columns or of other rows, and never null for one of these reasons.
MADE = {
    ("Task", "tags"): "an aggregate",
    ("Task", "subtasks"): "a connection is there without rows, too",
    ("Series", "recurrence"): "its columns",
    ("Series", "history"): "a connection",
    ("Member", "user"): "by a foreign key that is not null",
    ("Workspace", "viewer_role"): "only members see a workspace",
    ("Workspace", "members"): "a connection",
    ("Workspace", "categories"): "an aggregate",
    ("Workspace", "tags"): "an aggregate",
    ("Viewer", "workspaces"): "an aggregate",
    ("Viewer", "unread_notification_count"): "a count",
    ("Viewer", "is_email_verified"): "of a column that may be null",
    ("Task", "reminders"): "an aggregate",
    ("Notification", "kind"): "the category in lower case",
}
# Put together elsewhere: the parts of a connection.
PARTS = {
    *("TaskConnection", "TaskEdge", "MemberConnection", "MemberEdge", "PageInfo"),
    *("SeriesSlotConnection", "SeriesSlotEdge", "NotificationPage"),
}
# They lie in their owner's row, and are null as a whole where one of their columns is.
INSIDE = {"Due", "Occurrence", "Recurrence", "RecurrenceStart", "RecurrencePolicies"}
INSIDE |= {"ReminderOnDay", "ReminderNag"}


# What the log answers, and what is worked out.
UNPLANNED = {"changes", "recurrencePreview", "notificationPreferences"}


def _reachable() -> Iterator[GraphQLObjectType]:
    """Yields every type below the roots that rows answer."""
    assert CORE.query_type is not None
    roots = [f for name, f in CORE.query_type.fields.items() if name not in UNPLANNED]
    todo: list[Any] = [get_named_type(field.type) for field in roots]
    seen: set[str] = set()
    while todo:
        type_ = todo.pop()
        if type_.name not in seen and is_object_type(type_):
            seen.add(type_.name)
            yield type_
            todo += [get_named_type(field.type) for field in type_.fields.values()]


def test_every_field_of_every_kind_is_described() -> None:
    for type_ in _reachable():
        if type_.name not in PARTS:
            names = {attribute(field) for field in type_.fields.values()}
            assert names == set(KINDS[type_.name]), type_.name


def test_what_is_never_null_for_clients_is_never_null_in_the_database() -> None:
    for type_ in _reachable():
        if type_.name in PARTS | INSIDE:
            continue
        for field in type_.fields.values():
            name = attribute(field)
            if is_non_null_type(field.type) and (type_.name, name) not in MADE:
                assert not TABLES[type_.name].c[name].nullable, (type_.name, name)


def test_no_exception_outlives_its_field() -> None:
    described = {(kind, name) for kind, names in KINDS.items() for name in names}
    assert MADE.keys() <= described
