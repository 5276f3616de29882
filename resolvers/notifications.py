"""Reminders and the feed: which rows a read means, and one use case for each mutation."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TypeVar

import strawberry
from strawberry import UNSET

from domain.channels import ChannelName
from domain.durations import Duration
from domain.errors import OverLimit, Problems, Unauthenticated, invalid
from domain.ids import DeliveryId, ReminderId, TaskId, UserId
from domain.paging import SIZE_MAX
from domain.reading import NotificationsAfter, NotificationSlice, OneNotification
from domain.reminders import At, Before, Nag, OnDay, Wanted, When
from domain.services.mutations import Outcome
from resolvers.payloads import Payload, command, done, mutation, new_id, wanted_id
from resolvers.selection import selected
from resolvers.streams import SIGN_IN
from schema import notifications as t
from schema.context import RequestInfo
from schema.planned import planned, streamed
from schema.scalars import DateTime, Sequence

T = TypeVar("T")


def _slice(after: Sequence | None = UNSET, first: int = 50) -> NotificationSlice:
    if first < 0:
        raise invalid("Ask for 0 notifications or more.", "first")
    if first > SIZE_MAX:
        raise OverLimit(f"Ask for at most {SIZE_MAX} notifications a page; this asks for {first}.")
    return NotificationSlice(after=given_or_none(after), first=first)


def _stream(after: Sequence | None = UNSET) -> NotificationsAfter:
    return NotificationsAfter(after=given_or_none(after))


@strawberry.type
class NotificationQuery:
    notifications: t.NotificationPage | None = planned(
        _slice,
        t.NotificationPage | None,
        "The viewer's feed in the order of seq. After `after`: what is new there or has changed,"
        " archived ones too. Without it: the newest ones that are not archived.",
    )


@strawberry.type
class NotificationSubscription:
    notifications: t.NotificationMessage = streamed(
        _stream,
        t.NotificationMessage,
        "The viewer's feed. A notification comes again, with a new seq, when it is read.",
    )


@strawberry.type
class NotificationMutation:
    @mutation(t.ReminderAddPayload, "Has a task ring for the viewer.")
    async def reminder_add(
        self, info: RequestInfo, task_id: strawberry.ID, input: t.ReminderAddInput
    ) -> Payload:
        task = TaskId(wanted_id(task_id, "taskId"))
        problems = Problems()
        new = problems.of(lambda: new_id(input.id, "input", "id"))
        wanted = problems.of(lambda: wanted_reminder(input, "input"))
        if wanted is None:
            raise problems.refusal()
        who = command(info, input.client_mutation_id, problems)
        outcome = await info.context.use.reminders.add(who, task, new, wanted)
        return await done(info, "reminder", outcome)

    @mutation(t.ReminderRemovePayload, "Takes a reminder of the viewer's back.")
    async def reminder_remove(
        self, info: RequestInfo, id: strawberry.ID, input: t.ReminderRemoveInput | None = UNSET
    ) -> Payload:
        who = command(info, input.client_mutation_id if input else None)
        outcome = await info.context.use.reminders.remove(who, ReminderId(wanted_id(id, "id")))
        return await done(info, "reminder", outcome)

    @mutation(t.NotificationReadPayload, "Marks a notification as read.")
    async def notification_read(self, info: RequestInfo, id: strawberry.ID) -> Payload:
        user, one = _viewer(info), DeliveryId(wanted_id(id, "id"))
        return await _entry(info, await info.context.use.notifications.read(user, one))

    @mutation(t.NotificationArchivePayload, "Puts a notification away, read or not.")
    async def notification_archive(self, info: RequestInfo, id: strawberry.ID) -> Payload:
        user, one = _viewer(info), DeliveryId(wanted_id(id, "id"))
        return await _entry(info, await info.context.use.notifications.archive(user, one))

    @mutation(t.NotificationReadAllPayload, "Marks all as read, or those up to a seq.")
    async def notification_read_all(
        self, info: RequestInfo, input: t.NotificationReadAllInput | None = UNSET
    ) -> Payload:
        through = given_or_none(input.through) if input else None
        seq = await info.context.use.notifications.read_all(_viewer(info), through)
        values: Payload = {"seq": str(seq), "user_errors": []}
        return {f.key: values[f.attribute] for f in selected(info).fields if f.attribute in values}

    @mutation(
        t.NotificationSnoozePayload,
        "Lets a reminder ring again later, on each of its channels; `id` is its notification's.",
    )
    async def notification_snooze(
        self, info: RequestInfo, id: strawberry.ID, input: t.NotificationSnoozeInput
    ) -> Payload:
        one = DeliveryId(wanted_id(id, "id"))
        both = (given_or_none(input.until), given_or_none(input.delay))
        given = [when for when in both if when is not None]
        if len(given) != 1:
            raise invalid("Give exactly one of until and delay.", "input")
        who = command(info, input.client_mutation_id)
        outcome = await info.context.use.reminders.snooze(who, one, given[0])
        return await _entry(info, outcome, input.client_mutation_id)


async def _entry(info: RequestInfo, outcome: Outcome, key: str | None = None) -> Payload:
    """Returns the payload with the entry of the feed as it is; null where it is not there."""
    entry = OneNotification(id=DeliveryId(outcome.subject))
    values: Payload = {
        "seq": str(outcome.seq),
        "client_mutation_id": given_or_none(key),
        "user_errors": [],
    }
    answer: Payload = {}
    for field in selected(info).fields:
        if field.attribute == "notification" and field.selection is not None:
            answer[field.key] = await info.context.read(entry, field.selection)
        elif field.attribute in values:
            answer[field.key] = values[field.attribute]
    return answer


def wanted_reminder(given: t.ReminderAddInput | t.ReminderInput, *path: str) -> Wanted:
    """Returns what an input asks for.

    Raises:
        Refused: INVALID; it says when in several ways, or in none.
    """
    return wanted_of(given.at, given.before_due, given.on_day, given.channels, given.nag, *path)


def wanted_of(
    at: DateTime | None,
    before_due: Duration | None,
    on_day: t.ReminderOnDayInput | None,
    channels: Iterable[ChannelName],
    nag: t.ReminderNagInput | None,
    *path: str,
) -> Wanted:
    """Returns what the fields of an input ask for; UNSET and null are the same.

    Raises:
        Refused: INVALID; they say when in several ways, or in none.
    """
    whens: list[When] = [
        *(At(instant=one) for one in (given_or_none(at),) if one),
        *(Before(days=one.days, span=one.span) for one in (given_or_none(before_due),) if one),
        *(_on_day(one) for one in (given_or_none(on_day),) if one),
    ]
    if len(whens) != 1:
        raise invalid("Give exactly one of at, beforeDue and onDay.", *path)
    again = given_or_none(nag)
    return Wanted(
        when=whens[0],
        channels=frozenset(channels),
        nag=None if again is None else Nag(every=_exact(again.every), times=again.times),
    )


def _on_day(day: t.ReminderOnDayInput) -> OnDay:
    return OnDay(at=day.time, days_before=given_or_none(day.days_before) or 0)


def _exact(duration: Duration) -> timedelta:
    # More than a year is refused as such, and not as an overflow.
    return timedelta(days=min(duration.days, 400)) + duration.span


def _viewer(info: RequestInfo) -> UserId:
    if info.context.viewer is None:
        raise Unauthenticated(SIGN_IN)
    return info.context.viewer.user


def given_or_none(value: T | None) -> T | None:
    """Returns what was given; absent and null are the same."""
    return None if value is UNSET else value
