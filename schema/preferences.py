"""How a person is told of things."""

from __future__ import annotations

import strawberry
from strawberry import UNSET

from domain.channels import Category
from domain.lateness import WhenLate
from domain.preferences import QuietPolicy
from schema.errors import UserError
from schema.notifications import (
    NotificationChannel,
    ReminderNag,
    ReminderNagInput,
    ReminderOnDay,
    ReminderOnDayInput,
)
from schema.scalars import DateTime, Duration, LocalTime, TimeZone

NotificationCategory = strawberry.enum(
    Category, name="NotificationCategory", description="What a notification is about."
)
QuietHoursPolicy = strawberry.enum(
    QuietPolicy,
    name="QuietHoursPolicy",
    description="What becomes of mail and push messages in quiet hours; the feed makes no noise.",
)
LatePolicy = strawberry.enum(
    WhenLate,
    name="LateNotificationPolicy",
    description="What becomes of what could not be sent in time: SEND each and say so, COLLAPSE"
    " several into one, or DROP what is older than `lateKeep`.",
)


@strawberry.type
class NotificationChoice:
    category: NotificationCategory  # type: ignore[valid-type]
    channel: NotificationChannel  # type: ignore[valid-type]
    is_on: bool


@strawberry.type(
    description="Quiet from `start` on each of the days (1 is Monday) until `end`, maybe the next"
    " day; equal times mean the whole day. In the viewer's zone."
)
class QuietHours:
    days: list[int]
    start: LocalTime
    end: LocalTime


@strawberry.type(description="A reminder that each new task of the viewer's with a due gets.")
class DefaultReminder:
    before_due: Duration | None
    on_day: ReminderOnDay | None
    channels: list[NotificationChannel]  # type: ignore[valid-type]
    nag: ReminderNag | None


@strawberry.type(description="A browser that takes push messages.")
class PushSubscription:
    id: strawberry.ID
    endpoint: str
    created_at: DateTime


@strawberry.type(
    description="`pushKey` is the applicationServerKey that browsers subscribe with; null where the"
    " server sends no push messages."
)
class NotificationPreferences:
    time_zone: TimeZone
    choices: list[NotificationChoice]
    quiet_hours: list[QuietHours]
    quiet_policy: QuietHoursPolicy  # type: ignore[valid-type]
    late_policy: LatePolicy  # type: ignore[valid-type]
    late_keep: Duration
    digest_at: LocalTime
    defaults: list[DefaultReminder]
    push_key: str | None
    push_subscriptions: list[PushSubscription]


@strawberry.input
class NotificationChoiceInput:
    category: NotificationCategory  # type: ignore[valid-type]
    channel: NotificationChannel  # type: ignore[valid-type]
    is_on: bool


@strawberry.input
class QuietHoursInput:
    days: list[int]
    start: LocalTime
    end: LocalTime


@strawberry.input(description="Exactly one of beforeDue and onDay.")
class DefaultReminderInput:
    before_due: Duration | None = UNSET
    on_day: ReminderOnDayInput | None = UNSET
    channels: list[NotificationChannel]  # type: ignore[valid-type]
    nag: ReminderNagInput | None = UNSET


@strawberry.input(
    description="What is absent stays. `choices` merges; `quietHours` and `defaults` replace."
)
class NotificationPreferencesUpdateInput:
    choices: list[NotificationChoiceInput] | None = UNSET
    quiet_hours: list[QuietHoursInput] | None = UNSET
    quiet_policy: QuietHoursPolicy | None = UNSET  # type: ignore[valid-type]
    late_policy: LatePolicy | None = UNSET  # type: ignore[valid-type]
    late_keep: Duration | None = UNSET
    digest_at: LocalTime | None = UNSET
    defaults: list[DefaultReminderInput] | None = UNSET


@strawberry.type
class NotificationPreferencesUpdatePayload:
    preferences: NotificationPreferences | None
    user_errors: list[UserError]


@strawberry.input(description="As the browser's PushSubscription.toJSON() tells it.")
class PushSubscriptionAddInput:
    endpoint: str
    p256dh: str
    auth: str


@strawberry.type
class PushSubscriptionAddPayload:
    push_subscription: PushSubscription | None
    user_errors: list[UserError]


@strawberry.type
class PushSubscriptionRemovePayload:
    push_subscription_id: strawberry.ID | None
    user_errors: list[UserError]
