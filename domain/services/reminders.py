"""What people do with reminders: ask for them, take them back, put them off."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from domain import reminders, tasks
from domain.deliveries import LIVE, SNOOZE_MAX, Delivery, Reason, cancelled, snoozed
from domain.durations import Duration
from domain.errors import Refused, conflict, not_found
from domain.ids import DeliveryId, ReminderId, TaskId
from domain.personal import LedgerWrites
from domain.ports import Command, Needs, Seen, Writes
from domain.reminders import Reminder, Wanted
from domain.services import ringing
from domain.services.mutations import Decision, Mutations, Outcome
from domain.tasks import Task
from domain.workspaces import User


class ReminderService:
    """Adds, removes and snoozes; a reminder is its person's own, and so are its changes."""

    def __init__(self, mutations: Mutations, new_id: Callable[[], UUID]) -> None:
        self._mutations = mutations
        self._new_id = new_id

    async def add(self, command: Command, task: TaskId, id: UUID | None, wanted: Wanted) -> Outcome:
        """Has a task ring for the actor.

        Raises:
            Refused: INVALID, NOT_FOUND, CONFLICT (the id is taken, the task is deleted),
                LIMIT_EXCEEDED.
        """
        new = ReminderId(id or self._new_id())

        def decide(seen: Seen, at: datetime) -> Decision:
            found = _visible(seen, "taskId")
            tasks.require_live(found)
            reminders.require_sound(wanted, at, "input")
            reminders.require_room(len(seen.ledger.reminders), "taskId")
            ledger = ringing.reminded(_person(seen).id, found, [(new, wanted)], at)
            state = reminders.reminder_state(*ledger.reminders_new[0])
            return _decision(seen, found, new, at, ledger, state)

        return await self._mutations.run(command, Needs(task=task), decide)

    async def remove(self, command: Command, id: ReminderId) -> Outcome:
        """Takes a reminder back, with all of it that has not rung.

        Raises:
            Refused: NOT_FOUND.
        """

        def decide(seen: Seen, at: datetime) -> Decision:
            task = _visible(seen, "id", "There is no such reminder.")
            mine = [
                one
                for one in seen.ledger.reminders
                if one.id == id and one.user_id == command.actor
            ]
            if not mine:
                raise not_found("There is no such reminder.", "id")
            return _decision(seen, task, id, at, _removed(seen, mine[0], task), {"id": str(id)})

        return await self._mutations.run(command, Needs(task_of=("reminder", id)), decide)

    async def snooze(self, command: Command, id: DeliveryId, until: datetime | Duration) -> Outcome:
        """Lets what has rung, or is about to, ring again on each of its channels.

        Args:
            command: who asks.
            id: any delivery of the reminder.
            until: when, or how much later; its days are those of the actor's calendar.

        Raises:
            Refused: INVALID, NOT_FOUND, CONFLICT (it does not ring any more).
        """

        def decide(seen: Seen, at: datetime) -> Decision:
            task = _visible(seen, "id", "There is no such notification.")
            mine = [one for one in seen.ledger.deliveries if one.id == id]
            if not mine or mine[0].recipient != command.actor:
                raise not_found("There is no such notification.", "id")
            if not reminders.is_open(task):
                raise conflict("The task is closed: nothing of it rings any more.", "id")
            then = until if isinstance(until, datetime) else _later(at, until, seen.actor_zone)
            return _decision(
                seen, task, id, at, _snoozed(seen.ledger.deliveries, mine[0], then, at), {}
            )

        return await self._mutations.run(command, Needs(task_of=("delivery", id)), decide)


def _later(at: datetime, delay: Duration, zone: str) -> datetime:
    days = timedelta(days=min(delay.days, SNOOZE_MAX.days + 1))
    # Python adds to what clocks show.
    day = (at.astimezone(ZoneInfo(zone)) + days).astimezone(UTC)
    return day + min(delay.span, SNOOZE_MAX)


def _visible(seen: Seen, field: str, message: str = "There is no such task.") -> Task:
    if seen.task is None:
        raise not_found(message, field)
    return seen.task


def _person(seen: Seen) -> User:
    """Returns whose reminder it is; the service itself has none."""
    if seen.actor is None:
        raise TypeError(seen.actor)
    return seen.actor


def _decision(
    seen: Seen,
    task: Task,
    subject: UUID,
    at: datetime,
    ledger: LedgerWrites,
    state: dict[str, object],
) -> Decision:
    writes = Writes(
        workspace=task.workspace_id,
        subject=subject,
        at=at,
        actor=seen.actor,
        roles_rev=seen.roles_rev,
        seen={task.id: task.version},
        ledger=ledger,
        own=_person(seen).id,
    )
    return Decision(writes=writes, state=state)


def _removed(seen: Seen, reminder: Reminder, task: Task) -> LedgerWrites:
    rows = (row for row in seen.ledger.deliveries if row.source == reminder.id)
    fact = reminders.reminder_removed(reminder, reminders.rings_at(reminder.wanted.when, task.due))
    gone = LedgerWrites(reminders_gone=(reminder.id,), told=((reminder.user_id, fact),))
    return gone | ringing.moved(
        (row, cancelled(row, Reason.WITHDRAWN)) for row in rows if row.state in LIVE
    )


def _snoozed(
    rows: tuple[Delivery, ...], one: Delivery, until: datetime, at: datetime
) -> LedgerWrites:
    """Returns what puts off the delivery's lineage on every channel that has something to."""
    before = {row.id: row for row in rows}
    writes = LedgerWrites()
    for channel in sorted({row.channel for row in rows}):
        family = [row for row in rows if row.channel == channel and _is_of(row, one)]
        try:
            found = snoozed(family, until, at)
        except Refused:
            if channel == one.channel:
                raise
            continue
        writes |= ringing.moved((before[row.id], row) for row in found if row.id in before)
        writes |= ringing.added(row for row in found if row.id not in before)
    return writes


def _is_of(row: Delivery, one: Delivery) -> bool:
    key = (row.category, row.source, row.task_id, row.recipient, row.root_at)
    return key == (one.category, one.source, one.task_id, one.recipient, one.root_at)
