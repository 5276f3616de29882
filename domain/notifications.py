"""The feed: what a person is told inside Carillon, read and put away."""

from dataclasses import dataclass, replace
from datetime import datetime

from domain.changes import Fact, State
from domain.channels import Category, Content
from domain.deliveries import Delivery
from domain.ids import DeliveryId, TaskId, UserId, WorkspaceId
from domain.tasks import instant_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One entry of a person's feed; it has the id of the delivery that brought it."""

    id: DeliveryId
    user_id: UserId
    category: Category
    title: str
    body: str
    workspace_id: WorkspaceId | None
    task_id: TaskId | None
    created_at: datetime
    read_at: datetime | None = None
    archived_at: datetime | None = None


def notification(delivery: Delivery, content: Content, at: datetime) -> Notification:
    """Returns the feed's entry of a delivery."""
    return Notification(
        id=delivery.id,
        user_id=delivery.recipient,
        category=delivery.category,
        title=content.title,
        body="\n".join(content.lines),
        workspace_id=delivery.workspace_id,
        task_id=delivery.task_id,
        created_at=at,
    )


def created(new: Notification) -> Fact:
    """Returns the change of a new entry."""
    state = notification_state(new)
    fields = tuple(name for name, value in state.items() if value is not None)
    return Fact(kind="notification.created", subject=new.id, fields=fields, before={}, state=state)


def read(old: Notification, at: datetime) -> tuple[Notification, Fact] | None:
    """Returns the entry as read, None where it was: clients replay lost answers."""
    if old.read_at is not None:
        return None
    return _changed("notification.read", old, replace(old, read_at=at))


def archived(old: Notification, at: datetime) -> tuple[Notification, Fact] | None:
    """Returns the entry put away, which is read then, None where it was."""
    if old.archived_at is not None:
        return None
    new = replace(old, archived_at=at, read_at=old.read_at or at)
    return _changed("notification.archived", old, new)


def notification_state(shown: Notification) -> State:
    """Returns an entry as its changes show it; `kind` is the public name of its category."""
    return {
        "id": str(shown.id),
        "kind": shown.category.name.lower(),
        "title": shown.title,
        "body": shown.body,
        "workspace_id": None if shown.workspace_id is None else str(shown.workspace_id),
        "task_id": None if shown.task_id is None else str(shown.task_id),
        "created_at": instant_text(shown.created_at),
        "read_at": instant_text(shown.read_at),
        "archived_at": instant_text(shown.archived_at),
    }


def _changed(kind: str, old: Notification, new: Notification) -> tuple[Notification, Fact]:
    was, state = notification_state(old), notification_state(new)
    fields = tuple(name for name in state if was[name] != state[name])
    before = {name: was[name] for name in fields}
    return new, Fact(kind=kind, subject=new.id, fields=fields, before=before, state=state)
