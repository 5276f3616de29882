"""What one may ask of tasks, and in which order; the meaning is in `domain.filters`."""

from __future__ import annotations

from enum import Enum

import strawberry
from strawberry import UNSET

from schema.scalars import Date, DateTime
from schema.tasks import TaskPriority, TaskStatus


@strawberry.enum(description="RANK orders by the search's relevance and needs one.")
class TaskOrderField(Enum):
    DUE = "DUE"
    PRIORITY = "PRIORITY"
    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"
    TITLE = "TITLE"
    POSITION = "POSITION"
    RANK = "RANK"


@strawberry.enum
class OrderDirection(Enum):
    ASC = "ASC"
    DESC = "DESC"


@strawberry.input
class TaskOrder:
    field: TaskOrderField
    direction: OrderDirection = OrderDirection.ASC


@strawberry.input
class IdFilter:
    eq: strawberry.ID | None = UNSET
    in_: list[strawberry.ID] | None = strawberry.field(name="in", default=UNSET)
    is_null: bool | None = UNSET


@strawberry.input
class TaskStatusFilter:
    eq: TaskStatus | None = UNSET  # type: ignore[valid-type]
    in_: list[TaskStatus] | None = strawberry.field(name="in", default=UNSET)  # type: ignore[valid-type]


@strawberry.input
class TaskPriorityFilter:
    eq: TaskPriority | None = UNSET  # type: ignore[valid-type]
    in_: list[TaskPriority] | None = strawberry.field(name="in", default=UNSET)  # type: ignore[valid-type]
    gte: TaskPriority | None = UNSET  # type: ignore[valid-type]
    lte: TaskPriority | None = UNSET  # type: ignore[valid-type]


@strawberry.input
class TagsFilter:
    any: list[strawberry.ID] | None = UNSET
    all: list[strawberry.ID] | None = UNSET
    none: list[strawberry.ID] | None = UNSET
    is_empty: bool | None = UNSET


@strawberry.input(description="Half-open: gte <= value < lt.")
class DateTimeFilter:
    gte: DateTime | None = UNSET
    lt: DateTime | None = UNSET
    is_null: bool | None = UNSET


@strawberry.input(
    description="gte and lt compare `instant`; dateGte and dateLt compare the local date, as a"
    " calendar does."
)
class DueFilter:
    gte: DateTime | None = UNSET
    lt: DateTime | None = UNSET
    date_gte: Date | None = UNSET
    date_lt: Date | None = UNSET
    is_null: bool | None = UNSET


@strawberry.input(
    description="All given parts must hold; an empty `and`, `all` or `none` holds, an empty `or`,"
    " `in` or `any` does not. Null and absent are the same here. Two-valued logic: a comparison"
    " with an absent value is false, and `not` negates it, so that not tag X includes the untagged."
)
class TaskFilter:
    and_: list[TaskFilter] | None = strawberry.field(name="and", default=UNSET)
    or_: list[TaskFilter] | None = strawberry.field(name="or", default=UNSET)
    not_: TaskFilter | None = strawberry.field(name="not", default=UNSET)
    id: IdFilter | None = UNSET
    status: TaskStatusFilter | None = UNSET
    priority: TaskPriorityFilter | None = UNSET
    category: IdFilter | None = UNSET
    assignee: IdFilter | None = UNSET
    parent: IdFilter | None = UNSET
    tags: TagsFilter | None = UNSET
    due: DueFilter | None = UNSET
    created_at: DateTimeFilter | None = UNSET
    updated_at: DateTimeFilter | None = UNSET
    completed_at: DateTimeFilter | None = UNSET
    search: str | None = strawberry.field(
        default=UNSET,
        description='Web-search syntax: words, "a phrase", or, -without. Title weighs more than'
        " description; the last word matches as a prefix.",
    )
    is_overdue: bool | None = strawberry.field(
        default=UNSET, description="OPEN or IN_PROGRESS, and `instant` has passed."
    )
    is_recurring: bool | None = strawberry.field(
        default=UNSET, description="It is an occurrence of a series."
    )
    is_deleted: bool | None = UNSET
