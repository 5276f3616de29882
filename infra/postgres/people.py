"""What belongs to people, between the tables' rows and the domain: reminders, deliveries, wishes.

Rows come and go as JSON objects, keyed by column.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from domain.channels import Category, ChannelName
from domain.deliveries import Delivery, State
from domain.durations import Duration, duration_text, parse
from domain.ids import DeliveryId, ReminderId, TaskId, UserId, WorkspaceId
from domain.lateness import LatePolicy, WhenLate
from domain.notifications import Notification
from domain.preferences import Preferences, Quiet, QuietPolicy, is_on
from domain.reminders import At, Before, Nag, OnDay, Reminder, Wanted, When
from domain.tasks import clock_form, instant_text

Row: TypeAlias = Mapping[str, Any]


def sure(text: str) -> datetime:
    """Returns the instant that a row tells."""
    return datetime.fromisoformat(text).astimezone(UTC)


def instant(text: str | None) -> datetime | None:
    """Returns the instant that a row tells, if any."""
    return None if text is None else sure(text)


def delivery_of(row: Row) -> Delivery:
    """Returns a row of the ledger."""
    return Delivery(
        id=DeliveryId(UUID(row["id"])),
        category=Category(row["category"]),
        source=UUID(row["source"]),
        workspace_id=None
        if row["workspace_id"] is None
        else WorkspaceId(UUID(row["workspace_id"])),
        task_id=None if row["task_id"] is None else TaskId(UUID(row["task_id"])),
        recipient=UserId(UUID(row["recipient"])),
        channel=ChannelName(row["channel"]),
        root_at=sure(row["root_at"]),
        due_at=sure(row["due_at"]),
        fire_at=sure(row["fire_at"]),
        state=State(row["state"]),
        attempts=row["attempts"],
        nag=row["nag"],
        snoozed_from=_delivery_id(row["snoozed_from"]),
        collapsed_into=_delivery_id(row["collapsed_into"]),
        reason=row["reason"],
        is_late=row["is_late"],
        is_unsure=row["is_unsure"],
        maybe_repeated=row["maybe_repeated"],
    )


def delivery_row(delivery: Delivery) -> dict[str, object]:
    """Returns a delivery as a row."""
    return {
        "id": delivery.id,
        "category": delivery.category.value,
        "source": delivery.source,
        "workspace_id": delivery.workspace_id,
        "task_id": delivery.task_id,
        "recipient": delivery.recipient,
        "channel": delivery.channel.value,
        "root_at": instant_text(delivery.root_at),
        "due_at": instant_text(delivery.due_at),
        "fire_at": instant_text(delivery.fire_at),
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "nag": delivery.nag,
        "snoozed_from": delivery.snoozed_from,
        "collapsed_into": delivery.collapsed_into,
        "reason": delivery.reason,
        "is_late": delivery.is_late,
        "is_unsure": delivery.is_unsure,
        "maybe_repeated": delivery.maybe_repeated,
    }


def moved_row(seen: Delivery, delivery: Delivery) -> dict[str, object]:
    """Returns a delivery as it shall be, with how it was when that was decided."""
    return {
        **delivery_row(delivery),
        "seen_state": seen.state.value,
        "seen_fire_at": instant_text(seen.fire_at),
        "seen_attempts": seen.attempts,
    }


def reminder_of(row: Row) -> Reminder:
    """Returns a reminder."""
    return Reminder(
        id=ReminderId(UUID(row["id"])),
        task_id=TaskId(UUID(row["task_id"])),
        user_id=UserId(UUID(row["user_id"])),
        wanted=_wanted_of(row),
        created_at=sure(row["created_at"]),
        is_default=row["is_default"],
    )


def reminder_row(reminder: Reminder, at: datetime | None) -> dict[str, object]:
    """Returns a reminder as a row, with when it rings as its task stands."""
    return {
        "id": reminder.id,
        "task_id": reminder.task_id,
        "user_id": reminder.user_id,
        "is_default": reminder.is_default,
        "created_at": instant_text(reminder.created_at),
        **_wanted_row(reminder.wanted),
        "at": instant_text(at),
    }


def nag_of(row: Row) -> Nag | None:
    """Returns how a reminder goes on, if it does."""
    every = row["nag_every"] and parse(row["nag_every"])
    return Nag(every=every.span, times=row["nag_times"]) if every else None


def late_of(row: Row | None) -> LatePolicy:
    """Returns the wish for what is late in a preference's row, None where there is none."""
    if row is None:
        return LatePolicy()
    return LatePolicy(when=WhenLate(row["late"]), keep=timedelta(seconds=row["late_keep_s"]))


def preferences_of(row: Row | None, zone: str) -> Preferences:
    """Returns what a person in that zone has chosen."""
    if row is None:
        return Preferences(zone=zone)
    return Preferences(
        zone=zone,
        chosen={
            (Category(one["category"]), ChannelName(one["channel"])): one["is_on"]
            for one in orjson.loads(row["chosen"])
        },
        quiet=tuple(
            Quiet(
                days=frozenset(one["days"]),
                start=time.fromisoformat(one["start"]),
                end=time.fromisoformat(one["end"]),
            )
            for one in orjson.loads(row["quiet"])
        ),
        quiet_policy=QuietPolicy(row["quiet_policy"]),
        late=late_of(row),
        digest_at=time.fromisoformat(row["digest_at"]),
        defaults=tuple(_wanted_of(one) for one in orjson.loads(row["defaults"])),
    )


def preferences_row(user: UserId, preferences: Preferences) -> dict[str, object]:
    """Returns what a person has chosen as a row."""
    chosen = [
        {"category": category.value, "channel": channel.value, "is_on": is_on}
        for (category, channel), is_on in sorted(preferences.chosen.items())
    ]
    quiet = [
        {"days": sorted(one.days), "start": one.start.isoformat(), "end": one.end.isoformat()}
        for one in preferences.quiet
    ]
    return {
        "user_id": user,
        "chosen": orjson.dumps(chosen).decode(),
        "quiet": orjson.dumps(quiet).decode(),
        "quiet_policy": preferences.quiet_policy.value,
        "late": preferences.late.when.value,
        "late_keep_s": int(preferences.late.keep.total_seconds()),
        "digest_at": preferences.digest_at.isoformat(),
        "wants_digest": any(
            is_on(preferences, Category.DIGEST, channel) for channel in ChannelName
        ),
        "defaults": orjson.dumps([_wanted_row(one) for one in preferences.defaults]).decode(),
    }


def notification_of(row: Row) -> Notification:
    """Returns an entry of the feed."""
    return Notification(
        id=DeliveryId(UUID(row["id"])),
        user_id=UserId(UUID(row["user_id"])),
        category=Category(row["category"]),
        title=row["title"],
        body=row["body"],
        workspace_id=None
        if row["workspace_id"] is None
        else WorkspaceId(UUID(row["workspace_id"])),
        task_id=None if row["task_id"] is None else TaskId(UUID(row["task_id"])),
        created_at=sure(row["created_at"]),
        read_at=instant(row["read_at"]),
        archived_at=instant(row["archived_at"]),
    )


def notification_row(shown: Notification) -> dict[str, object]:
    """Returns an entry of the feed as a row."""
    return {
        "id": shown.id,
        "user_id": shown.user_id,
        "category": shown.category.value,
        "title": shown.title,
        "body": shown.body,
        "workspace_id": shown.workspace_id,
        "task_id": shown.task_id,
        "created_at": instant_text(shown.created_at),
        "read_at": instant_text(shown.read_at),
        "archived_at": instant_text(shown.archived_at),
    }


def _delivery_id(text: str | None) -> DeliveryId | None:
    return None if text is None else DeliveryId(UUID(text))


def _wanted_of(row: Row) -> Wanted:
    channels: Sequence[str] = row["channels"]
    return Wanted(
        when=_when_of(row),
        channels=frozenset(map(ChannelName, channels)),
        nag=nag_of(row),
    )


def _when_of(row: Row) -> When:
    if row["before_due"] is not None:
        found = parse(row["before_due"])
        if found is None:
            raise ValueError(row["before_due"])
        return Before(days=found.days, span=found.span)
    if row["on_day"] is not None:
        return OnDay(at=time.fromisoformat(row["on_day"]), days_before=row["days_before"])
    return At(instant=sure(row["at"]))


def _wanted_row(wanted: Wanted) -> dict[str, object]:
    when, nag = wanted.when, wanted.nag
    before = Duration(days=when.days, span=when.span) if isinstance(when, Before) else None
    return {
        "at": instant_text(when.instant) if isinstance(when, At) else None,
        "before_due": None if before is None else duration_text(before),
        "on_day": clock_form(when.at) if isinstance(when, OnDay) else None,
        "days_before": when.days_before if isinstance(when, OnDay) else None,
        "channels": sorted(wanted.channels),
        "nag_every": None if nag is None else duration_text(Duration(span=nag.every)),
        "nag_times": None if nag is None else nag.times,
    }
