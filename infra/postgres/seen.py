"""What a look found, in the domain's terms."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

import orjson

from domain.due import Due
from domain.ids import CategoryId, MemberId, SeriesId, TagId, TaskId, UserId, WorkspaceId
from domain.labels import Kind, Label
from domain.personal import LedgerSeen
from domain.ports import Command, Needs, Recorded, Seen
from domain.tasks import Priority, Status, Task
from domain.workspaces import Member, Role, User, Workspace
from infra.postgres.people import delivery_of, preferences_of, reminder_of
from infra.postgres.series_rows import seen_series

Row = Mapping[str, Any]


def seen(command: Command, needs: Needs, answer: str) -> Seen:
    """Returns what the look found, in the domain's terms."""
    row: Row = orjson.loads(answer)
    ws: Row | None = row["workspace"]
    space = None if ws is None else WorkspaceId(UUID(ws["id"]))
    tasks = {
        task.id: task for task in (task_of(one, space) for one in row.get("tasks") or () if space)
    }
    people = row.get("users") or ()
    users = {UserId(UUID(one["id"])): _user(one) for one in people}
    kind: Kind = needs.label[0] if needs.label else "tag"
    return Seen(
        workspace=None if ws is None else _workspace(ws),
        role=Role(ws["role"]) if ws else Role.VIEWER,
        actor=None
        if command.actor is None
        else User(id=command.actor, name=row["actor"]["name"] if row["actor"] else ""),
        actor_zone=row["actor"]["zone"] if row["actor"] else "UTC",
        head=ws["head"] if ws else 0,
        roles_rev=ws["roles_rev"] if ws else 0,
        labels_rev=ws["labels_rev"] if ws else 0,
        tree_rev=ws["tree_rev"] if ws else 0,
        recorded=_recorded(row.get("recorded")),
        label=_label(kind, row["label"], space) if row.get("label") and space else None,
        task=_own_task(needs, tasks),
        tasks=tasks,
        descendants=None
        if row.get("excess")
        else tuple(task_of(one, space) for one in (row.get("below") or ()) if space),
        crowded={TaskId(UUID(one)): above for one, above in (row.get("crowded") or {}).items()},
        ancestors=tuple(TaskId(UUID(one)) for one in row.get("ancestors") or ()),
        height=row.get("height") or 0,
        labels={
            label.id: label
            for name, plural in (("category", "categories"), ("tag", "tags"))
            for label in _labels(name, row.get(plural), space)
        },
        users=users,
        members={
            UserId(UUID(one["id"])): _member(one, space)
            for one in people
            if one["member"] and space
        },
        invitee=users.get(UserId(UUID(row["invitee"]))) if row.get("invitee") else None,
        low=row.get("low"),
        high=row.get("high"),
        name_taken=UUID(row["name_taken"]) if row.get("name_taken") else None,
        label_count=row.get("label_count") or 0,
        owner_count=row.get("owners") or 0,
        founded_count=row.get("founded") or 0,
        joined_count=row.get("joined") or 0,
        series=None
        if row.get("series_excess") and (needs.occurrences or len(needs.series) > 1)
        else seen_series(row, lambda one: task_of(one, space))
        if space
        else {},
        ledger=_ledger(row),
    )


def _own_task(needs: Needs, tasks: Mapping[TaskId, Task]) -> Task | None:
    if needs.task_of is not None:
        return next(iter(tasks.values()), None)
    return tasks.get(needs.task) if needs.task else None


def _ledger(row: Row) -> LedgerSeen:
    reminders = row.get("reminders") or ()
    return LedgerSeen(
        reminders=tuple(reminder_of(one["row"]) for one in reminders),
        deliveries=tuple(delivery_of(one) for one in row.get("deliveries") or ()),
        members=frozenset(
            UserId(UUID(one["row"]["user_id"])) for one in reminders if one["is_member"]
        ),
        preferences={
            UserId(UUID(one["row"]["user_id"])): preferences_of(one["row"], one["zone"])
            for one in row.get("wishes") or ()
        },
    )


def _recorded(row: Row | None) -> Recorded | None:
    if row is None:
        return None
    return Recorded(
        field=row["field"],
        arguments=bytes.fromhex(row["arguments"]),
        visible=row["visible"],
        seq=row["seq"],
        subject=UUID(row["subject"]),
        state=orjson.loads(row["state"]) if row["state"] else {},
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _sure(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _workspace(row: Row) -> Workspace:
    return Workspace(
        id=WorkspaceId(UUID(row["id"])), name=row["name"], created_at=_sure(row["created_at"])
    )


def _user(row: Row) -> User:
    return User(id=UserId(UUID(row["id"])), name=row["name"])


def _member(row: Row, workspace: WorkspaceId) -> Member:
    return Member(
        id=MemberId(UUID(row["member"])),
        workspace_id=workspace,
        user=_user(row),
        role=Role(row["role"]),
        created_at=_sure(row["since"]),
    )


def _labels(kind: str, rows: list[Row] | None, workspace: WorkspaceId | None) -> list[Label]:
    if workspace is None:
        return []
    return [
        _label("category" if kind == "category" else "tag", row, workspace) for row in rows or ()
    ]


def _label(kind: Kind, row: Row, workspace: WorkspaceId) -> Label:
    return Label(
        kind=kind,
        id=UUID(row["id"]),
        workspace_id=workspace,
        name=row["name"],
        colour=row["colour"],
    )


def _due(row: Row) -> Due | None:
    if row["due_day"] is None:
        return None
    return Due(
        day=date.fromisoformat(row["due_day"]),
        at=None if row["due_at"] is None else time.fromisoformat(row["due_at"]),
        zone=row["due_zone"],
        fold=row["due_fold"],
        instant=_sure(row["due_instant"]),
    )


def task_of(row: Row, workspace: WorkspaceId) -> Task:
    """Returns a task of a workspace, as `infra.postgres.load.TASK` reads it."""
    return Task(
        id=TaskId(UUID(row["id"])),
        workspace_id=workspace,
        title=row["title"],
        description=row["description"],
        status=Status(row["status"]),
        priority=Priority(row["priority"]),
        due=_due(row),
        category_id=CategoryId(UUID(row["category_id"])) if row["category_id"] else None,
        tag_ids=frozenset(TagId(UUID(one)) for one in row["tag_ids"]),
        assignee_id=UserId(UUID(row["assignee_id"])) if row["assignee_id"] else None,
        parent_id=TaskId(UUID(row["parent_id"])) if row["parent_id"] else None,
        position=row["position"],
        version=row["version"],
        created_at=_sure(row["created_at"]),
        updated_at=_sure(row["updated_at"]),
        completed_at=_instant(row["completed_at"]),
        deleted_at=_instant(row["deleted_at"]),
        series_id=SeriesId(UUID(row["series_id"])) if row["series_id"] else None,
        slot=row["slot"],
    )
