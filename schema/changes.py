"""The live stream's messages and the log's pages."""

from __future__ import annotations

from enum import Enum

import strawberry

from schema.labels import Category, Tag
from schema.notifications import NotificationMessage
from schema.scalars import DateTime, Sequence
from schema.series import Series
from schema.tasks import Task
from schema.workspaces import Member, User


@strawberry.interface
class ChangeMessage:
    seq: Sequence


@strawberry.type(
    description="One row of the log. `kind` is dotted: task.created, task.completed, tag.updated,"
    " member.removed ... The subject's field holds the state after the change, with the display"
    " fields of what it refers to; deeper selections show the present of what it names, and leave"
    " the rest as it was. `fields` names what changed."
    " A renamed tag is one change of the tag. A member's change has the Member's id as subjectId."
)
class Change(ChangeMessage):
    id: strawberry.ID
    workspace_id: strawberry.ID
    kind: str
    at: DateTime
    actor: User | None
    client_mutation_id: str | None
    subject_id: strawberry.ID
    fields: list[str]
    task: Task | None
    category: Category | None
    tag: Tag | None
    member: Member | None
    series: Series | None


@strawberry.type(description="All up to `seq` has been sent; what follows is live.")
class CaughtUp(ChangeMessage, NotificationMessage):
    pass


@strawberry.enum
class ResyncReason(Enum):
    LOG_PRUNED = "LOG_PRUNED"
    LOG_RESTORED = "LOG_RESTORED"


@strawberry.type(description="`seq` is the last one sent to you.")
class ResyncRequired(ChangeMessage, NotificationMessage):
    reason: ResyncReason
    head: Sequence


@strawberry.type
class ChangePage:
    nodes: list[Change]
    has_next_page: bool
    head: Sequence
    resync_required: ResyncRequired | None
