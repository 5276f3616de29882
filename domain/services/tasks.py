"""What people do with tasks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from enum import Enum
from uuid import UUID
from zoneinfo import ZoneInfo

from domain import positions, tasks, text
from domain.changes import Fact
from domain.due import Due, due
from domain.errors import Problem, Refused, conflict, invalid, not_found, over_limit
from domain.ids import CategoryId, TagId, TaskId, UserId, WorkspaceId
from domain.ports import Command, Needs, Seen, Writes
from domain.services.mutations import Decision, Mutations, Outcome
from domain.tasks import Display, Priority, Status, Task
from domain.workspaces import Role, require


class Keep(Enum):
    """The value of a patch's field that is to stay as it is."""

    KEEP = "KEEP"


KEEP = Keep.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDraft:
    """A due as the user gave it; without a zone the user's own is meant."""

    day: date
    at: time | None = None
    zone: ZoneInfo | None = None
    fold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Right after or right before another task; neither: at the end."""

    after: TaskId | None = None
    before: TaskId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPatch:
    """What shall change; `tags` replaces, `add_tags` and `remove_tags` merge."""

    title: str | Keep | None = KEEP
    description: str | Keep | None = KEEP
    status: Status | Keep | None = KEEP
    priority: Priority | Keep | None = KEEP
    due: DueDraft | Keep | None = KEEP
    category: CategoryId | Keep | None = KEEP
    tags: frozenset[TagId] | Keep | None = KEEP
    add_tags: frozenset[TagId] = frozenset()
    remove_tags: frozenset[TagId] = frozenset()
    assignee: UserId | Keep | None = KEEP
    parent: TaskId | Keep | None = KEEP
    place: Place | Keep | None = KEEP


class TaskService:
    """Creates, changes, completes, reopens, deletes and restores tasks."""

    def __init__(self, mutations: Mutations, new_id: Callable[[], UUID]) -> None:
        self._mutations = mutations
        self._new_id = new_id

    async def create(
        self, command: Command, workspace: WorkspaceId, id: UUID | None, patch: TaskPatch
    ) -> Outcome:
        """Creates a task at its place, or at the end.

        Raises:
            Refused: INVALID, NOT_FOUND, FORBIDDEN, CONFLICT (the id is taken), LIMIT_EXCEEDED.
        """
        new = TaskId(id or self._new_id())
        place = patch.place if isinstance(patch.place, Place) else Place()
        needs = replace(
            _needs(patch, place),
            workspace=workspace,
            new_id=new,
            end=not (place.after or place.before),
        )

        def decide(seen: Seen, at: datetime) -> Decision:
            _require_editor(seen, "workspaceId", "There is no such workspace.")
            if seen.taken:
                raise conflict("This id is taken: choose another.", "input", "id")
            blank = Task(
                id=new,
                workspace_id=workspace,
                title="",
                description="",
                status=Status.OPEN,
                priority=Priority.MEDIUM,
                due=None,
                category_id=None,
                tag_ids=frozenset(),
                assignee_id=None,
                parent_id=None,
                position="",
                version=1,
                created_at=at,
                updated_at=at,
                completed_at=None,
                deleted_at=None,
            )
            task = _patched(blank, replace(patch, place=place, title=_given(patch.title)), seen, at)
            fact = tasks.created(task, _display(task, seen))
            writes = replace(
                _writes(seen, task, at, (fact,)),
                tasks_new=(task,),
                seen=_parent_seen(task, seen),
                tree_moved=task.parent_id is not None,
            )
            return Decision(writes=writes, state=fact.state)

        return await self._mutations.run(command, needs, decide)

    async def update(
        self, command: Command, id: TaskId, patch: TaskPatch, expected: int | None
    ) -> Outcome:
        """Changes what the patch names; nothing where all of it is so already.

        Raises:
            Refused: INVALID, NOT_FOUND, FORBIDDEN, CONFLICT, STALE_VERSION, LIMIT_EXCEEDED.
        """
        moves = not isinstance(patch.parent, Keep)
        place = patch.place if isinstance(patch.place, Place) else None
        needs = replace(
            _needs(patch, place or Place()),
            task=id,
            subtree=moves,
            end=place is not None and not (place.after or place.before),
        )

        def decide(seen: Seen, at: datetime) -> Decision:
            task = _editable(seen, expected)
            tasks.require_live(task)
            new = _patched(task, patch, seen, at)
            decision = _changed(seen, "task.updated", task, new, at)
            if not moves or new.parent_id == task.parent_id:
                return decision
            writes = replace(
                decision.writes,
                tree_rev=seen.tree_rev,
                tree_moved=True,
                seen={**decision.writes.seen, **_parent_seen(new, seen)},
            )
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
            task = _editable(seen, expected)
            tasks.require_live(task)
            idle = status is Status.OPEN and task.status is Status.IN_PROGRESS
            new = task if idle else tasks.with_status(task, status, at)
            return _changed(seen, kind, task, new, at)

        return await self._mutations.run(command, Needs(task=id), decide)

    async def delete(self, command: Command, id: TaskId, expected: int | None) -> Outcome:
        """Moves a task and its subtasks to the trash; deleting again is no change."""

        def decide(seen: Seen, at: datetime) -> Decision:
            task = _editable(seen, expected)
            going = [one for one in seen.descendants if one.deleted_at is None]
            gone = [] if task.deleted_at else [*reversed(going), task]
            return _moved(seen, "task.deleted", task, gone, at, deleted_at=at)

        return await self._mutations.run(command, Needs(task=id, subtree=True), decide)

    async def restore(self, command: Command, id: TaskId, expected: int | None) -> Outcome:
        """Takes a task out of the trash, and the subtasks that were deleted together with it.

        Raises:
            Refused: CONFLICT; its parent is in the trash itself.
        """

        def decide(seen: Seen, at: datetime) -> Decision:
            task = _editable(seen, expected)
            parent = seen.tasks.get(seen.ancestors[0]) if seen.ancestors else None
            if task.deleted_at and parent is not None and parent.deleted_at:
                raise conflict("Restore the parent task first.", "id")
            together = [one for one in seen.descendants if one.deleted_at == task.deleted_at]
            back = [*reversed(together), task] if task.deleted_at else []
            return _moved(seen, "task.restored", task, back, at, deleted_at=None)

        needs = Needs(task=id, subtree=True, ancestors_of=id)
        return await self._mutations.run(command, needs, decide)


def _needs(patch: TaskPatch, place: Place) -> Needs:
    if place.after and place.before:
        raise invalid("Give afterId or beforeId, not both.", "input", "position")
    tags = frozenset() if isinstance(patch.tags, Keep) else patch.tags or frozenset()
    wanted = tags | patch.add_tags
    if len(wanted) > tasks.TAGS_MAX:
        raise over_limit(f"A task has at most {tasks.TAGS_MAX} tags.", "input", "tagIds")
    parent = None if isinstance(patch.parent, Keep) else patch.parent
    assignee = None if isinstance(patch.assignee, Keep) else patch.assignee
    return Needs(
        tasks=(parent,) if parent else (),
        ancestors_of=parent,
        category=None if isinstance(patch.category, Keep) else patch.category,
        tags=tuple(wanted),
        users=(assignee,) if assignee else (),
        after=place.after,
        before=place.before,
    )


def _require_editor(seen: Seen, field: str, message: str) -> None:
    if seen.workspace is None:
        raise not_found(message, field)
    require(seen.role, Role.MEMBER, "make you a member who may change its tasks")


def _editable(seen: Seen, expected: int | None) -> Task:
    """Returns the task asked for; raises what refuses its change."""
    if seen.task is None:
        raise not_found("There is no such task.", "id")
    _require_editor(seen, "id", "There is no such task.")
    tasks.require_version(
        seen.task, expected, tasks.task_state(seen.task, _display(seen.task, seen))
    )
    return seen.task


def _display(task: Task, seen: Seen) -> Display:
    tags = (seen.labels.get(tag) for tag in task.tag_ids)
    return Display(
        category=seen.labels.get(task.category_id) if task.category_id else None,
        tags=tuple(tag for tag in tags if tag is not None),
        assignee=seen.users.get(task.assignee_id) if task.assignee_id else None,
    )


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


def _parent_seen(task: Task, seen: Seen) -> dict[TaskId, int]:
    """Returns the parent's version: it may not be deleted between load and flush."""
    return {task.parent_id: seen.tasks[task.parent_id].version} if task.parent_id else {}


def _changed(seen: Seen, kind: str, old: Task, new: Task, at: datetime) -> Decision:
    before = _display(old, seen)
    found = tasks.changed(kind, old, before, new, _display(new, seen))
    if found is None:
        return Decision(writes=_writes(seen, old, at, ()), state=tasks.task_state(old, before))
    grown, fact = found
    writes = replace(_writes(seen, old, at, (fact,)), tasks=(grown,), seen={old.id: old.version})
    return Decision(writes=writes, state=fact.state)


def _moved(
    seen: Seen,
    kind: str,
    task: Task,
    moving: Iterable[Task],
    at: datetime,
    deleted_at: datetime | None,
) -> Decision:
    """Moves tasks into or out of the trash in one commit; the one asked for comes last."""
    if len(seen.descendants) > tasks.SUBTREE_MAX:
        message = f"Move subtasks away first: at most {tasks.SUBTREE_MAX} go along."
        raise over_limit(message, "id")
    changes = [
        tasks.changed(
            kind, one, _display(one, seen),
            replace(one, deleted_at=deleted_at, updated_at=at), _display(one, seen),
        )
        for one in moving
    ]  # fmt: skip
    found = [change for change in changes if change is not None]
    facts = tuple(fact for _, fact in found)
    writes = replace(
        _writes(seen, task, at, facts),
        tasks=tuple(grown for grown, _ in found),
        seen={one.id: one.version for one in (task, *seen.descendants)},
        tree_rev=seen.tree_rev,
        tree_moved=bool(facts),
    )
    state = facts[-1].state if facts else tasks.task_state(task, _display(task, seen))
    return Decision(writes=writes, state=state)


def _given(title: str | Keep | None) -> str | None:
    return None if isinstance(title, Keep) else title


def _patched(task: Task, patch: TaskPatch, seen: Seen, at: datetime) -> Task:
    """Returns the task with the patch applied; collects what is wrong with every field."""
    steps: tuple[Callable[[Task], Task], ...] = (
        lambda task: _titled(task, patch),
        lambda task: _described(task, patch),
        lambda task: _staged(task, patch, at),
        lambda task: _dated(task, patch, seen),
        lambda task: _labelled(task, patch, seen),
        lambda task: _assigned(task, patch, seen),
        lambda task: _nested(task, patch, seen),
        lambda task: _placed(task, patch, seen),
    )
    problems: list[Problem] = []
    new = task
    for step in steps:
        try:
            new = step(new)
        except Refused as refused:
            problems.extend(refused.problems)
    if problems:
        raise Refused(*problems)
    return new if new == task else replace(new, updated_at=at)


def _titled(task: Task, patch: TaskPatch) -> Task:
    if isinstance(patch.title, Keep):
        return task
    title = text.line(patch.title, ("input", "title"), longest=tasks.TITLE_MAX_CHARS)
    return replace(task, title=title)


def _described(task: Task, patch: TaskPatch) -> Task:
    if isinstance(patch.description, Keep):
        return task
    path, longest = ("input", "description"), tasks.DESCRIPTION_MAX_CHARS
    return replace(task, description=text.body(patch.description, path, longest=longest))


def _staged(task: Task, patch: TaskPatch, at: datetime) -> Task:
    if patch.status is None:
        raise invalid("This may not be null.", "input", "status")
    if patch.priority is None:
        raise invalid("This may not be null.", "input", "priority")
    staged = task if isinstance(patch.status, Keep) else tasks.with_status(task, patch.status, at)
    return staged if isinstance(patch.priority, Keep) else replace(staged, priority=patch.priority)


def _dated(task: Task, patch: TaskPatch, seen: Seen) -> Task:
    if isinstance(patch.due, Keep):
        return task
    return replace(task, due=None if patch.due is None else _due(patch.due, seen.actor_zone))


def _due(draft: DueDraft, own_zone: str) -> Due:
    if draft.at is None and draft.fold:
        raise invalid("fold picks between two equal times: give a time.", "input", "due", "fold")
    try:
        return due(draft.day, draft.at, draft.zone or ZoneInfo(own_zone), fold=draft.fold)
    except OverflowError as error:
        raise invalid("Choose a date in the years 1 to 9998.", "input", "due", "date") from error


def _labelled(task: Task, patch: TaskPatch, seen: Seen) -> Task:
    new = task
    if not isinstance(patch.category, Keep):
        category = None if patch.category is None else seen.labels.get(patch.category)
        if patch.category is not None and (category is None or category.kind != "category"):
            raise not_found("There is no such category.", "input", "categoryId")
        new = replace(new, category_id=patch.category)
    if patch.tags is None:
        raise invalid("This may not be null; an empty list clears it.", "input", "tagIds")
    kept = task.tag_ids if isinstance(patch.tags, Keep) else patch.tags
    field = "addTagIds" if patch.add_tags else "tagIds"
    tags = (kept | patch.add_tags) - patch.remove_tags
    for tag in tags - task.tag_ids:
        label = seen.labels.get(tag)
        if label is None or label.kind != "tag":
            raise not_found("There is no such tag.", "input", field)
    if len(tags) > tasks.TAGS_MAX:
        raise over_limit(f"A task has at most {tasks.TAGS_MAX} tags.", "input", field)
    return replace(new, tag_ids=tags)


def _assigned(task: Task, patch: TaskPatch, seen: Seen) -> Task:
    if isinstance(patch.assignee, Keep) or patch.assignee == task.assignee_id:
        return task
    if patch.assignee is not None and patch.assignee not in seen.members:
        raise not_found("There is no such member of the workspace.", "input", "assigneeId")
    return replace(task, assignee_id=patch.assignee)


def _nested(task: Task, patch: TaskPatch, seen: Seen) -> Task:
    if isinstance(patch.parent, Keep) or patch.parent == task.parent_id:
        return task
    if patch.parent is not None:
        if patch.parent == task.id or any(one.id == patch.parent for one in seen.descendants):
            raise conflict("A task cannot lie below itself.", "input", "parentId")
        parent = seen.tasks.get(patch.parent)
        if parent is None or parent.deleted_at is not None:
            raise not_found("There is no such task.", "input", "parentId")
        # The parent's ancestors, the parent, this task, and what lies below it.
        if len(seen.ancestors) + 2 + seen.subtree_depth > tasks.DEPTH_MAX:
            raise over_limit(f"Tasks nest at most {tasks.DEPTH_MAX} deep.", "input", "parentId")
    return replace(task, parent_id=patch.parent)


def _placed(task: Task, patch: TaskPatch, seen: Seen) -> Task:
    if isinstance(patch.place, Keep):
        return task
    place = patch.place
    if place is None:
        raise invalid("This may not be null.", "input", "position")
    _require_neighbours(task, place, seen)
    if _is_there(task, place, seen):
        return task
    key = positions.between(seen.low, seen.high, task.id)
    if len(key) > positions.KEY_MAX_LENGTH:
        message = "Too many tasks were put between these two: move one of them first."
        raise over_limit(message, "input", "position")
    return replace(task, position=key)


def _require_neighbours(task: Task, place: Place, seen: Seen) -> None:
    for neighbour, field in ((place.after, "afterId"), (place.before, "beforeId")):
        if neighbour is None:
            continue
        if neighbour == task.id:
            raise invalid("Name another task than this one.", "input", "position", field)
        if neighbour not in seen.tasks or seen.tasks[neighbour].deleted_at is not None:
            raise not_found("There is no such task.", "input", "position", field)


def _is_there(task: Task, place: Place, seen: Seen) -> bool:
    """Tells whether the task has that place already; moving it would only renumber it."""
    if not task.position:
        return False
    if place.after is not None:
        return seen.high == task.position
    return seen.low == task.position
