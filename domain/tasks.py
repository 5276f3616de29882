"""Tasks: what they are, and what may happen to them; pure rules."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from enum import IntEnum, StrEnum
from typing import Final

from domain.changes import Fact, State
from domain.due import Due
from domain.errors import Code, Problem, Refused, conflict
from domain.ids import CategoryId, SeriesId, TagId, TaskId, UserId, WorkspaceId
from domain.labels import Label, label_state
from domain.text import sort_key
from domain.workspaces import User

TITLE_MAX_CHARS = 500
# With every character escaped in JSON, a description stays below the payload's 900 kB.
DESCRIPTION_MAX_CHARS = 100_000
TAGS_MAX = 50
# Chains longer than this are a mistake or an attack; each level costs a step of a recursive query.
DEPTH_MAX = 20
# One deletion or restoration takes the subtasks along, as one commit of at most so many changes,
# whose states hold so many bytes of descriptions and tags: a quarter of a second's work.
SUBTREE_MAX = 1_000
SUBTREE_MAX_BYTES = 8_000_000
TAG_BYTES = 200


class Status(StrEnum):
    """Where a task stands."""

    OPEN = "OPEN"
    IN_PROGRESS = "IN_PROGRESS"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


class Priority(IntEnum):
    """How much a task matters; ordered."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2
    URGENT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task; `version` grows with every change of its own fields, tags and position.

    An occurrence has the series that it belongs to and the text of its slot there.
    """

    id: TaskId
    workspace_id: WorkspaceId
    title: str
    description: str
    status: Status
    priority: Priority
    due: Due | None
    category_id: CategoryId | None
    tag_ids: frozenset[TagId]
    assignee_id: UserId | None
    parent_id: TaskId | None
    position: str
    version: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    deleted_at: datetime | None
    series_id: SeriesId | None = None
    slot: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is still something to do, and it is not in the trash."""
        return self.deleted_at is None and self.status in (Status.OPEN, Status.IN_PROGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """What a task's state shows of the things it refers to."""

    category: Label | None
    tags: tuple[Label, ...]
    assignee: User | None


# Attributes whose change is a change of the task itself, in the order in which `fields` names them.
OWN: Final = (
    "title",
    "description",
    "status",
    "priority",
    "due",
    "category",
    "tags",
    "assignee",
    "parent",
    "position",
    "completed_at",
    "deleted_at",
    "occurrence",
)


def instant_text(at: datetime | None) -> str | None:
    """Returns RFC 3339 in UTC without trailing zeros in the fraction, as PostgreSQL writes JSON."""
    if at is None:
        return None
    text = at.astimezone(UTC).isoformat()
    return text if at.microsecond == 0 else text[:-6].rstrip("0") + text[-6:]


def due_state(due: Due | None) -> State | None:
    """Returns a due as its task's state shows it; the time is HH:MM, or HH:MM:SS."""
    if due is None:
        return None
    return {
        "date": due.day.isoformat(),
        "time": clock_text(due),
        "time_zone": due.zone,
        "fold": due.fold,
        "instant": instant_text(due.instant),
    }


def clock_text(due: Due) -> str | None:
    """Returns the local time as HH:MM, or HH:MM:SS where it has seconds."""
    return None if due.at is None else clock_form(due.at)


def clock_form(at: time) -> str:
    """Returns a time of day as HH:MM, or HH:MM:SS where it has seconds."""
    return at.isoformat("seconds" if at.second else "minutes")


def task_state(task: Task, display: Display) -> State:
    """Returns the whole task as its changes show it; tags by name."""
    tags = sorted(display.tags, key=lambda tag: (sort_key(tag.name), tag.id))
    person = display.assignee
    return {
        "id": str(task.id),
        "workspace_id": str(task.workspace_id),
        "title": task.title,
        "description": task.description,
        "status": task.status.name,
        "priority": task.priority.name,
        "due": due_state(task.due),
        "category": None if display.category is None else label_state(display.category),
        "tags": [label_state(tag) for tag in tags],
        "assignee": None if person is None else {"id": str(person.id), "name": person.name},
        "parent": None if task.parent_id is None else {"id": str(task.parent_id)},
        "position": task.position,
        "version": task.version,
        "created_at": instant_text(task.created_at),
        "updated_at": instant_text(task.updated_at),
        "completed_at": instant_text(task.completed_at),
        "deleted_at": instant_text(task.deleted_at),
        "series": None if task.series_id is None else {"id": str(task.series_id)},
        "occurrence": None
        if task.series_id is None
        else {"series_id": str(task.series_id), "slot": task.slot},
    }


def blank(id: TaskId, workspace: WorkspaceId, at: datetime) -> Task:
    """Returns a new task before anything was said about it; it needs a title and a position."""
    return Task(
        id=id,
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


def created(task: Task, display: Display) -> Fact:
    """Returns the change of a new task, a live one."""
    if task.deleted_at is not None:
        raise ValueError(f"{task.id} is deleted")
    state = task_state(task, display)
    fields = tuple(name for name in OWN if state[name] not in (None, []))
    return Fact(kind="task.created", subject=task.id, fields=fields, before={}, state=state)


def changed(
    kind: str, old: Task, old_display: Display, new: Task, new_display: Display
) -> tuple[Task, Fact] | None:
    """Returns the task with its next version and the change to it, or None where nothing differs.

    Args:
        kind: the change's kind, such as `task.updated`.
        old: the task as it was.
        old_display: what it referred to.
        new: the task as it shall be, with `updated_at` set and the version still the old one.
        new_display: what it refers to then.
    """
    before, after = task_state(old, old_display), task_state(new, new_display)
    fields = tuple(name for name in OWN if before[name] != after[name])
    if not fields:
        return None
    grown = replace(new, version=old.version + 1)
    fact = Fact(
        kind=kind,
        subject=new.id,
        fields=fields,
        before={name: before[name] for name in fields},
        state={**after, "version": grown.version},
    )
    return grown, fact


def with_status(task: Task, status: Status, at: datetime) -> Task:
    """Returns the task in that status; `completed_at` is kept while it stays DONE."""
    if status is task.status:
        return task
    completed_at = at if status is Status.DONE else None
    return replace(task, status=status, completed_at=completed_at, updated_at=at)


def require_version(task: Task, expected: int | None, state: State) -> None:
    """Raises Refused (STALE_VERSION), with the current state, unless the version is expected."""
    if expected is None or expected == task.version:
        return
    message = f"The task has version {task.version} by now: look at it and send that version."
    problem = Problem(Code.STALE_VERSION, message, ("input", "expectedVersion"))
    raise Refused(problem, current=state)


def require_live(task: Task) -> None:
    """Raises Refused (CONFLICT) where the task is in the trash."""
    if task.deleted_at is not None:
        raise conflict("The task is deleted: restore it first.", "id")
