"""What of a task shall change: what deciding it must see, and the task with all of it applied."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from enum import Enum
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

from domain import positions, tasks, text
from domain.due import Due, due
from domain.errors import (
    Code,
    Problem,
    Problems,
    Refused,
    conflict,
    invalid,
    not_found,
    over_limit,
)
from domain.ids import CategoryId, TagId, TaskId, UserId
from domain.labels import Kind
from domain.ports import Claim, Needs, Seen
from domain.recurrence_draft import RecurrenceDraft
from domain.tasks import Priority, Status, Task


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
    recurrence: RecurrenceDraft | Keep | None = KEEP


def needs_of(patch: TaskPatch) -> Needs:
    """Returns what `patched` looks at, besides the task itself."""
    place = patch.place if isinstance(patch.place, Place) else None
    tags = _wanted_tags(patch)
    parent = None if isinstance(patch.parent, Keep) else patch.parent
    assignee = None if isinstance(patch.assignee, Keep) else patch.assignee
    return Needs(
        tasks=(parent,) if parent else (),
        ancestors_of=parent,
        category=None if isinstance(patch.category, Keep) else patch.category,
        # More than a task may have are refused whatever they are.
        tags=tuple(tags) if len(tags) <= tasks.TAGS_MAX else (),
        users=(assignee,) if assignee else (),
        after=place.after if place else None,
        before=place.before if place else None,
        end=place is not None and not (place.after or place.before),
    )


def patched(task: Task, patch: TaskPatch, seen: Seen, at: datetime) -> Task:
    """Returns the task with the patch applied; collects what is wrong with every field."""
    steps: tuple[Callable[[Task], Task], ...] = (
        lambda task: _titled(task, patch),
        lambda task: _described(task, patch),
        lambda task: _staged(task, patch, at),
        lambda task: _prioritised(task, patch),
        lambda task: _dated(task, patch, seen),
        lambda task: _categorised(task, patch, seen),
        lambda task: _tagged(task, patch, seen),
        lambda task: _assigned(task, patch, seen),
        lambda task: _nested(task, patch, seen),
        lambda task: _placed(task, patch, seen),
    )
    problems = Problems()
    new = task
    for step in steps:
        new = problems.of(partial(step, new)) or new
    if problems.found:
        raise problems.refusal()
    return new if new == task else replace(new, updated_at=at)


def claims_of(old: Task, new: Task, patch: TaskPatch, seen: Seen) -> tuple[Claim, ...]:
    """Returns the position that the patched task takes, if it takes another."""
    if new.position == old.position or not isinstance(patch.place, Place):
        return ()
    neighbour = patch.place.after or patch.place.before
    beside = seen.tasks[neighbour].position if neighbour else None
    return (Claim(task=new.id, position=new.position, beside=beside),)


def relied_on(new: Task, patch: TaskPatch, seen: Seen) -> dict[TaskId, int]:
    """Returns the versions of the tasks that the patched one is put below and beside."""
    place = patch.place if isinstance(patch.place, Place) else Place()
    parent = None if isinstance(patch.parent, Keep) else new.parent_id
    others = (parent, place.after, place.before)
    return {one: seen.tasks[one].version for one in others if one is not None}


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
    return task if isinstance(patch.status, Keep) else tasks.with_status(task, patch.status, at)


def _prioritised(task: Task, patch: TaskPatch) -> Task:
    if patch.priority is None:
        raise invalid("This may not be null.", "input", "priority")
    return task if isinstance(patch.priority, Keep) else replace(task, priority=patch.priority)


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


def _categorised(task: Task, patch: TaskPatch, seen: Seen) -> Task:
    if isinstance(patch.category, Keep):
        return task
    if patch.category is not None and not _is_there(patch.category, "category", seen):
        raise not_found("There is no such category.", "input", "categoryId")
    return replace(task, category_id=patch.category)


def _tagged(task: Task, patch: TaskPatch, seen: Seen) -> Task:
    if patch.tags is None:
        raise invalid("This may not be null; an empty list clears it.", "input", "tagIds")
    kept = task.tag_ids if isinstance(patch.tags, Keep) else patch.tags
    tags = (kept | patch.add_tags) - patch.remove_tags
    if max(len(tags), len(_wanted_tags(patch))) > tasks.TAGS_MAX:
        field = "addTagIds" if isinstance(patch.tags, Keep) else "tagIds"
        raise over_limit(f"A task has at most {tasks.TAGS_MAX} tags.", "input", field)
    unknown = {tag for tag in tags - task.tag_ids if not _is_there(tag, "tag", seen)}
    sources = (("tagIds", kept), ("addTagIds", patch.add_tags))
    if missing := [field for field, source in sources if not unknown.isdisjoint(source)]:
        message = "There is no such tag."
        raise Refused(*(Problem(Code.NOT_FOUND, message, ("input", field)) for field in missing))
    return replace(task, tag_ids=tags)


def _wanted_tags(patch: TaskPatch) -> frozenset[TagId]:
    tags = frozenset() if isinstance(patch.tags, Keep) else patch.tags or frozenset()
    return tags | patch.add_tags


def _is_there(id: UUID, kind: Kind, seen: Seen) -> bool:
    label = seen.labels.get(id)
    return label is not None and label.kind == kind


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
        if task.id in (patch.parent, *seen.ancestors):
            raise conflict("A task cannot lie below itself.", "input", "parentId")
        parent = seen.tasks.get(patch.parent)
        if parent is None or parent.deleted_at is not None:
            raise not_found("There is no such task.", "input", "parentId")
        # The parent's ancestors, the parent, this task, and what lies below it.
        if len(seen.ancestors) + 2 + seen.height > tasks.DEPTH_MAX:
            raise over_limit(f"Tasks nest at most {tasks.DEPTH_MAX} deep.", "input", "parentId")
    return replace(task, parent_id=patch.parent)


def _placed(task: Task, patch: TaskPatch, seen: Seen) -> Task:
    if isinstance(patch.place, Keep):
        return task
    place = patch.place
    if place is None:
        raise invalid("This may not be null.", "input", "position")
    _require_neighbours(task, place, seen)
    if _is_placed(task, place, seen):
        return task
    key = positions.between(seen.low, seen.high, task.id)
    if len(key) > positions.KEY_MAX_LENGTH:
        message = "Too many tasks were put between these two: move one of them first."
        raise over_limit(message, "input", "position")
    return replace(task, position=key)


def _require_neighbours(task: Task, place: Place, seen: Seen) -> None:
    if place.after is not None and place.before is not None:
        raise invalid("Give afterId or beforeId, not both.", "input", "position")
    neighbour, field = (place.after, "afterId") if place.after else (place.before, "beforeId")
    if neighbour is None:
        return
    if neighbour == task.id:
        raise invalid("Name another task than this one.", "input", "position", field)
    if neighbour not in seen.tasks or seen.tasks[neighbour].deleted_at is not None:
        raise not_found("There is no such task.", "input", "position", field)


def _is_placed(task: Task, place: Place, seen: Seen) -> bool:
    """Tells whether the task has that place already; moving it would only renumber it."""
    if not task.position:
        return False
    if place.after is not None:
        return seen.high == task.position
    return seen.low == task.position
