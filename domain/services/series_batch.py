"""The turns of several series of one workspace, as what one flush writes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate, islice
from uuid import UUID

from domain import tasks
from domain.ids import SeriesId, TaskId, WorkspaceId
from domain.labels import Kind
from domain.ports import Seen, SeenSeries, Writes
from domain.recurrence.policies import Anchor, Open
from domain.recurrence.series import CATCH_UP_MAX
from domain.recurrence.slots import Slot, occurrence_id
from domain.series import NO_ORIGIN, LedgerSlot, Series, SlotState, Template
from domain.services import ringing
from domain.services.collector import Collector
from domain.spawning import Step, fresh, height, occurrence, passed_over, step
from domain.tasks import DEPTH_MAX, TAG_BYTES, Status, Task

# Of one commit, as everywhere; an occurrence with its subtasks is never parted.
CHANGES_MAX = 1_000
# What these may hold of titles, descriptions and tags: a flush has them three times, as they are,
# to be searched, and in the log. One occurrence that weighs more comes alone.
BYTES_MAX = 2_000_000


class Batch:
    """Collects what turns lead to.

    `left` are series for which there was no room any more.
    """

    def __init__(
        self,
        workspace: WorkspaceId,
        seen: Seen,
        at: datetime,
        new_id: Callable[[], UUID],
        *,
        own_ids: bool,
    ) -> None:
        """Takes what was seen; `own_ids` gives occurrences the ids that their slots have."""
        self.left: list[SeriesId] = []
        self._all = Collector(workspace=workspace, seen=seen, at=at)
        self._bytes = 0
        self._is_nested = False
        self._seen = seen
        self._at = at
        self._new_id = new_id
        self._own_ids = own_ids

    def take(self, one: SeenSeries) -> None:
        """Adds the series' turn."""
        series = one.series
        if not series.is_running:
            return
        if series.template.parent_id is not None and one.parent is None:
            # Its place is purged, and never comes back.
            self._write(one, Step(done_until=series.done_until, next_at=None, ends=True))
            return
        if one.parent is not None and not one.parent.is_live:
            # Its place is in the trash: restored, it goes on with what comes then.
            self._write(one, passed_over(series, self._at))
            return
        if room := self._room(one):
            self._step(one, room)
        else:
            self.left.append(series.id)

    def _step(self, one: SeenSeries, room: int) -> None:
        series = one.series
        found = step(
            series,
            self._at,
            current=one.current,
            cancelled_at=one.cancelled_at,
            room=min(room, CATCH_UP_MAX),
        )
        replaced = _replaced(one, found.spawn, self._at) if found.replaces else ()
        fitting = self._fitting(replaced, CHANGES_MAX - len(found.spawn) * _changes(one))
        if len(fitting) == len(replaced):
            self._write(one, found, replaced)
        elif self._all.facts:
            self.left.append(series.id)
        else:
            # These first: it stays due, and its next turn makes what is to be made.
            self._replace(one, fitting or replaced[:1])
            self._all.turn(series, series)

    def _room(self, one: SeenSeries) -> int:
        """Returns how many occurrences of the series this commit has room for."""
        weight = _weight(one.series.template) + sum(map(_weight, _copies(one)))
        room = min(
            (CHANGES_MAX - len(self._all.facts)) // _changes(one),
            (BYTES_MAX - self._bytes) // weight,
        )
        return max(room, 0 if self._all.facts else 1)

    def _fitting(self, replaced: Sequence[Task], changes: int) -> Sequence[Task]:
        """Returns the first of those that are replaced, as many as there is room for."""
        sizes = accumulate(map(_weight, replaced), initial=self._bytes)
        fit = sum(size <= BYTES_MAX for size in islice(sizes, 1, None))
        return replaced[: min(fit, max(changes - len(self._all.facts), 0))]

    def writes(self) -> Writes | None:
        """Returns what is to be flushed, None where there is nothing."""
        if not self._all.series:
            return None
        writes = self._all.writes(self._all.series[0].id)
        if self._is_nested:
            # How deep the parents lie was read from the tree.
            writes = replace(writes, tree_rev=self._seen.tree_rev, tree_moved=True)
        return writes

    def _write(self, one: SeenSeries, found: Step, replaced: Sequence[Task] = ()) -> None:
        old = one.series
        new = replace(old, done_until=found.done_until, next_at=found.next_at)
        for slot in found.spawn:
            new = replace(new, current=self._occurrence(one, slot), made=new.made + 1)
        for slot in found.missed:
            self._keep(one, slot, SlotState.MISSED, None)
        self._replace(one, replaced)
        if found.ends:
            self._all.change_series("series.ended", old, replace(new, ended_at=self._at))
        elif new != old:
            self._all.turn(old, new)
        else:
            return
        self._rely_on(one)

    def _rely_on(self, one: SeenSeries) -> None:
        policies, parent = one.series.recurrence.policies, one.series.template.parent_id
        by_state = policies.anchor is Anchor.COMPLETION or policies.open is not Open.ALLOW
        if by_state and one.current is not None:
            self._all.versions[one.current.id] = one.current.version
        if parent is not None and one.parent is not None:
            self._all.versions[parent] = one.parent.version

    def _occurrence(self, one: SeenSeries, slot: Slot) -> TaskId:
        """Makes the slot's occurrence, or brings back the one that was withdrawn."""
        self._is_nested |= one.parent is not None
        withdrawn = one.withdrawn.get((slot.text, _origin(one.series)))
        if withdrawn:
            top, *below = withdrawn
            self._restore(replace(top, parent_id=_parent(one, height(top.id, below))), top)
            for old in below:
                self._restore(old, old)
            self._keep(one, slot, SlotState.SPAWNED, top.id)
            return top.id
        copies = _copies(one)
        made = replace(
            occurrence(one.series, slot, self._id(one.series, slot), self._at),
            parent_id=_parent(one, height(one.series.current, copies)),
        )
        placed = self._create(made)
        if one.current is not None:
            self._all.ledger |= ringing.carried(
                self._seen, one.current.id, placed, self._at, self._new_id
            )
            for copy in fresh(made, one.current, copies, self._new_id):
                self._create(copy)
        self._keep(one, slot, SlotState.SPAWNED, made.id)
        return made.id

    def _restore(self, new: Task, old: Task) -> None:
        if old.deleted_at is not None:
            self._bytes += _weight(old)
            self._all.change("task.restored", old, replace(self._all.placed(new), deleted_at=None))

    def _create(self, task: Task) -> Task:
        known = self._known(task)
        self._bytes += _weight(known)
        return self._all.create(known)

    def _id(self, series: Series, slot: Slot) -> TaskId:
        if not self._own_ids:
            # Somebody has brought a task of that very id. The ledger holds the slot all the same.
            return TaskId(self._new_id())
        origin = _origin(series)
        return TaskId(occurrence_id(series.id, slot, None if origin == NO_ORIGIN else origin))

    def _known(self, task: Task) -> Task:
        """Returns the task without what is no longer there: labels, and whoever has left."""
        category, assignee = task.category_id, task.assignee_id
        return replace(
            task,
            category_id=category if self._is_there(category, "category") else None,
            tag_ids=frozenset(tag for tag in task.tag_ids if self._is_there(tag, "tag")),
            assignee_id=assignee if assignee in self._seen.members else None,
        )

    def _is_there(self, id: UUID | None, kind: Kind) -> bool:
        found = None if id is None else self._seen.labels.get(id)
        return found is not None and found.kind == kind

    def _replace(self, one: SeenSeries, replaced: Sequence[Task]) -> None:
        for old in replaced:
            self._bytes += _weight(old)
            self._all.change(
                "task.updated", old, tasks.with_status(old, Status.CANCELLED, self._at)
            )
            row = LedgerSlot(
                series_id=one.series.id,
                slot=old.slot or "",
                origin=None,
                instant=None,
                state=SlotState.MISSED,
                task_id=old.id,
            )
            self._all.slots.append(row)

    def _keep(self, one: SeenSeries, slot: Slot, state: SlotState, task: TaskId | None) -> None:
        row = LedgerSlot(
            series_id=one.series.id,
            slot=slot.text,
            origin=_origin(one.series),
            instant=slot.instant,
            state=state,
            task_id=task,
        )
        self._all.slots_new.append(row)


def _copies(one: SeenSeries) -> Sequence[Task]:
    """Returns the subtasks that come along: with the new and the old one, what one commit takes."""
    return one.below.get(one.series.current, ())[: CHANGES_MAX - 2]


def _changes(one: SeenSeries) -> int:
    """Returns how many tasks an occurrence of the series is, at most."""
    return max(1 + len(_copies(one)), *map(len, one.withdrawn.values()), 1)


def _replaced(one: SeenSeries, spawn: Sequence[Slot], at: datetime) -> Sequence[Task]:
    """Returns what is open beside the latest; that too where a later one is due by now."""
    is_late = any(slot.instant <= at for slot in spawn)
    if is_late and one.current is not None and one.current.is_open:
        return (*one.open, one.current)
    return one.open


def _parent(one: SeenSeries, height: int) -> TaskId | None:
    """Returns where an occurrence lies: at the top where it is too tall for its parent's depth."""
    if one.parent is None or one.parent.depth + 1 + height > DEPTH_MAX:
        return None
    return one.series.template.parent_id


def _weight(words: Task | Template) -> int:
    """Returns about how many bytes of words and tags a task has, one at least."""
    size = len(words.title.encode()) + len(words.description.encode())
    return 1 + size + TAG_BYTES * len(words.tag_ids)


def _origin(series: Series) -> UUID:
    counts = series.recurrence.policies.anchor is Anchor.COMPLETION
    return series.current if counts else NO_ORIGIN
