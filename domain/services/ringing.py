"""What becomes of reminders and of the ledger when tasks change: part of the same decision."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from domain.channels import Category, ChannelName
from domain.deliveries import LIVE, Delivery, Reason, cancelled, changed, first
from domain.ids import ReminderId, TaskId, UserId
from domain.personal import LedgerSeen, LedgerWrites, Told
from domain.ports import Seen
from domain.preferences import Preferences, is_on
from domain.reminders import (
    At,
    Reconciled,
    Reminder,
    Wanted,
    deliveries_of,
    is_open,
    reconcile,
    reminder_added,
    rings_at,
)
from domain.tasks import Task


def followed(seen: Seen, pairs: Iterable[tuple[Task, Task]], at: datetime) -> LedgerWrites:
    """Returns what follows for people from the tasks' changes, each as it was and as it is."""
    ledger = seen.ledger
    reminders: dict[TaskId, list[Reminder]] = defaultdict(list)
    rows: dict[TaskId | None, list[Delivery]] = defaultdict(list)
    for reminder in ledger.reminders:
        reminders[reminder.task_id].append(reminder)
    for row in ledger.deliveries:
        rows[row.task_id].append(row)
    writes = LedgerWrites()
    for old, new in pairs:
        writes |= _of_task(ledger, reminders[new.id], rows[new.id], new, at)
        if new.due != old.due:
            writes |= LedgerWrites(
                reminders_at=tuple(
                    (one, rings_at(one.wanted.when, new.due)) for one in reminders[new.id]
                )
            )
        if new.assignee_id != old.assignee_id:
            writes |= assigned(seen, new, at)
    return writes


def assigned(seen: Seen, task: Task, at: datetime) -> LedgerWrites:
    """Returns what tells a person that the task is theirs now; nobody is told by themselves."""
    person = task.assignee_id
    actor = seen.actor
    if actor is None or person is None or person == actor.id or not is_open(task):
        return LedgerWrites()
    wishes = seen.ledger.preferences.get(person, Preferences(zone="UTC"))
    return added(
        first(Category.ASSIGNMENT, actor.id, task, (person, channel), at)
        for channel in ChannelName
        if is_on(wishes, Category.ASSIGNMENT, channel)
    )


def reminded(
    user: UserId,
    task: Task,
    named: Sequence[tuple[ReminderId, Wanted]],
    at: datetime,
    *,
    is_default: bool = False,
) -> LedgerWrites:
    """Returns a person's new reminders of a task that they see, and what they make ring."""
    reminders = [
        Reminder(
            id=new,
            task_id=task.id,
            user_id=user,
            wanted=one,
            created_at=at,
            is_default=is_default,
        )
        for new, one in named
    ]
    found = reconcile((), deliveries_of(reminders, task, {user}), at)
    news = tuple((one, rings_at(one.wanted.when, task.due)) for one in reminders)
    told = tuple((user, reminder_added(one, when)) for one, when in news)
    return LedgerWrites(reminders_new=news, told=told) | _written(found)


def wanted(
    seen: Seen,
    task: Task,
    given: Sequence[Wanted] | None,
    at: datetime,
    new_id: Callable[[], UUID],
) -> LedgerWrites:
    """Returns the actor's reminders of a task that they make.

    Those that are given; else the default set, where the task has a due.
    """
    if seen.actor is None:
        return LedgerWrites()
    wishes = seen.ledger.preferences.get(seen.actor.id)
    own = given
    if own is None:
        own = wishes.defaults if wishes is not None and task.due is not None else ()
    named = [(ReminderId(new_id()), one) for one in own]
    return reminded(seen.actor.id, task, named, at, is_default=given is None)


def carried(
    seen: Seen, before: TaskId, task: Task, at: datetime, new_id: Callable[[], UUID]
) -> LedgerWrites:
    """Returns what rings for an occurrence as it did for the one before it.

    What rings at an instant of its own belongs to that one alone.
    """
    writes = LedgerWrites()
    for one in seen.ledger.reminders:
        is_own = one.task_id == before and one.user_id in seen.ledger.members
        if is_own and not isinstance(one.wanted.when, At):
            named = [(ReminderId(new_id()), one.wanted)]
            writes |= reminded(one.user_id, task, named, at, is_default=one.is_default)
    return writes


def left(seen: Seen) -> LedgerWrites:
    """Returns what takes back all that would still ring for who leaves the workspace."""
    return _withdrawn(row for row in seen.ledger.deliveries if row.state in LIVE)


def added(rows: Iterable[Delivery]) -> LedgerWrites:
    """Returns new rows of the ledger."""
    new = tuple(rows)
    return LedgerWrites(new=new, told=tuple((row.recipient, changed(None, row)) for row in new))


def moved(pairs: Iterable[tuple[Delivery, Delivery]]) -> LedgerWrites:
    """Returns rows as they shall be."""
    found = tuple(pairs)
    told: tuple[Told, ...] = tuple((now.recipient, changed(was, now)) for was, now in found)
    return LedgerWrites(moved=found, told=told)


def _of_task(
    ledger: LedgerSeen,
    reminders: Sequence[Reminder],
    rows: Sequence[Delivery],
    task: Task,
    at: datetime,
) -> LedgerWrites:
    asked = [row for row in rows if row.category is Category.REMINDER]
    desired = deliveries_of(reminders, task, ledger.members)
    others = (row for row in rows if row.category is not Category.REMINDER)
    stale = (row for row in others if row.state in LIVE and not _still_holds(row, task))
    return _written(reconcile(asked, desired, at), asked) | _withdrawn(stale)


def _still_holds(row: Delivery, task: Task) -> bool:
    """Tells whether what was to be told without anybody's asking is still true."""
    if not is_open(task):
        return False
    if row.category is Category.ASSIGNMENT:
        return task.assignee_id == row.recipient
    return task.due is not None and task.due.instant == row.root_at


def _written(found: Reconciled, rows: Iterable[Delivery] = ()) -> LedgerWrites:
    before = {row.id: row for row in rows}
    pairs = ((before[row.id], row) for row in (*found.cancelled, *found.revived))
    return added(found.new) | moved(pairs)


def _withdrawn(rows: Iterable[Delivery]) -> LedgerWrites:
    return moved((row, cancelled(row, Reason.WITHDRAWN)) for row in rows)
