"""The catalogue of changes: every kind that this release writes and understands."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain.changes import Change

# Of the envelope in which changes leave the log, and of the states in it. It grows when a reader of
# this version would misunderstand the next one.
VERSION: Final = 1

# Of a task that left the trash for good: nothing of it is left, so its state is null.
PURGED: Final = "task.purged"

KINDS: Final = frozenset(
    {
        "workspace.created",
        "member.added",
        "member.removed",
        "category.created",
        "category.updated",
        "category.deleted",
        "tag.created",
        "tag.updated",
        "tag.deleted",
        "task.created",
        "task.updated",
        "task.completed",
        "task.reopened",
        "task.deleted",
        "task.restored",
        "reminder.added",
        "reminder.removed",
        "delivery.scheduled",
        "delivery.claimed",
        "delivery.sent",
        "delivery.failed",
        "delivery.cancelled",
        "delivery.collapsed",
        "delivery.snoozed",
        "notification.created",
        "notification.read",
        "notification.archived",
        PURGED,
        "series.created",
        "series.updated",
        "series.paused",
        "series.resumed",
        "series.ended",
    }
)


class Malformed(Exception):
    """A delivered event is none of ours, or is broken; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A change as it arrived; `change` is None where a newer release wrote it."""

    stream: UUID
    seq: int
    version: int
    change: Change | None
