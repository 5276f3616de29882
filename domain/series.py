"""Series: what repeats, which task is its latest occurrence, and what its changes show; pure."""

from dataclasses import dataclass, replace
from datetime import datetime, time
from enum import StrEnum
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.changes import Fact, State
from domain.errors import Code, Problem, Refused, conflict
from domain.ids import CategoryId, SeriesId, TagId, TaskId, UserId, WorkspaceId
from domain.recurrence.describe import describe
from domain.recurrence.policies import Policies
from domain.recurrence.rrule_text import text_of
from domain.recurrence.rule import Cron, LocalStart, Rule
from domain.recurrence.schedule import Schedule, schedule
from domain.tasks import Priority, Task, instant_text

# Slots to come that somebody skipped: as many as a year has days, and some.
SKIPPED_MAX = 500
# The origin of a slot that no completion led to.
NO_ORIGIN: Final = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """When something recurs."""

    rule: Rule
    start: LocalStart
    zone: ZoneInfo
    policies: Policies

    @property
    def schedule(self) -> Schedule:
        """The schedule, ready to be asked."""
        return schedule(self.rule, self.start, self.zone, self.policies)

    @property
    def count(self) -> int | None:
        """How often it recurs, where the rule says so."""
        return None if isinstance(self.rule.pattern, Cron) else self.rule.pattern.count

    @property
    def summary(self) -> str:
        """What it means, in English."""
        return describe(self.rule, self.start, self.policies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What a new occurrence is like."""

    title: str
    description: str
    priority: Priority
    category_id: CategoryId | None
    tag_ids: frozenset[TagId]
    assignee_id: UserId | None
    parent_id: TaskId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series.

    `current` is its latest occurrence; `done_until` the instant up to which its slots were made or
    passed over; `next_at` when there is something to do: None while it is paused, over, or waits
    for the occurrence to be closed. `made` counts occurrences; `skipped` are the texts of slots
    that somebody skipped before they came. `version` grows with every change
    that the log tells, `rev` with every write: what decides about a series relies on it.
    """

    id: SeriesId
    workspace_id: WorkspaceId
    recurrence: Recurrence
    template: Template
    current: TaskId
    done_until: datetime
    next_at: datetime | None
    made: int = 1
    skipped: frozenset[str] = frozenset()
    is_paused: bool = False
    ended_at: datetime | None = None
    version: int = 1
    rev: int = 1

    @property
    def is_running(self) -> bool:
        """Whether it makes occurrences at all."""
        return not self.is_paused and self.ended_at is None


class SlotState(StrEnum):
    """What became of a slot; what became of a spawned one since then, its task says."""

    SPAWNED = "SPAWNED"
    SKIPPED = "SKIPPED"
    """By a person."""
    MISSED = "MISSED"
    """Passed over after downtime, or replaced by the next."""
    WITHDRAWN = "WITHDRAWN"
    """Taken back, since what led to it was undone; it may come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSlot:
    """A row of the ledger: no slot of a series is there twice for one origin.

    `origin` is the occurrence whose completion led to the slot, where the series counts from
    completions; else NO_ORIGIN. A row that is there already may be named by its task, without an
    origin, and keeps its instant where none is given.
    """

    series_id: SeriesId
    slot: str
    origin: UUID | None
    instant: datetime | None
    state: SlotState
    task_id: TaskId | None


# Attributes whose change is a change of the series, in the order in which `fields` names them.
OWN: Final = ("recurrence", "template", "skipped", "is_paused", "ended_at")


def template_of(task: Task) -> Template:
    """Returns what later occurrences take over from the task."""
    return Template(
        title=task.title,
        description=task.description,
        priority=task.priority,
        category_id=task.category_id,
        tag_ids=task.tag_ids,
        assignee_id=task.assignee_id,
        parent_id=task.parent_id,
    )


def clock_text(at: time | None) -> str | None:
    """Returns a start's time as HH:MM, or HH:MM:SS where it has seconds."""
    return None if at is None else at.isoformat("seconds" if at.second else "minutes")


def recurrence_state(recurrence: Recurrence) -> State:
    """Returns a recurrence as its series' state shows it."""
    is_cron = isinstance(recurrence.rule.pattern, Cron)
    text, policies = text_of(recurrence.rule), recurrence.policies
    return {
        "rule": None if is_cron else text,
        "cron": text if is_cron else None,
        "start": {
            "date": recurrence.start.day.isoformat(),
            "time": clock_text(recurrence.start.at),
        },
        "time_zone": recurrence.zone.key,
        "policies": {
            "gap": policies.gap.name,
            "overlap": policies.overlap.name,
            "month_end": policies.month_end.name,
            "anchor": policies.anchor.name,
            "catch_up": policies.catch_up.name,
            "open": policies.open.name,
        },
    }


def series_state(series: Series) -> State:
    """Returns the whole series as its changes show it.

    `next_at` is left out: it moves with every occurrence, which is a change of the task's.
    """
    own = series.template
    return {
        "id": str(series.id),
        "workspace_id": str(series.workspace_id),
        "recurrence": recurrence_state(series.recurrence),
        "summary": series.recurrence.summary,
        "skipped": sorted(series.skipped),
        "is_paused": series.is_paused,
        "ended_at": instant_text(series.ended_at),
        "version": series.version,
        "template": {
            "title": own.title,
            "description": own.description,
            "priority": own.priority.name,
            "category_id": None if own.category_id is None else str(own.category_id),
            "tag_ids": sorted(str(tag) for tag in own.tag_ids),
            "assignee_id": None if own.assignee_id is None else str(own.assignee_id),
            "parent_id": None if own.parent_id is None else str(own.parent_id),
        },
    }


def created(series: Series) -> Fact:
    """Returns the change of a new series."""
    state = series_state(series)
    fields = ("recurrence", "template")
    return Fact(kind="series.created", subject=series.id, fields=fields, before={}, state=state)


def changed(kind: str, old: Series, new: Series) -> tuple[Series, Fact | None]:
    """Returns the series as it is written, and the change to it where the log tells of one."""
    written = replace(new, rev=old.rev + 1)
    before, after = series_state(old), series_state(new)
    fields = tuple(name for name in OWN if before[name] != after[name])
    if not fields:
        return written, None
    written = replace(written, version=old.version + 1)
    fact = Fact(
        kind=kind,
        subject=old.id,
        fields=fields,
        before={name: before[name] for name in fields},
        state={**after, "version": written.version},
    )
    return written, fact


def require_version(series: Series, expected: int | None) -> None:
    """Raises Refused (STALE_VERSION), with the current state, unless the version is expected."""
    if expected is None or expected == series.version:
        return
    message = f"The series has version {series.version} by now: look at it and send that version."
    problem = Problem(Code.STALE_VERSION, message, ("input", "expectedVersion"))
    raise Refused(problem, current=series_state(series))


def require_going_on(series: Series) -> None:
    """Raises Refused (CONFLICT) where the series has ended."""
    if series.ended_at is not None:
        raise conflict("The series has ended: make the task recurring again.", "id")
