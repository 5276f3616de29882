"""Reminders, and the feed of what a person was told."""

from __future__ import annotations

import strawberry
from strawberry import UNSET

from domain.channels import ChannelName
from schema.errors import UserError
from schema.scalars import DateTime, Duration, LocalTime, Sequence

NotificationChannel = strawberry.enum(
    ChannelName, name="NotificationChannel", description="A way to a person."
)


@strawberry.type(description="At a time of the due's day, or of a day before it, in its zone.")
class ReminderOnDay:
    time: LocalTime
    days_before: int


@strawberry.type(description="Rings again until the task is done, at most so many times more.")
class ReminderNag:
    every: Duration
    times: int


@strawberry.type(description="`at` is null while a relative reminder's task has no due.")
class Reminder:
    id: strawberry.ID
    at: DateTime | None
    before_due: Duration | None
    on_day: ReminderOnDay | None
    channels: list[NotificationChannel]  # type: ignore[valid-type]
    nag: ReminderNag | None


@strawberry.input(description="daysBefore: 0 where absent.")
class ReminderOnDayInput:
    time: LocalTime
    days_before: int | None = UNSET


@strawberry.input(description="Every PT1M to P7D, 1 to 100 times.")
class ReminderNagInput:
    every: Duration
    times: int


@strawberry.input(description="Exactly one of at, beforeDue, onDay.")
class ReminderInput:
    at: DateTime | None = UNSET
    before_due: Duration | None = UNSET
    on_day: ReminderOnDayInput | None = UNSET
    channels: list[NotificationChannel]  # type: ignore[valid-type]
    nag: ReminderNagInput | None = UNSET


@strawberry.input(
    description="Exactly one of at, beforeDue, onDay. A reminder is its person's own: the payload's"
    " seq is of the user's stream."
)
class ReminderAddInput:
    id: strawberry.ID | None = UNSET
    at: DateTime | None = UNSET
    before_due: Duration | None = UNSET
    on_day: ReminderOnDayInput | None = UNSET
    channels: list[NotificationChannel]  # type: ignore[valid-type]
    nag: ReminderNagInput | None = UNSET
    client_mutation_id: str | None = UNSET


@strawberry.input
class ReminderRemoveInput:
    client_mutation_id: str | None = UNSET


@strawberry.type
class ReminderAddPayload:
    reminder: Reminder | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class ReminderRemovePayload:
    reminder_id: strawberry.ID | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.interface
class NotificationMessage:
    seq: Sequence


@strawberry.type(
    description="`kind`: reminder, assignment, overdue, digest. An archived one is not in the feed"
    " any more."
)
class Notification(NotificationMessage):
    id: strawberry.ID
    kind: str
    title: str
    body: str
    workspace_id: strawberry.ID | None
    task_id: strawberry.ID | None
    created_at: DateTime
    read_at: DateTime | None
    archived_at: DateTime | None


@strawberry.type
class NotificationPage:
    nodes: list[Notification]
    has_next_page: bool
    head: Sequence


@strawberry.type
class NotificationReadPayload:
    notification: Notification | None
    seq: Sequence | None
    user_errors: list[UserError]


@strawberry.type
class NotificationArchivePayload:
    notification: Notification | None
    seq: Sequence | None
    user_errors: list[UserError]


@strawberry.input(description="Without `through`: all of them.")
class NotificationReadAllInput:
    through: Sequence | None = UNSET


@strawberry.type(description="`viewer` counts what is unread now.")
class NotificationReadAllPayload:
    seq: Sequence | None
    user_errors: list[UserError]


@strawberry.input(
    description="Exactly one of `until` and `delay`, whose days are those of your zone's calendar."
)
class NotificationSnoozeInput:
    until: DateTime | None = UNSET
    delay: Duration | None = UNSET
    client_mutation_id: str | None = UNSET


@strawberry.type(description="`notification` is null where the reminder was not in the feed.")
class NotificationSnoozePayload:
    notification: Notification | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]
