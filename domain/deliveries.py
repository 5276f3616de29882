"""The ledger: one row for each thing that shall ring, and what became of it.

    PENDING  -> CLAIMED    a worker has it, for as long as its lease lasts
    CLAIMED  -> SENT, FAILED
    CLAIMED  -> PENDING    later: an attempt failed, quiet hours, its provider is away
    PENDING, CLAIMED -> CANCELLED, COLLAPSED, SNOOZED
    SENT, COLLAPSED -> SNOOZED   it rang, and shall ring again
    CANCELLED -> PENDING   what had taken it back is undone in time

A row is named after what it is about and when it is due, so that the same thing is never there
twice. What follows from one (nags, snoozes) has the same `root_at`, and goes when it does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias
from uuid import UUID, uuid5

from domain.changes import Fact
from domain.channels import Category, ChannelName
from domain.errors import conflict, invalid
from domain.ids import DeliveryId, TaskId, UserId, WorkspaceId
from domain.tasks import Task, instant_text

# The namespace of what no reminder asks for; any fixed UUID would do.
NAMESPACE: Final = UUID("6f1f2c5e-6d0b-5d39-9a55-0d6c7cf5c2a1")
# Nobody means the year after next when they snooze.
SNOOZE_MAX = timedelta(days=366)


class State(StrEnum):
    """Where a delivery stands."""

    PENDING = "PENDING"
    CLAIMED = "CLAIMED"
    SENT = "SENT"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    COLLAPSED = "COLLAPSED"
    SNOOZED = "SNOOZED"


# States from which a delivery may still ring.
LIVE: Final = frozenset({State.PENDING, State.CLAIMED})

# The state machine; the ledger's SQL has the same arrows in its conditions.
NEXT: Final[Mapping[State, frozenset[State]]] = {
    State.PENDING: frozenset({State.CLAIMED, State.CANCELLED, State.COLLAPSED, State.SNOOZED}),
    State.CLAIMED: frozenset(
        {
            State.SENT,
            State.FAILED,
            State.PENDING,
            State.CANCELLED,
            State.COLLAPSED,
            State.SNOOZED,
        }
    ),
    State.SENT: frozenset({State.SNOOZED}),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset({State.PENDING}),
    State.COLLAPSED: frozenset({State.SNOOZED}),
    State.SNOOZED: frozenset(),
}


class Reason(StrEnum):
    """Why a delivery was cancelled, or put off."""

    WITHDRAWN = "withdrawn"  # done, rescheduled, deleted, unshared; the only one that is undone
    CHANGED = "preferences"  # its person wants it at another time, or not
    SNOOZED = "snoozed"  # another of its lineage was snoozed
    QUIET = "quiet hours"
    MUTED = "switched off"
    TOO_LATE = "too late"
    UNREACHABLE = "no recipient"
    BREAKER = "provider is away"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One row of the ledger.

    Attributes:
        source: the reminder, or another name of what asked for it.
        root_at: when the first of its lineage was due.
        due_at: when this one is due: part of its id.
        fire_at: when it is tried: `due_at`, or later after a failure or in quiet hours.
        attempts: sends that were begun.
        nag: how many of its nag sequence came before it.
        reason: of its last failure or end.
        is_unsure: nobody knows whether the last attempt was taken, such as while it is under way.
        maybe_repeated: it was sent again after such an attempt.
    """

    id: DeliveryId
    category: Category
    source: UUID
    workspace_id: WorkspaceId | None
    task_id: TaskId | None
    recipient: UserId
    channel: ChannelName
    root_at: datetime
    due_at: datetime
    fire_at: datetime
    state: State = State.PENDING
    attempts: int = 0
    nag: int = 0
    snoozed_from: DeliveryId | None = None
    collapsed_into: DeliveryId | None = None
    reason: str | None = None
    is_late: bool = False
    is_unsure: bool = False
    maybe_repeated: bool = False


# What a lineage has in common.
Lineage: TypeAlias = tuple[Category, UUID, TaskId | None, UserId, ChannelName, datetime]
# A row as it shall be, and the change that tells it.
Step: TypeAlias = tuple[Delivery, Fact]


def first(
    category: Category,
    source: UUID,
    task: Task | None,
    to: tuple[UserId, ChannelName],
    at: datetime,
) -> Delivery:
    """Returns the pending row of what is due at that instant, the first of its lineage."""
    recipient, channel = to
    task_id = None if task is None else task.id
    row = Delivery(
        id=DeliveryId(NAMESPACE),
        category=category,
        source=source,
        workspace_id=None if task is None else task.workspace_id,
        task_id=task_id,
        recipient=recipient,
        channel=channel,
        root_at=at,
        due_at=at,
        fire_at=at,
    )
    return replace(row, id=_id(row))


def lineage(row: Delivery) -> Lineage:
    """Returns what the row has in common with all that follow from the same first one."""
    return (
        row.category, row.source, row.task_id, row.recipient, row.channel, row.root_at
    )  # fmt: skip


def cancelled(row: Delivery, reason: str) -> Delivery:
    """Returns the row as one that does not ring."""
    return _moved(row, State.CANCELLED, reason=reason)


def begun(row: Delivery, at: datetime) -> Delivery:
    """Returns the row whose send begins, in the last moment in which it can be taken back.

    What is written in the feed commits with its row: only what leaves the house can come twice.
    """
    if row.state is not State.CLAIMED or row.fire_at > at:
        raise ValueError(f"A delivery that is {row.state} or not due is not begun.")
    leaves = row.channel is not ChannelName.IN_APP
    return replace(
        row,
        attempts=row.attempts + 1,
        is_unsure=leaves,
        maybe_repeated=row.maybe_repeated or row.is_unsure,
    )


def revived(row: Delivery) -> Delivery:
    """Returns the row that shall ring after all."""
    return _moved(row, State.PENDING, reason=None)


def claimed(row: Delivery) -> Delivery:
    """Returns the row as one worker's."""
    return _moved(row, State.CLAIMED, reason=row.reason)


def sent(row: Delivery, *, is_late: bool = False) -> Delivery:
    """Returns the row that its provider took."""
    return replace(_moved(row, State.SENT, reason=None), is_late=is_late, is_unsure=False)


def failed(row: Delivery, reason: str) -> Delivery:
    """Returns the row that will never be taken."""
    return replace(_moved(row, State.FAILED, reason=reason), is_unsure=False)


def put_off(row: Delivery, until: datetime, reason: str, *, is_unsure: bool = False) -> Delivery:
    """Returns the row that is tried not before `until`; it may have been taken all the same."""
    moved = _moved(row, State.PENDING, reason=reason)
    return replace(moved, fire_at=until, is_unsure=is_unsure)


def collapsed(row: Delivery, into: DeliveryId) -> Delivery:
    """Returns the row that another one tells about."""
    return replace(_moved(row, State.COLLAPSED, reason=None), collapsed_into=into)


def diverted(row: Delivery, at: datetime) -> Delivery:
    """Returns the row by which the feed tells what another channel does not, at once.

    Where the feed tells it anyway, that is the same row.
    """
    new = replace(follower(row, row.due_at), channel=ChannelName.IN_APP, fire_at=at)
    return replace(new, id=_id(new))


def snoozed(family: Iterable[Delivery], until: datetime, at: datetime) -> tuple[Delivery, ...]:
    """Returns the changed rows of a lineage that shall ring again at `until`.

    The one that rang last, else the one to come, leads to the new row, which counts on in its nag
    sequence. What else was to come is cancelled.

    Raises:
        Refused: INVALID, `until` is not in the future; CONFLICT, there is nothing to snooze.
    """
    rows = sorted(family, key=lambda row: row.due_at)
    rang = [row for row in rows if row.state in (State.SENT, State.COLLAPSED)]
    came = rang or [row for row in rows if row.state in LIVE]
    if not came:
        raise conflict("This reminder does not ring any more.", "id")
    last = came[-1]
    if not max(at, last.due_at) < until <= at + SNOOZE_MAX:
        raise invalid("Choose an instant after now, and within a year.", "input", "until")
    new = replace(follower(last, until), nag=last.nag, snoozed_from=last.id)
    others = (
        cancelled(row, Reason.SNOOZED)
        for row in rows
        if row.state in LIVE and row.id not in (last.id, new.id)
    )
    return (_moved(last, State.SNOOZED, reason=None), *others, new)


def changed(before: Delivery | None, after: Delivery) -> Fact:
    """Returns the change of the recipient's stream that tells what became of the row."""
    was, state = {} if before is None else delivery_state(before), delivery_state(after)
    fields = tuple(name for name in state if was.get(name) != state[name])
    kind = "scheduled" if after.state is State.PENDING else after.state.name.lower()
    return Fact(
        kind=f"delivery.{kind}",
        subject=after.id,
        fields=fields,
        before={name: was[name] for name in fields if name in was},
        state=state,
    )


def delivery_state(row: Delivery) -> dict[str, object]:
    """Returns a delivery as its changes show it."""
    return {
        "id": str(row.id),
        "category": row.category.name,
        "source": str(row.source),
        "workspace_id": _text(row.workspace_id),
        "task_id": _text(row.task_id),
        "recipient": str(row.recipient),
        "channel": row.channel.name,
        "due_at": instant_text(row.due_at),
        "fire_at": instant_text(row.fire_at),
        "state": row.state.name,
        "attempts": row.attempts,
        "nag": row.nag,
        "snoozed_from": _text(row.snoozed_from),
        "collapsed_into": _text(row.collapsed_into),
        "reason": row.reason,
        "is_late": row.is_late,
        "maybe_repeated": row.maybe_repeated,
    }


def follower(row: Delivery, due_at: datetime) -> Delivery:
    """Returns a fresh row of the same lineage, due later."""
    new = replace(
        row,
        due_at=due_at,
        fire_at=due_at,
        state=State.PENDING,
        attempts=0,
        snoozed_from=None,
        collapsed_into=None,
        reason=None,
        is_late=False,
        is_unsure=False,
        maybe_repeated=False,
    )
    return replace(new, id=_id(new))


def _id(row: Delivery) -> DeliveryId:
    """Returns the id that follows from what is delivered, to whom, how and when.

    One that follows from another has the first one's instant in its name too: it must not be
    taken for the first row of a due that the task once had.
    """
    parts = [row.category, row.source, row.task_id, row.recipient, row.channel, row.due_at]
    if row.due_at != row.root_at:
        parts.append(row.root_at)
    texts = (instant_text(part) if isinstance(part, datetime) else str(part) for part in parts)
    return DeliveryId(uuid5(NAMESPACE, " ".join(map(str, texts))))


def _moved(row: Delivery, state: State, *, reason: str | None) -> Delivery:
    if state not in NEXT[row.state]:
        raise ValueError(f"A delivery that is {row.state} does not become {state}.")
    return replace(row, state=state, reason=reason)


def _text(id: UUID | None) -> str | None:
    return None if id is None else str(id)
