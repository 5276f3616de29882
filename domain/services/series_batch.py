"""The turns of several series of one workspace, as what one flush writes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from uuid import UUID

from domain import positions, tasks
from domain import series as rules
from domain.changes import Fact
from domain.ids import SeriesId, TaskId, WorkspaceId
from domain.labels import Kind
from domain.personal import NOTHING, LedgerWrites
from domain.ports import Claim, Seen, SeenSeries, Writes
from domain.recurrence.policies import Anchor, Open
from domain.recurrence.series import CATCH_UP_MAX
from domain.recurrence.slots import Slot, occurrence_id
from domain.series import NO_ORIGIN, LedgerSlot, Series, SlotState
from domain.services import ringing
from domain.services.showing import display
from domain.spawning import Step, fresh, occurrence, passed_over, step
from domain.tasks import SUBTREE_MAX, Status, Task

# Of one commit, as everywhere; an occurrence with its subtasks is never parted.
CHANGES_MAX = 1_000
# More are replaced by the next turns.
REPLACED_MAX = CHANGES_MAX // 2


@dataclass(kw_only=True)
class Batch:
    """Collects what turns lead to; `own_ids` gives occurrences the ids that their slots have.

    `left` are series for which there was no room any more.
    """

    workspace: WorkspaceId
    seen: Seen
    at: datetime
    new_id: Callable[[], UUID]
    own_ids: bool = True
    left: list[SeriesId] = field(default_factory=list)
    made: int = 0
    _facts: list[Fact] = field(default_factory=list)
    _tasks_new: list[Task] = field(default_factory=list)
    _tasks: list[Task] = field(default_factory=list)
    _series: list[Series] = field(default_factory=list)
    _slots_new: list[LedgerSlot] = field(default_factory=list)
    _slots: list[LedgerSlot] = field(default_factory=list)
    _claims: list[Claim] = field(default_factory=list)
    _versions: dict[TaskId, int] = field(default_factory=dict)
    _ledger: LedgerWrites = NOTHING
    _revs: dict[SeriesId, int] = field(default_factory=dict)
    _low: str | None = None

    def __post_init__(self) -> None:
        self._low = self.seen.low

    def take(self, one: SeenSeries) -> None:
        """Adds the series' turn."""
        series = one.series
        if not series.is_running:
            return
        own = series.template.parent_id
        if own is not None and one.parent is None:
            # Its place is in the trash: restored, it goes on with what comes then.
            self._write(one, passed_over(series, self.at))
            return
        room = (CHANGES_MAX - len(self._facts)) // (1 + min(len(one.below), SUBTREE_MAX - 1))
        if room < 1:
            self.left.append(series.id)
            return
        found = step(
            series,
            self.at,
            current=one.current,
            skipped=one.skipped,
            room=min(room, CATCH_UP_MAX),
        )
        self._write(one, found)

    def writes(self) -> Writes | None:
        """Returns what is to be flushed, None where there is nothing."""
        if not self._series:
            return None
        return Writes(
            workspace=self.workspace,
            subject=self._series[0].id,
            at=self.at,
            actor=None,
            facts=tuple(self._facts),
            roles_rev=self.seen.roles_rev,
            labels_rev=self.seen.labels_rev,
            tree_moved=any(one.parent_id is not None for one in self._tasks_new),
            seen=self._versions,
            claims=tuple(self._claims),
            tasks_new=tuple(self._tasks_new),
            tasks=tuple(self._tasks),
            series_seen=self._revs,
            series=tuple(self._series),
            slots_new=tuple(self._slots_new),
            slots=tuple(self._slots),
            ledger=self._ledger,
        )

    def _write(self, one: SeenSeries, found: Step) -> None:
        old = one.series
        new = replace(old, done_until=found.done_until, next_at=found.next_at)
        for slot in found.spawn:
            new = replace(new, current=self._occurrence(one, slot), made=new.made + 1)
        for slot in found.missed:
            self._keep(one, slot, SlotState.MISSED, None)
        if found.replaces:
            self._replace(one, found.spawn)
        if found.ends:
            new, fact = rules.changed("series.ended", old, replace(new, ended_at=self.at))
            self._facts += [fact] if fact else []
        elif new != old:
            new = replace(new, rev=old.rev + 1)
        else:
            return
        self._series.append(new)
        self._revs[old.id] = old.rev
        self._rely_on(one)

    def _rely_on(self, one: SeenSeries) -> None:
        policies, parent = one.series.recurrence.policies, one.series.template.parent_id
        by_state = policies.anchor is Anchor.COMPLETION or policies.open is not Open.ALLOW
        if by_state and one.current is not None:
            self._versions[one.current.id] = one.current.version
        if parent is not None and one.parent is not None:
            self._versions[parent] = one.parent

    def _occurrence(self, one: SeenSeries, slot: Slot) -> TaskId:
        """Makes the slot's occurrence, or brings back the one that was withdrawn."""
        withdrawn = one.withdrawn.get((slot.text, _origin(one.series)))
        if withdrawn:
            self._restore(withdrawn)
            self._keep(one, slot, SlotState.SPAWNED, withdrawn[0].id)
            return withdrawn[0].id
        made = occurrence(one.series, slot, self._id(one.series, slot), self.at)
        placed = self._create(made)
        if one.current is not None:
            self._ledger |= ringing.carried(self.seen, one.current.id, placed, self.at, self.new_id)
            copies = fresh(made, one.current, one.below, self.new_id)
            for copy in islice(copies, SUBTREE_MAX - 1):
                self._create(copy)
        self._keep(one, slot, SlotState.SPAWNED, made.id)
        self.made += 1
        return made.id

    def _id(self, series: Series, slot: Slot) -> TaskId:
        if not self.own_ids:
            # Somebody has brought a task of that very id. The ledger holds the slot all the same.
            return TaskId(self.new_id())
        origin = _origin(series)
        return TaskId(occurrence_id(series.id, slot, None if origin == NO_ORIGIN else origin))

    def _create(self, task: Task) -> Task:
        placed = self._placed(self._known(task))
        self._tasks_new.append(placed)
        self._facts.append(tasks.created(placed, display(placed, self.seen)))
        return placed

    def _known(self, task: Task) -> Task:
        """Returns the task without what is no longer there: labels, and whoever has left."""
        category, assignee = task.category_id, task.assignee_id
        return replace(
            task,
            category_id=category if self._is_there(category, "category") else None,
            tag_ids=frozenset(tag for tag in task.tag_ids if self._is_there(tag, "tag")),
            assignee_id=assignee if assignee in self.seen.members else None,
        )

    def _is_there(self, id: UUID | None, kind: Kind) -> bool:
        found = None if id is None else self.seen.labels.get(id)
        return found is not None and found.kind == kind

    def _placed(self, task: Task) -> Task:
        """Returns the task at the end of all others."""
        self._low = positions.between(self._low, None, task.id)
        self._claims.append(Claim(task=task.id, position=self._low))
        return replace(task, position=self._low)

    def _restore(self, withdrawn: Sequence[Task]) -> None:
        for old in withdrawn:
            if old.deleted_at is not None:
                self._change("task.restored", old, replace(self._placed(old), deleted_at=None))

    def _replace(self, one: SeenSeries, spawn: Sequence[Slot]) -> None:
        """Cancels what is open beside the latest; that too where a later one is due by now."""
        for old in self._replaced(one, spawn):
            self._change("task.updated", old, tasks.with_status(old, Status.CANCELLED, self.at))
            row = LedgerSlot(
                series_id=one.series.id,
                slot=old.slot or "",
                origin=NO_ORIGIN,
                instant=one.series.done_until,
                state=SlotState.MISSED,
                task_id=old.id,
            )
            self._slots.append(row)

    def _replaced(self, one: SeenSeries, spawn: Sequence[Slot]) -> Iterator[Task]:
        yield from one.open[:REPLACED_MAX]
        is_late = any(slot.instant <= self.at for slot in spawn)
        if is_late and one.current is not None and one.current.is_open:
            yield one.current

    def _change(self, kind: str, old: Task, new: Task) -> None:
        shown = display(old, self.seen)
        found = tasks.changed(kind, old, shown, replace(new, updated_at=self.at), shown)
        if found is not None:
            grown, fact = found
            self._tasks.append(grown)
            self._facts.append(fact)
            self._versions[old.id] = old.version
            self._ledger |= ringing.followed(self.seen, ((old, grown),), self.at)

    def _keep(self, one: SeenSeries, slot: Slot, state: SlotState, task: TaskId | None) -> None:
        origin = _origin(one.series)
        row = LedgerSlot(
            series_id=one.series.id,
            slot=slot.text,
            origin=origin,
            instant=slot.instant,
            state=state,
            task_id=task,
        )
        known = (slot.text, origin) in one.withdrawn
        (self._slots if known else self._slots_new).append(row)


def _origin(series: Series) -> UUID:
    counts = series.recurrence.policies.anchor is Anchor.COMPLETION
    return series.current if counts else NO_ORIGIN
