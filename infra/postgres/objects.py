"""What each attribute of each kind of object is in SQL: the one description of the read side."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Table,
    Text,
    any_,
    case,
    cast,
    exists,
    func,
    null,
    select,
)

from domain.selection import Field, Selection
from domain.tasks import Priority
from domain.workspaces import Role
from infra.postgres import bounds, connections
from infra.postgres.building import Statement, json_list, name_of, text_of
from infra.postgres.history import history, slot_state
from infra.postgres.tables import (
    account,
    category,
    member,
    notification,
    reminder,
    series,
    tag,
    task,
    workspace,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an object's attributes come from.

    `rows` is its table, an alias or a page of it; `workspace` the id of the one in which a user
    is seen; `role` the viewer's number in a workspace.
    """

    rows: FromClause
    workspace: ColumnElement[Any] | None = None
    role: ColumnElement[Any] | None = None


Describe: TypeAlias = Callable[[Statement, Source, Field], ColumnElement[Any]]


def json_of(statement: Statement, source: Source, selection: Selection) -> ColumnElement[Any]:
    """Returns an object of the selected attributes; to-one relations become joins."""
    describe = KINDS[selection.kind]
    pairs = []
    for field in selection.fields:
        if field.attribute == "__typename":
            pairs.append((field.key, text_of(selection.kind)))
        else:
            pairs.append((field.key, describe[field.attribute](statement, source, field)))
    large = [f.key for f in selection.fields if f.selection is not None and is_large(f.selection)]
    return bounds.in_turn(statement, pairs, large)


def is_large(selection: Selection) -> bool:
    """Tells whether an object may hold a page, or the lists of all workspaces, and so be large."""
    return selection.kind in {"TaskConnection", "MemberConnection"} or any(
        (selection.kind, field.attribute) == ("Viewer", "workspaces")
        or (field.selection is not None and is_large(field.selection))
        for field in selection.fields
    )


def _column(name: str) -> Describe:
    return lambda _statement, source, _field: source.rows.c[name]


def _columns(*names: str) -> dict[str, Describe]:
    return {name: _column(name) for name in names}


def _below(field: Field) -> Selection:
    if field.selection is None:
        raise TypeError(field)
    return field.selection


def _to_one(table: Table, reference: str) -> Describe:
    """Returns the object that a column refers to, null where it refers to none."""

    def describe(statement: Statement, source: Source, field: Field) -> ColumnElement[Any]:
        target = table.alias()
        statement.join(target, target.c.id == source.rows.c[reference])
        below = Source(rows=target, workspace=source.rows.c.get("workspace_id"))
        return case((target.c.id.is_not(None), json_of(statement, below, _below(field))))

    return describe


def _within(is_there: str) -> Describe:
    """Returns an object that lies in its owner's row, null where that column is."""

    def describe(statement: Statement, source: Source, field: Field) -> ColumnElement[Any]:
        inside = json_of(statement, source, _below(field))
        return case((source.rows.c[is_there].is_not(None), inside))

    return describe


def _labels(table: Table) -> Describe:
    """Returns the categories or tags of a workspace, by name."""

    def describe(statement: Statement, source: Source, field: Field) -> ColumnElement[Any]:
        rows = table.alias()
        below = Source(rows=rows)
        found = statement.joined(
            rows,
            lambda: [
                json_list(json_of(statement, below, _below(field)), [rows.c.name_key, rows.c.id])
            ],
        )
        return (
            found.where(rows.c.workspace_id == source.rows.c.id)
            .correlate(source.rows)
            .scalar_subquery()
        )

    return describe


def _task_tags(statement: Statement, source: Source, field: Field) -> ColumnElement[Any]:
    rows = tag.alias()
    below = Source(rows=rows)
    found = statement.joined(
        rows,
        lambda: [json_list(json_of(statement, below, _below(field)), [rows.c.name_key, rows.c.id])],
    )
    return (
        found.where(rows.c.id == any_(source.rows.c.tag_ids))
        .correlate(source.rows)
        .scalar_subquery()
    )


def _email(_statement: Statement, source: Source, _field: Field) -> ColumnElement[Any]:
    """Returns the address of somebody who is a member, null of anybody else."""
    there = member.alias()
    is_member = exists().where(
        there.c.workspace_id == source.workspace, there.c.user_id == source.rows.c.id
    )
    return case((is_member, source.rows.c.email))


def _role(_statement: Statement, source: Source, _field: Field) -> ColumnElement[Any]:
    return name_of(source.rows.c.role, Role)


def _viewer_role(_statement: Statement, source: Source, _field: Field) -> ColumnElement[Any]:
    return null() if source.role is None else name_of(source.role, Role)


def _head(_statement: Statement, source: Source, _field: Field) -> ColumnElement[Any]:
    return cast(source.rows.c.head, Text)


def _priority(_statement: Statement, source: Source, _field: Field) -> ColumnElement[Any]:
    return name_of(source.rows.c.priority, Priority)


def _own_workspaces(statement: Statement, source: Source, field: Field) -> ColumnElement[Any]:
    """Returns the account's workspaces by the time they were joined."""
    place, rows = member.alias(), workspace.alias()
    below = Source(rows=rows, role=place.c.role)
    made = statement.joined(
        place.join(rows, rows.c.id == place.c.workspace_id),
        lambda: [
            place.c.created_at,
            place.c.id,
            json_of(statement, below, _below(field)).label("item"),
        ],
    )
    made = made.where(place.c.user_id == source.rows.c.id).correlate(source.rows)
    found, within = bounds.measured(statement, made, ["item"])
    return select(
        json_list(found.c.item, [found.c.created_at, found.c.id], within)
    ).scalar_subquery()


def _subtasks(statement: Statement, source: Source, field: Field) -> ColumnElement[Any]:
    return connections.subtasks(statement, source.rows, field, _node)


def _members(statement: Statement, source: Source, field: Field) -> ColumnElement[Any]:
    return connections.members(statement, source.rows, field, _node)


def _history(statement: Statement, source: Source, field: Field) -> ColumnElement[Any]:
    return history(statement, source.rows, field, _node)


def _slot_state(statement: Statement, source: Source, _field: Field) -> ColumnElement[Any]:
    return slot_state(statement, source.rows)


def _reminders(statement: Statement, source: Source, field: Field) -> ColumnElement[Any]:
    """Returns the viewer's own, by when they ring."""
    rows = reminder.alias()
    found = statement.joined(
        rows,
        lambda: [
            json_list(json_of(statement, Source(rows=rows), _below(field)), [rows.c.at, rows.c.id])
        ],
    )
    return (
        found.where(rows.c.task_id == source.rows.c.id, rows.c.user_id == statement.viewer)
        .correlate(source.rows)
        .scalar_subquery()
    )


def _kind(_statement: Statement, source: Source, _field: Field) -> ColumnElement[Any]:
    return func.lower(source.rows.c.category)


def _seq(_statement: Statement, source: Source, _field: Field) -> ColumnElement[Any]:
    return cast(source.rows.c.seq, Text)


def _is_verified(_statement: Statement, source: Source, _field: Field) -> ColumnElement[Any]:
    return source.rows.c.email_verified_at.is_not(None)


def _unread(_statement: Statement, source: Source, _field: Field) -> ColumnElement[Any]:
    rows = notification.alias()
    return (
        select(func.count())
        .select_from(rows)
        .where(rows.c.user_id == source.rows.c.id, rows.c.read_at.is_(None))
        .correlate(source.rows)
        .scalar_subquery()
    )


def _node(statement: Statement, rows: FromClause, selection: Selection) -> ColumnElement[Any]:
    return json_of(statement, Source(rows=rows), selection)


KINDS: Final[Mapping[str, Mapping[str, Describe]]] = {
    "Task": {
        **_columns("id", "workspace_id", "title", "description", "status", "position", "version"),
        **_columns("created_at", "updated_at", "completed_at", "deleted_at"),
        "priority": _priority,
        "due": _within("due_day"),
        "category": _to_one(category, "category_id"),
        "tags": _task_tags,
        "assignee": _to_one(account, "assignee_id"),
        "parent": _to_one(task, "parent_id"),
        "subtasks": _subtasks,
        "series": _to_one(series, "series_id"),
        "occurrence": _within("series_id"),
        "reminders": _reminders,
    },
    "Reminder": {
        **_columns("id", "at", "before_due", "channels"),
        "on_day": _within("on_day"),
        "nag": _within("nag_every"),
    },
    "ReminderOnDay": {"time": _column("on_day"), "days_before": _column("days_before")},
    "ReminderNag": {"every": _column("nag_every"), "times": _column("nag_times")},
    "Notification": {
        **_columns("id", "title", "body", "workspace_id", "task_id"),
        **_columns("created_at", "read_at", "archived_at"),
        "kind": _kind,
        "seq": _seq,
    },
    "Due": {
        "date": _column("due_day"),
        "time": _column("due_at"),
        "time_zone": _column("due_zone"),
        "fold": _column("due_fold"),
        "instant": _column("due_instant"),
    },
    "Occurrence": _columns("series_id", "slot"),
    "Series": {
        **_columns("id", "workspace_id", "summary", "is_paused", "next_at", "ended_at", "version"),
        "recurrence": _within("id"),
        "history": _history,
    },
    "SeriesSlot": {
        **_columns("slot", "instant"),
        "state": _slot_state,
        "task": _to_one(task, "task_id"),
    },
    "Recurrence": {
        **_columns("rule", "cron"),
        "start": _within("start_day"),
        "time_zone": _column("zone"),
        "policies": _within("gap"),
    },
    "RecurrenceStart": {"date": _column("start_day"), "time": _column("start_at")},
    "RecurrencePolicies": _columns("gap", "overlap", "month_end", "anchor", "catch_up", "open"),
    "Category": _columns("id", "name", "colour"),
    "Tag": _columns("id", "name", "colour"),
    "User": {**_columns("id", "name"), "email": _email},
    "Member": {**_columns("id"), "role": _role, "user": _to_one(account, "user_id")},
    "Workspace": {
        **_columns("id", "name"),
        "head": _head,
        "viewer_role": _viewer_role,
        "members": _members,
        "categories": _labels(category),
        "tags": _labels(tag),
    },
    "Viewer": {
        **_columns("id", "name", "email", "time_zone"),
        "workspaces": _own_workspaces,
        "unread_notification_count": _unread,
        "is_email_verified": _is_verified,
    },
}
