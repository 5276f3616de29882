"""What people do with tasks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from domain import positions, tasks
from domain.changes import Fact
from domain.errors import Problems, conflict, not_found, over_limit
from domain.ids import SeriesId, TaskId, UserId, WorkspaceId
from domain.ports import Claim, Command, Needs, Seen, Writes
from domain.reminders import Wanted, require_all_sound
from domain.services import ringing
from domain.services.mutations import Decision, Mutations, Outcome
from domain.services.recurring import Begun, begun
from domain.services.showing import display as _display
from domain.services.task_patch import (
    Keep,
    Place,
    TaskPatch,
    claims_of,
    needs_of,
    patched,
    relied_on,
)
from domain.tasks import Status, Task
from domain.workspaces import Role, require


class TaskService:
    """Creates, changes, completes, reopens, deletes and restores tasks."""

    def __init__(self, mutations: Mutations, new_id: Callable[[], UUID]) -> None:
        self._mutations = mutations
        self._new_id = new_id

    async def create(
        self,
        command: Command,
        workspace: WorkspaceId,
        id: UUID | None,
        patch: TaskPatch,
        reminders: Sequence[Wanted] | None = None,
    ) -> Outcome:
        """Creates a task at its place, or at the end, and has it ring for the actor.

        Args:
            command: who asks.
            workspace: where.
            id: the client's own.
            patch: all that is said about it.
            reminders: None for the actor's default set.

        Raises:
            Refused: INVALID, NOT_FOUND, FORBIDDEN, CONFLICT (the id is taken), LIMIT_EXCEEDED.
        """
        new = TaskId(id or self._new_id())
        place = patch.place if isinstance(patch.place, Place) else Place()
        title = None if isinstance(patch.title, Keep) else patch.title
        draft = replace(patch, title=title, place=place)
        needs = replace(needs_of(draft), workspace=workspace, wishes=_people(command, draft))

        def decide(seen: Seen, at: datetime) -> Decision:
            require_editor(seen, "workspaceId", "There is no such workspace.")
            require_all_sound(reminders or (), at)
            blank = tasks.blank(new, workspace, at)
            first = self._first(blank, draft, seen, at)
            task = first.task
            fact = tasks.created(task, _display(task, seen))
            ledger = ringing.assigned(seen, task, at)
            ledger |= ringing.wanted(seen, task, reminders, at, self._new_id)
            writes = replace(
                _writes(seen, task, at, (*first.facts, fact)),
                ledger=ledger,
                series_new=first.series,
                slots_new=first.slots,
                tasks_new=(task,),
                seen=relied_on(task, draft, seen),
                claims=claims_of(blank, task, draft, seen),
                tree_moved=task.parent_id is not None,
            )
            return Decision(writes=writes, state=fact.state)

        return await self._mutations.run(command, needs, decide)

    def _first(self, blank: Task, draft: TaskPatch, seen: Seen, at: datetime) -> Begun:
        """Returns the new task, with the series that it begins, if it shall recur."""
        problems = Problems()
        task = problems.of(lambda: patched(blank, draft, seen, at))
        wanted = draft.recurrence
        first = None if task is None else Begun(task=task)
        if not (wanted is None or isinstance(wanted, Keep)):
            new = SeriesId(self._new_id())
            first = problems.of(lambda: begun(new, task or blank, wanted, seen.actor_zone, at))
        if problems.found or first is None:
            raise problems.refusal()
        return first

    async def update(
        self, command: Command, id: TaskId, patch: TaskPatch, expected: int | None
    ) -> Outcome:
        """Changes what the patch names; nothing where all of it is so already.

        Raises:
            Refused: INVALID, NOT_FOUND, FORBIDDEN, CONFLICT, STALE_VERSION, LIMIT_EXCEEDED.
        """
        below = not isinstance(patch.parent, Keep) and patch.parent is not None
        needs = needs_of(patch)
        needs = replace(needs, task=id, height=below, wishes=needs.users)

        def decide(seen: Seen, at: datetime) -> Decision:
            task = editable(seen, expected)
            tasks.require_live(task)
            new = patched(task, patch, seen, at)
            decision = _changed(seen, "task.updated", task, new, at)
            if not decision.writes.facts:
                return decision
            writes = replace(
                decision.writes,
                seen={**decision.writes.seen, **relied_on(new, patch, seen)},
                claims=claims_of(task, new, patch, seen),
            )
            if new.parent_id != task.parent_id:
                writes = replace(writes, tree_rev=seen.tree_rev, tree_moved=True)
            return replace(decision, writes=writes)

        return await self._mutations.run(command, needs, decide)

    async def complete(self, command: Command, id: TaskId, expected: int | None) -> Outcome:
        """Completes a task; a second time is no change, since clients replay lost answers."""
        return await self._set_status(command, id, expected, "task.completed", Status.DONE)

    async def reopen(self, command: Command, id: TaskId, expected: int | None) -> Outcome:
        """Opens a task that was done or cancelled; one that is open or in progress stays so."""
        return await self._set_status(command, id, expected, "task.reopened", Status.OPEN)

    async def _set_status(
        self, command: Command, id: TaskId, expected: int | None, kind: str, status: Status
    ) -> Outcome:
        def decide(seen: Seen, at: datetime) -> Decision:
            task = editable(seen, expected)
            tasks.require_live(task)
            idle = status is Status.OPEN and task.status is Status.IN_PROGRESS
            new = task if idle else tasks.with_status(task, status, at)
            return _changed(seen, kind, task, new, at)

        return await self._mutations.run(command, Needs(task=id), decide)

    async def delete(self, command: Command, id: TaskId, expected: int | None) -> Outcome:
        """Moves a task and its subtasks to the trash; deleting again is no change."""

        def decide(seen: Seen, at: datetime) -> Decision:
            task = editable(seen, expected)
            if task.deleted_at is not None:
                return _unchanged(seen, task, at)
            return _moved(seen, "task.deleted", task, at, lambda one: replace(one, deleted_at=at))

        return await self._mutations.run(command, Needs(task=id, subtree=True), decide)

    async def restore(self, command: Command, id: TaskId, expected: int | None) -> Outcome:
        """Takes a task out of the trash, and the subtasks that were deleted together with it.

        Raises:
            Refused: CONFLICT; its parent is in the trash itself.
        """

        def decide(seen: Seen, at: datetime) -> Decision:
            task = editable(seen, expected)
            if task.deleted_at is None:
                return _unchanged(seen, task, at)
            parent = seen.tasks.get(seen.ancestors[0]) if seen.ancestors else None
            if parent is not None and parent.deleted_at is not None:
                raise conflict("Restore the parent task first.", "id")
            return _moved(seen, "task.restored", task, at, lambda one: _restored(one, seen))

        needs = Needs(task=id, subtree=True, ancestors_of=id)
        return await self._mutations.run(command, needs, decide)


def _people(command: Command, draft: TaskPatch) -> tuple[UserId, ...]:
    """Returns whose wishes matter for a new task."""
    own = () if command.actor is None else (command.actor,)
    return (*own, *needs_of(draft).users)


def require_editor(seen: Seen, field: str, message: str) -> None:
    """Raises Refused unless the actor sees the workspace, and may change its tasks."""
    if seen.workspace is None:
        raise not_found(message, field)
    require(seen.role, Role.MEMBER, "make you a member, who may change its tasks")


def editable(seen: Seen, expected: int | None) -> Task:
    """Returns the task asked for; raises what refuses its change."""
    if seen.task is None:
        raise not_found("There is no such task.", "id")
    require_editor(seen, "id", "There is no such task.")
    tasks.require_version(
        seen.task, expected, tasks.task_state(seen.task, _display(seen.task, seen))
    )
    return seen.task


def _writes(seen: Seen, task: Task, at: datetime, facts: tuple[Fact, ...]) -> Writes:
    return Writes(
        workspace=task.workspace_id,
        subject=task.id,
        at=at,
        actor=seen.actor,
        facts=facts,
        roles_rev=seen.roles_rev,
        labels_rev=seen.labels_rev,
    )


def _unchanged(seen: Seen, task: Task, at: datetime) -> Decision:
    state = tasks.task_state(task, _display(task, seen))
    return Decision(writes=_writes(seen, task, at, ()), state=state)


def _changed(seen: Seen, kind: str, old: Task, new: Task, at: datetime) -> Decision:
    found = tasks.changed(kind, old, _display(old, seen), new, _display(new, seen))
    if found is None:
        return _unchanged(seen, old, at)
    grown, fact = found
    writes = replace(
        _writes(seen, old, at, (fact,)),
        tasks=(grown,),
        seen={old.id: old.version},
        ledger=ringing.followed(seen, ((old, grown),), at),
    )
    return Decision(writes=writes, state=fact.state)


def _restored(task: Task, seen: Seen) -> Task:
    """Returns the task out of the trash: in its place, or right after who has that by now."""
    if task.id not in seen.crowded:
        return replace(task, deleted_at=None)
    position = positions.between(task.position, seen.crowded[task.id], task.id)
    return replace(task, deleted_at=None, position=position)


def _moved(
    seen: Seen, kind: str, task: Task, at: datetime, move: Callable[[Task], Task]
) -> Decision:
    """Moves a task and what lies below it into or out of the trash in one commit; it comes last.

    Raises:
        Refused: LIMIT_EXCEEDED; one commit does not take all of them along.
    """
    if seen.descendants is None:
        raise over_limit(
            f"Move some of its subtasks first: {tasks.SUBTREE_MAX:,} at most go along, with"
            f" {tasks.SUBTREE_MAX_BYTES // 1_000_000} MB of text.",
            "id",
        )
    pairs = [(one, move(one)) for one in (*reversed(seen.descendants), task)]
    found = [
        tasks.changed(
            kind, old, _display(old, seen), replace(new, updated_at=at), _display(old, seen)
        )
        for old, new in pairs
    ]
    changes = [change for change in found if change is not None]
    facts = tuple(fact for _, fact in changes)
    writes = replace(
        _writes(seen, task, at, facts),
        tasks=tuple(grown for grown, _ in changes),
        seen={old.id: old.version for old, _ in pairs},
        ledger=ringing.followed(seen, pairs, at),
        claims=tuple(_claim(old, new) for old, new in pairs if new.deleted_at is None),
        tree_rev=seen.tree_rev,
        tree_moved=True,
    )
    return Decision(writes=writes, state=facts[-1].state)


def _claim(old: Task, new: Task) -> Claim:
    beside = None if new.position == old.position else old.position
    return Claim(task=new.id, position=new.position, beside=beside)
