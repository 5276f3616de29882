"""What a transaction writes for people, as the argument of the function `persons_1`."""

from collections.abc import Callable, Sequence
from typing import TypeAlias
from uuid import UUID

from domain.changes import Fact, head_digest, text
from domain.events import VERSION
from domain.ids import UserId
from domain.personal import LedgerWrites, Told
from infra.postgres.people import delivery_row, moved_row, notification_row, reminder_row

Parts: TypeAlias = dict[str, object]


def ledger_parts(writes: LedgerWrites) -> Parts:
    """Returns the rows that the writes ask for."""
    return {
        "reminders_new": [reminder_row(one, at) for one, at in writes.reminders_new],
        "reminders_at": [reminder_row(one, at) for one, at in writes.reminders_at],
        "reminders_gone": list(writes.reminders_gone),
        "deliveries_new": [delivery_row(one) for one in writes.new],
        "deliveries": [moved_row(seen, one) for seen, one in writes.moved],
        "notifications": [notification_row(one) for one in writes.notifications],
    }


def persons(
    told: Sequence[Told],
    *,
    at: str,
    actor: UserId | None,
    key: str | None,
    new_id: Callable[[], UUID],
) -> list[Parts]:
    """Returns the changes of each person's stream, in the order of the streams' ids."""
    streams: dict[UserId, list[Parts]] = {}
    for user, fact in sorted(told, key=lambda one: one[0]):
        changes = streams.setdefault(user, [])
        changes.append(change(fact, at=at, actor=actor, key=key, id=new_id()))
    return [{"user": user, "changes": changes} for user, changes in streams.items()]


def change(fact: Fact, *, at: str, actor: UserId | None, key: str | None, id: UUID) -> Parts:
    """Returns a change as `append_1` takes it."""
    head = head_digest(
        kind=fact.kind, at=at, actor=actor, subject=fact.subject, fields=fact.fields, key=key
    )
    return {
        "id": id,
        "kind": fact.kind,
        "subject": fact.subject,
        "fields": fact.fields,
        "before": text(fact.before),
        "payload": text(fact.state),
        "head": head.hex(),
        "version": VERSION,
    }
