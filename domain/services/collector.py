"""Collects what one flush writes, where that is more than one task."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from domain import positions, tasks
from domain import series as rules
from domain.changes import Fact
from domain.ids import SeriesId, TaskId, WorkspaceId
from domain.personal import NOTHING, LedgerWrites
from domain.ports import Claim, Seen, Writes
from domain.series import LedgerSlot, Series
from domain.services import ringing
from domain.services.showing import display
from domain.tasks import Task


@dataclass(kw_only=True)
class Collector:
    """Tasks, series and slots as they are written, and the changes that tell of them, in order."""

    workspace: WorkspaceId
    seen: Seen
    at: datetime
    facts: list[Fact] = field(default_factory=list)
    tasks_new: list[Task] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    series_new: list[Series] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    slots_new: list[LedgerSlot] = field(default_factory=list)
    slots: list[LedgerSlot] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    versions: dict[TaskId, int] = field(default_factory=dict)
    revs: dict[SeriesId, int] = field(default_factory=dict)
    ledger: LedgerWrites = NOTHING
    _low: str | None = None

    def __post_init__(self) -> None:
        self._low = self.seen.low

    def create(self, task: Task) -> Task:
        """Adds a new task, at the end of all others."""
        placed = self.placed(task)
        self.tasks_new.append(placed)
        self.facts.append(tasks.created(placed, display(placed, self.seen)))
        return placed

    def placed(self, task: Task) -> Task:
        """Returns the task at the end of all others."""
        self._low = positions.between(self._low, None, task.id)
        self.claims.append(Claim(task=task.id, position=self._low))
        return replace(task, position=self._low)

    def change(self, kind: str, old: Task, new: Task) -> Fact | None:
        """Adds what a task becomes; nothing where that is what it is."""
        before, after = display(old, self.seen), display(new, self.seen)
        found = tasks.changed(kind, old, before, replace(new, updated_at=self.at), after)
        if found is None:
            return None
        grown, fact = found
        self.tasks.append(grown)
        self.facts.append(fact)
        self.versions[old.id] = old.version
        self.ledger |= ringing.followed(self.seen, ((old, grown),), self.at)
        return fact

    def turn(self, old: Series, new: Series) -> None:
        """Adds where a series stands now, which the log does not tell of."""
        self.series.append(replace(new, rev=old.rev + 1))
        self.revs[old.id] = old.rev

    def change_series(self, kind: str, old: Series, new: Series) -> Fact | None:
        """Adds what a series becomes."""
        written, fact = rules.changed(kind, old, new)
        self.series.append(written)
        self.revs[old.id] = old.rev
        if fact is not None:
            self.facts.append(fact)
        return fact

    def writes(self, subject: UUID) -> Writes:
        """Returns all of it."""
        return Writes(
            workspace=self.workspace,
            subject=subject,
            at=self.at,
            actor=self.seen.actor,
            facts=tuple(self.facts),
            roles_rev=self.seen.roles_rev,
            labels_rev=self.seen.labels_rev,
            tree_moved=any(one.parent_id is not None for one in self.tasks_new),
            seen=self.versions,
            claims=tuple(self.claims),
            tasks_new=tuple(self.tasks_new),
            tasks=tuple(self.tasks),
            series_seen=self.revs,
            series_new=tuple(self.series_new),
            series=tuple(self.series),
            slots_new=tuple(self.slots_new),
            slots=tuple(self.slots),
            ledger=self.ledger,
        )
