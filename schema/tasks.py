"""Tasks, and everything one says about them."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import UNSET, Maybe

from domain.tasks import Priority, Status
from schema.errors import UserError
from schema.labels import Category, Tag
from schema.notifications import Reminder, ReminderInput
from schema.paging import PageInfo, nested
from schema.planned import planned
from schema.scalars import Date, DateTime, LocalTime, Sequence, TimeZone
from schema.series import (
    Occurrence,
    RecurrenceInput,
    RecurrenceScope,
    Series,
    SeriesSlotState,
)
from schema.workspaces import User

TaskStatus = strawberry.enum(Status, name="TaskStatus", description="Where a task stands.")
TaskPriority = strawberry.enum(Priority, name="TaskPriority", description="How much it matters.")


@strawberry.type(
    description="A local date, with a time or all day, in a zone. `instant` is when it is over:"
    " the time itself, or the end of the day (the next local midnight). `fold` picks the second of"
    " two equal local times."
)
class Due:
    date: Date
    time: LocalTime | None
    time_zone: TimeZone
    fold: bool
    instant: DateTime


@strawberry.type(
    description="`version` grows with every change of the task's own fields, tags and position. A"
    " deleted tag or category is one change, of that alone: the tasks that had it lose it, and the"
    " `version` of each grows by one, while its `updatedAt` stays."
)
class Task:
    id: strawberry.ID
    workspace_id: strawberry.ID
    title: str
    description: str = strawberry.field(description="Markdown.")
    status: TaskStatus  # type: ignore[valid-type]
    priority: TaskPriority  # type: ignore[valid-type]
    due: Due | None
    category: Category | None
    tags: list[Tag] = strawberry.field(description="By name.")
    assignee: User | None
    parent: Task | None
    subtasks: TaskConnection = planned(
        nested,
        Annotated["TaskConnection", strawberry.lazy("schema.tasks")],
        "In their manual order, without those in the trash.",
    )
    position: str
    version: int
    created_at: DateTime
    updated_at: DateTime
    completed_at: DateTime | None
    deleted_at: DateTime | None
    reminders: list[Reminder] = strawberry.field(description="The viewer's own.")
    series: Series | None = strawberry.field(description="What it recurs by.")
    occurrence: Occurrence | None = strawberry.field(description="Which one of the series it is.")


@strawberry.type
class TaskEdge:
    cursor: str
    node: Task


@strawberry.type(
    description="`seq` is the log position that this page shows: subscribe to `changes` after it"
    " and miss nothing. `totalCount` costs a count; null when that is too costly."
)
class TaskConnection:
    edges: list[TaskEdge]
    nodes: list[Task]
    page_info: PageInfo
    total_count: int | None
    seq: Sequence


@strawberry.type
class SeriesSlot:
    slot: str
    instant: DateTime
    state: SeriesSlotState
    task: Task | None


@strawberry.type
class SeriesSlotEdge:
    cursor: str
    node: SeriesSlot


@strawberry.type
class SeriesSlotConnection:
    edges: list[SeriesSlotEdge]
    nodes: list[SeriesSlot]
    page_info: PageInfo
    total_count: int | None


@strawberry.input(description="timeZone: the viewer's where absent.")
class DueInput:
    date: Date
    time: LocalTime | None = UNSET
    time_zone: TimeZone | None = UNSET
    fold: bool | None = UNSET


@strawberry.input(
    description="Right after or right before another task; at most one of the two; neither: at the"
    " end."
)
class PositionInput:
    after_id: strawberry.ID | None = UNSET
    before_id: strawberry.ID | None = UNSET


@strawberry.input
class TaskCreateInput:
    id: strawberry.ID | None = UNSET
    title: str
    description: str | None = UNSET
    status: TaskStatus | None = UNSET  # type: ignore[valid-type]
    priority: TaskPriority | None = UNSET  # type: ignore[valid-type]
    due: DueInput | None = UNSET
    category_id: strawberry.ID | None = UNSET
    tag_ids: list[strawberry.ID] | None = UNSET
    assignee_id: strawberry.ID | None = UNSET
    parent_id: strawberry.ID | None = UNSET
    position: PositionInput | None = UNSET
    reminders: list[ReminderInput] | None = strawberry.field(
        default=UNSET, description="Absent: the viewer's default set."
    )
    recurrence: RecurrenceInput | None = strawberry.field(
        default=UNSET,
        description="The task becomes the first occurrence of a series, and is due at the first"
        " slot, on or after the recurrence's start.",
    )
    client_mutation_id: str | None = UNSET


@strawberry.input(
    description="An absent field stays; null clears where the field may be empty, and is INVALID"
    " where it may not. tagIds replaces; addTagIds and removeTagIds merge."
)
class TaskUpdateInput:
    expected_version: int | None = UNSET
    title: Maybe[str | None]
    description: Maybe[str | None]
    status: Maybe[TaskStatus | None]  # type: ignore[valid-type]
    priority: Maybe[TaskPriority | None]  # type: ignore[valid-type]
    due: Maybe[DueInput | None]
    category_id: Maybe[strawberry.ID | None]
    tag_ids: Maybe[list[strawberry.ID] | None]
    add_tag_ids: list[strawberry.ID] | None = UNSET
    remove_tag_ids: list[strawberry.ID] | None = UNSET
    assignee_id: Maybe[strawberry.ID | None]
    parent_id: Maybe[strawberry.ID | None]
    position: Maybe[PositionInput | None]
    recurrence: Maybe[RecurrenceInput | None] = strawberry.field(
        default=None,
        description="Makes the task recur; an occurrence recurs so from here on, in a series of its"
        " own. Null ends the series.",
    )
    scope: RecurrenceScope | None = strawberry.field(  # type: ignore[valid-type]
        default=UNSET,
        description="THIS where absent. Status, position and due are always of this one: give a"
        " `recurrence` to move more.",
    )
    client_mutation_id: str | None = UNSET


@strawberry.input
class TaskCompleteInput:
    expected_version: int | None = UNSET
    client_mutation_id: str | None = UNSET


@strawberry.input
class TaskReopenInput:
    expected_version: int | None = UNSET
    client_mutation_id: str | None = UNSET


@strawberry.input
class TaskDeleteInput:
    expected_version: int | None = UNSET
    scope: RecurrenceScope | None = strawberry.field(  # type: ignore[valid-type]
        default=UNSET,
        description="THIS where absent; with another one the series ends, and its other open"
        " occurrences go along, too.",
    )
    client_mutation_id: str | None = UNSET


@strawberry.input
class TaskSkipInput:
    expected_version: int | None = UNSET
    client_mutation_id: str | None = UNSET


@strawberry.input
class TaskRestoreInput:
    expected_version: int | None = UNSET
    client_mutation_id: str | None = UNSET


@strawberry.type
class TaskCreatePayload:
    task: Task | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class TaskUpdatePayload:
    task: Task | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class TaskCompletePayload:
    task: Task | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class TaskReopenPayload:
    task: Task | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class TaskDeletePayload:
    task: Task | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class TaskRestorePayload:
    task: Task | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class TaskSkipPayload:
    task: Task | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]
