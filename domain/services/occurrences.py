"""Edits of occurrences that reach further than one task: its series, and its other occurrences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from uuid import UUID

from domain import tasks
from domain.errors import conflict, invalid, over_limit
from domain.ids import SeriesId, TaskId
from domain.ports import Command, Needs, Seen, SeenSeries, Writes
from domain.recurrence_draft import RecurrenceDraft
from domain.series import LedgerSlot, Series, SlotState, created, require_going_on, template_of
from domain.services.collector import Collector
from domain.services.mutations import Decision, Mutations, Outcome
from domain.services.recurring import Begun, begun
from domain.services.showing import display
from domain.services.task_patch import (
    KEEP,
    Keep,
    TaskPatch,
    claims_of,
    needs_of,
    patched,
    relied_on,
)
from domain.services.tasks import editable
from domain.tasks import SUBTREE_MAX, Status, Task


class Scope(Enum):
    """How far an edit of an occurrence reaches; the names are the public ones."""

    THIS = "THIS"
    THIS_AND_FOLLOWING = "THIS_AND_FOLLOWING"
    ALL = "ALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """One edit being decided."""

    task: Task
    patch: TaskPatch
    scope: Scope
    seen: Seen
    own_zone: str
    all: Collector

    @property
    def at(self) -> datetime:
        return self.all.at


class OccurrenceService:
    """Changes, deletes and skips occurrences."""

    def __init__(self, mutations: Mutations, new_id: Callable[[], UUID]) -> None:
        self._mutations = mutations
        self._new_id = new_id

    async def update(
        self, command: Command, id: TaskId, patch: TaskPatch, expected: int | None, scope: Scope
    ) -> Outcome:
        """Changes the task, and by the scope its series and other occurrences.

        A recurrence makes a plain task recur, and an occurrence recur differently from here on;
        null ends its series.

        Raises:
            Refused: as `TaskService.update`; CONFLICT, the series has ended.
        """
        below = not isinstance(patch.parent, Keep) and patch.parent is not None
        needs = needs_of(patch)
        needs = replace(
            needs,
            task=id,
            height=below,
            wishes=needs.users,
            its_series=True,
            occurrences=True,
            untouched=True,
        )

        def decide(seen: Seen, at: datetime) -> Decision:
            task = editable(seen, expected)
            tasks.require_live(task)
            edit = _Edit(
                task=task,
                patch=patch,
                scope=scope,
                seen=seen,
                own_zone=seen.actor_zone,
                all=Collector(workspace=task.workspace_id, seen=seen, at=at),
            )
            return self._decided(edit, _series_of(task, seen))

        return await self._mutations.run(command, needs, decide)

    def _decided(self, edit: _Edit, one: SeenSeries | None) -> Decision:
        wanted = edit.patch.recurrence
        if one is None:
            new = patched(edit.task, edit.patch, edit.seen, edit.at)
            if not (wanted is None or isinstance(wanted, Keep)):
                new = self._begin(edit, new, wanted)
            return _with_the_task(edit, new)
        if not isinstance(wanted, Keep):
            return self._recur(edit, one, wanted)
        if edit.scope is Scope.THIS:
            return _with_the_task(edit, patched(edit.task, edit.patch, edit.seen, edit.at))
        if not isinstance(edit.patch.due, Keep):
            message = "Give a `recurrence` to move more occurrences than this one."
            raise invalid(message, "input", "due")
        require_going_on(one.series)
        if edit.scope is Scope.ALL:
            return self._change_all(edit, one)
        return self._part(edit, one)

    def _begin(self, edit: _Edit, task: Task, draft: RecurrenceDraft) -> Task:
        """Begins a series with the task; returns it as the first occurrence."""
        first: Begun = begun(SeriesId(self._new_id()), task, draft, edit.own_zone, edit.at)
        edit.all.series_new += first.series
        edit.all.slots_new += first.slots
        edit.all.facts += first.facts
        return first.task

    def _recur(self, edit: _Edit, one: SeenSeries, draft: RecurrenceDraft | None) -> Decision:
        """Ends the series; with another recurrence, a new one begins with this occurrence."""
        new = patched(edit.task, edit.patch, edit.seen, edit.at)
        if one.series.ended_at is None:
            ended = replace(one.series, ended_at=edit.at, next_at=None)
            edit.all.change_series("series.ended", one.series, ended)
        if draft is None:
            return _with_the_task(edit, new)
        new = self._begin(edit, replace(new, series_id=None, slot=None), draft)
        edit.all.slots.append(_slot(edit.task, SlotState.WITHDRAWN))
        for later in _others(edit.task, one):
            below = one.below.get(later.id, ())
            gone = (later, *below)
            is_as_made = all(task.is_open and task.id in one.untouched for task in gone)
            if later.id in one.later and is_as_made:
                # What the old rule made ahead is in the way of the new one.
                _delete(edit.all, gone)
                edit.all.slots.append(_slot(later, SlotState.WITHDRAWN))
        return _with_the_task(edit, new)

    def _change_all(self, edit: _Edit, one: SeenSeries) -> Decision:
        edit.all.change_series("series.updated", one.series, _templated(edit, one.series))
        for other in _others(edit.task, one):
            if other.is_open:
                new = patched(other, _shared(edit.patch), edit.seen, edit.at)
                edit.all.change("task.updated", other, new)
        return _with_the_task(edit, patched(edit.task, edit.patch, edit.seen, edit.at))

    def _part(self, edit: _Edit, one: SeenSeries) -> Decision:
        """Parts the series before this occurrence: what follows is a series of its own."""
        old = one.series
        if one.since is None:
            raise TypeError(edit.task.id)
        edit.all.change_series("series.ended", old, replace(old, ended_at=edit.at, next_at=None))
        new = replace(
            _templated(edit, old),
            id=SeriesId(self._new_id()),
            version=1,
            rev=1,
            skipped=old.skipped,
        )
        edit.all.series_new.append(new)
        edit.all.facts.append(created(new))
        for other in _others(edit.task, one):
            if other.id in one.later:
                moved = replace(other, series_id=new.id)
                if other.is_open:
                    moved = patched(moved, _shared(edit.patch), edit.seen, edit.at)
                edit.all.change("task.updated", other, moved)
        this = patched(edit.task, edit.patch, edit.seen, edit.at)
        decision = _with_the_task(edit, replace(this, series_id=new.id))
        moved_slots = (old.id, new.id, one.since)
        return replace(decision, writes=replace(decision.writes, slots_moved=moved_slots))

    async def delete(
        self, command: Command, id: TaskId, expected: int | None, scope: Scope
    ) -> Outcome:
        """Ends the series, and deletes the task with its other open occurrences, by the scope.

        Raises:
            Refused: as `TaskService.delete`.
        """
        needs = Needs(task=id, subtree=True, its_series=True, occurrences=True)

        def decide(seen: Seen, at: datetime) -> Decision:
            task = editable(seen, expected)
            one = _series_of(task, seen)
            if seen.descendants is None:
                raise _too_many()
            every = Collector(workspace=task.workspace_id, seen=seen, at=at)
            if one is not None and one.series.ended_at is None:
                ended = replace(one.series, ended_at=at, next_at=None)
                every.change_series("series.ended", one.series, ended)
            gone = {below.id: below for below in (task, *seen.descendants)}
            for other in () if one is None else _others(task, one):
                if one is not None and other.is_open and _reaches(scope, one, other):
                    gone |= {below.id: below for below in (other, *one.below.get(other.id, ()))}
            if len(gone) > SUBTREE_MAX:
                raise _too_many()
            _delete(every, tuple(gone.values()))
            writes = replace(every.writes(task.id), tree_rev=seen.tree_rev, tree_moved=True)
            return _decision(task, seen, writes)

        return await self._mutations.run(command, needs, decide)

    async def skip(self, command: Command, id: TaskId, expected: int | None) -> Outcome:
        """Cancels an occurrence as one that is left out; again is no change.

        Raises:
            Refused: CONFLICT; the task is no occurrence, or done.
        """

        def decide(seen: Seen, at: datetime) -> Decision:
            task = editable(seen, expected)
            tasks.require_live(task)
            if task.series_id is None:
                raise conflict("The task does not recur: cancel or delete it instead.", "id")
            if task.status is Status.DONE:
                raise conflict("The task is done: reopen it first.", "id")
            every = Collector(workspace=task.workspace_id, seen=seen, at=at)
            new = tasks.with_status(task, Status.CANCELLED, at)
            if every.change("task.updated", task, new) is not None:
                every.slots.append(_slot(task, SlotState.SKIPPED))
            return _decision(task, seen, every.writes(task.id))

        return await self._mutations.run(command, Needs(task=id), decide)


def _series_of(task: Task, seen: Seen) -> SeenSeries | None:
    if seen.series is None:
        raise _too_many()
    return None if task.series_id is None else seen.series.get(task.series_id)


def _too_many() -> Exception:
    message = f"Its occurrences have more than {SUBTREE_MAX:,} subtasks: close or move some first."
    return over_limit(message, "id")


def _others(task: Task, one: SeenSeries) -> Sequence[Task]:
    current = () if one.current is None else (one.current,)
    return [other for other in (*one.open, *current) if other.id != task.id]


def _reaches(scope: Scope, one: SeenSeries, other: Task) -> bool:
    return scope is Scope.ALL or other.id in one.later


def _shared(patch: TaskPatch) -> TaskPatch:
    """Returns what of a patch other occurrences take over: not what is of one occurrence alone."""
    return replace(patch, status=KEEP, due=KEEP, parent=KEEP, place=KEEP, recurrence=KEEP)


def _templated(edit: _Edit, series: Series) -> Series:
    """Returns the series with the patch applied to what later occurrences are like."""
    own = series.template
    like = replace(
        edit.task,
        title=own.title,
        description=own.description,
        priority=own.priority,
        category_id=own.category_id,
        tag_ids=own.tag_ids,
        assignee_id=own.assignee_id,
        parent_id=own.parent_id,
    )
    wanted = replace(_shared(edit.patch), parent=edit.patch.parent)
    return replace(series, template=template_of(patched(like, wanted, edit.seen, edit.at)))


def _delete(every: Collector, gone: Sequence[Task]) -> None:
    """Moves tasks to the trash, children before parents; the first comes last."""
    for old in reversed(gone):
        every.change("task.deleted", old, replace(old, deleted_at=every.at))


def _slot(task: Task, state: SlotState) -> LedgerSlot:
    if task.series_id is None or task.slot is None:
        raise TypeError(task.id)
    return LedgerSlot(
        series_id=task.series_id,
        slot=task.slot,
        origin=None,
        instant=None,
        state=state,
        task_id=task.id,
    )


def _with_the_task(edit: _Edit, new: Task) -> Decision:
    """Returns all that was collected, the change of the task itself last."""
    old, seen = edit.task, edit.seen
    edit.all.change("task.updated", old, new)
    writes = edit.all.writes(old.id)
    writes = replace(
        writes,
        seen={**writes.seen, **relied_on(new, edit.patch, seen)},
        claims=(*writes.claims, *claims_of(old, new, edit.patch, seen)),
    )
    if new.parent_id != old.parent_id:
        writes = replace(writes, tree_rev=seen.tree_rev, tree_moved=True)
    return _decision(old, seen, writes)


def _decision(task: Task, seen: Seen, writes: Writes) -> Decision:
    """Returns the decision; its state is the task's, changed or not."""
    last = writes.facts[-1] if writes.facts else None
    if last is not None and last.subject == task.id:
        return Decision(writes=writes, state=last.state)
    return Decision(writes=writes, state=tasks.task_state(task, display(task, seen)))
