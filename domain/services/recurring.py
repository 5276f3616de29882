"""How a series begins: with a task that becomes its first occurrence."""

from dataclasses import dataclass, replace
from datetime import datetime

from domain import series as rules
from domain.changes import Fact
from domain.errors import invalid
from domain.ids import SeriesId
from domain.recurrence.policies import Anchor
from domain.recurrence.slots import Slot
from domain.recurrence_draft import RecurrenceDraft, recurrence_of
from domain.series import NO_ORIGIN, LedgerSlot, Recurrence, Series, SlotState
from domain.spawning import due_of
from domain.tasks import Task

PATH = ("input", "recurrence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A task, and the series that begins with it, if one does, as it is written."""

    task: Task
    series: tuple[Series, ...] = ()
    slots: tuple[LedgerSlot, ...] = ()
    facts: tuple[Fact, ...] = ()


def begun(id: SeriesId, task: Task, draft: RecurrenceDraft, own_zone: str, at: datetime) -> Begun:
    """Returns the series that the draft asks for, and the task as its first occurrence.

    The task is due at the first slot, whatever it was due before: a start that does not match the
    rule is no occurrence of it.

    Raises:
        Refused: INVALID; see `recurrence_of`.
    """
    recurrence, first = recurrence_of(draft, due=task.due, own_zone=own_zone, now=at, path=PATH)
    return begun_with(id, task, recurrence, first)


def begun_with(id: SeriesId, task: Task, recurrence: Recurrence, first: Slot) -> Begun:
    """Returns the series with this recurrence whose first slot is the task's."""
    try:
        due = due_of(recurrence, first)
    except OverflowError as error:
        raise invalid("Start the series in the years 1 to 9998.", *PATH, "start") from error
    occurrence = replace(task, due=due, series_id=id, slot=first.text)
    counts = recurrence.policies.anchor is Anchor.COMPLETION
    made = Series(
        id=id,
        workspace_id=task.workspace_id,
        recurrence=recurrence,
        template=rules.template_of(task),
        current=task.id,
        done_until=first.instant,
        next_at=None if counts else first.instant,
    )
    slot = LedgerSlot(
        series_id=id,
        slot=first.text,
        origin=NO_ORIGIN,
        instant=first.instant,
        state=SlotState.SPAWNED,
        task_id=task.id,
    )
    return Begun(task=occurrence, series=(made,), slots=(slot,), facts=(rules.created(made),))
