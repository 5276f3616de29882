"""Tasks: which rows a read means, and one use case for each mutation."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar, cast
from uuid import UUID

import orjson
import strawberry
from strawberry import UNSET, Maybe

from domain.errors import Problems
from domain.filter_input import parse
from domain.filters import Where, where
from domain.ids import CategoryId, TagId, TaskId, UserId, WorkspaceId
from domain.paging import order_for, page
from domain.ports import Command
from domain.reading import OneTask, TaskPage
from domain.reminders import Wanted
from domain.services.mutations import Outcome
from domain.services.occurrences import Scope
from domain.services.task_patch import KEEP, DueDraft, Keep, Place, TaskPatch
from resolvers.notifications import wanted_reminder
from resolvers.payloads import Payload, command, done, mutation, new_id, visible_id, wanted_id
from resolvers.series import recurrence_draft
from schema import tasks as t
from schema.context import RequestInfo
from schema.filters import TaskFilter, TaskOrder
from schema.planned import planned
from schema.scalars import Sequence

# Filters that have been read, by their text: a few kB each.
KNOWN_MAX = 1_000
KNOWN_MAX_BYTES = 1_000
_known: dict[bytes, Where] = {}

T = TypeVar("T")
U = TypeVar("U")


def _task(id: strawberry.ID, at_least: Sequence | None = UNSET) -> OneTask:
    return OneTask(id=TaskId(visible_id(id)), at_least=at_least or None)


def _tasks(  # noqa: PLR0913, PLR0917 - the arguments of the public field
    workspace_id: strawberry.ID,
    filter: TaskFilter | None = UNSET,
    order_by: list[TaskOrder] | None = UNSET,
    first: int | None = UNSET,
    after: str | None = UNSET,
    last: int | None = UNSET,
    before: str | None = UNSET,
    at_least: Sequence | None = UNSET,
) -> TaskPage:
    # The annotations make the schema; a plan's arguments are coerced values, inputs are mappings.
    wanted = _where(cast("Mapping[str, object] | None", filter or None))
    keys = cast("list[Mapping[str, object]] | None", order_by or None)
    orders = order_for(keys, wanted, "orderBy")
    return TaskPage(
        workspace=WorkspaceId(visible_id(workspace_id)),
        where=wanted,
        orders=orders,
        page=page(
            orders,
            first=_given(first),
            after=_given(after),
            last=_given(last),
            before=_given(before),
        ),
        at_least=at_least or None,
    )


def _where(given: Mapping[str, object] | None) -> Where:
    """Returns the filter; most requests bring one of a few, and reading one costs 20 us."""
    try:
        key = orjson.dumps(given)
    except TypeError:  # a lone surrogate, which the domain refuses and names the place of
        return where(parse(given, "filter"))
    found = _known.get(key)
    if found is None:
        found = where(parse(given, "filter"))
        if len(key) <= KNOWN_MAX_BYTES:
            if len(_known) >= KNOWN_MAX:
                del _known[next(iter(_known))]
            _known[key] = found
    return found


def _given(value: T | None) -> T | None:
    return None if value is UNSET else value


@strawberry.type
class TaskQuery:
    task: t.Task | None = planned(
        _task, t.Task | None, "Null where it is absent, or not in a workspace of the viewer's."
    )
    tasks: t.TaskConnection | None = planned(
        _tasks,
        t.TaskConnection | None,
        "Nulls last whatever the direction; the id breaks ties; TITLE orders by the code points of"
        " the NFKD-normalised, case-folded text. Without orderBy: POSITION, or RANK with a search."
        " DUE orders by `instant`, POSITION by code points. Deleted tasks only where the filter's"
        " top level names isDeleted.",
    )


@strawberry.type
class TaskMutation:
    @mutation(t.TaskCreatePayload, "Creates a task, at the end unless `position` says otherwise.")
    async def task_create(
        self, info: RequestInfo, workspace_id: strawberry.ID, input: t.TaskCreateInput
    ) -> Payload:
        workspace = WorkspaceId(wanted_id(workspace_id, "workspaceId"))
        problems = Problems()
        new = problems.of(lambda: new_id(input.id, "input", "id"))
        draft = _draft(input, _References(problems))
        reminders = _reminders(input, problems)
        who = command(info, input.client_mutation_id, problems)
        outcome = await info.context.use.tasks.create(who, workspace, new, draft, reminders)
        return await done(info, "task", outcome)

    @mutation(t.TaskUpdatePayload, "Changes what the input names, and nothing else.")
    async def task_update(
        self, info: RequestInfo, id: strawberry.ID, input: t.TaskUpdateInput
    ) -> Payload:
        task = TaskId(wanted_id(id, "id"))
        problems = Problems()
        patch = _patch(input, _References(problems))
        who = command(info, input.client_mutation_id, problems)
        outcome = await _updated(info, who, task, patch, input)
        return await done(info, "task", outcome)

    @mutation(t.TaskCompletePayload, "Completes a task. Completing it again changes nothing.")
    async def task_complete(
        self,
        info: RequestInfo,
        id: strawberry.ID,
        input: t.TaskCompleteInput | None = UNSET,
    ) -> Payload:
        carry_out = info.context.use.tasks.complete
        return await _carried_out(info, id, input or t.TaskCompleteInput(), carry_out)

    @mutation(t.TaskReopenPayload, "Opens a task that was done or cancelled.")
    async def task_reopen(
        self,
        info: RequestInfo,
        id: strawberry.ID,
        input: t.TaskReopenInput | None = UNSET,
    ) -> Payload:
        carry_out = info.context.use.tasks.reopen
        return await _carried_out(info, id, input or t.TaskReopenInput(), carry_out)

    @mutation(t.TaskDeletePayload, "Moves a task and its subtasks to the trash.")
    async def task_delete(
        self,
        info: RequestInfo,
        id: strawberry.ID,
        input: t.TaskDeleteInput | None = UNSET,
    ) -> Payload:
        given = input or t.TaskDeleteInput()
        scope = _scope(given.scope)
        carry_out = info.context.use.tasks.delete
        if scope is not Scope.THIS:
            carry_out = partial(info.context.use.occurrences.delete, scope=scope)
        return await _carried_out(info, id, given, carry_out)

    @mutation(
        t.TaskSkipPayload, "Leaves an occurrence out: it is cancelled, and its slot is skipped."
    )
    async def task_skip(
        self,
        info: RequestInfo,
        id: strawberry.ID,
        input: t.TaskSkipInput | None = UNSET,
    ) -> Payload:
        carry_out = info.context.use.occurrences.skip
        return await _carried_out(info, id, input or t.TaskSkipInput(), carry_out)

    @mutation(
        t.TaskRestorePayload,
        "Takes a task out of the trash, with the subtasks that were deleted together with it.",
    )
    async def task_restore(
        self,
        info: RequestInfo,
        id: strawberry.ID,
        input: t.TaskRestoreInput | None = UNSET,
    ) -> Payload:
        carry_out = info.context.use.tasks.restore
        return await _carried_out(info, id, input or t.TaskRestoreInput(), carry_out)


_Versioned = (
    t.TaskCompleteInput
    | t.TaskReopenInput
    | t.TaskDeleteInput
    | t.TaskRestoreInput
    | t.TaskSkipInput
)


async def _updated(
    info: RequestInfo, who: Command, task: TaskId, patch: TaskPatch, given: t.TaskUpdateInput
) -> Outcome:
    scope = _scope(given.scope)
    if scope is Scope.THIS and isinstance(patch.recurrence, Keep):
        return await info.context.use.tasks.update(who, task, patch, _version(given))
    return await info.context.use.occurrences.update(who, task, patch, _version(given), scope)


def _scope(said: object) -> Scope:
    return said if isinstance(said, Scope) else Scope.THIS


async def _carried_out(
    info: RequestInfo,
    id: strawberry.ID,
    given: _Versioned,
    carry_out: Callable[[Command, TaskId, int | None], Awaitable[Outcome]],
) -> Payload:
    """Does what needs nothing but the task and the version that the caller has seen."""
    who = command(info, given.client_mutation_id)
    outcome = await carry_out(who, TaskId(wanted_id(id, "id")), _version(given))
    return await done(info, "task", outcome)


def _version(given: _Versioned | t.TaskUpdateInput) -> int | None:
    return _given(given.expected_version)


class _References:
    """Reads the ids of an input; what is no id is told together with all else that is wrong."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def one(
        self, kind: Callable[[UUID], T], said: str | Keep | None, *path: str
    ) -> T | Keep | None:
        """Returns the id as that kind of id; KEEP and null as they are."""
        if said is None or isinstance(said, Keep):
            return said
        found = self._problems.of(lambda: wanted_id(said, "input", *path))
        return KEEP if found is None else kind(found)

    def tags(self, said: Iterable[str], field: str) -> frozenset[TagId]:
        """Returns the ids; one that is none is told once a field."""
        read = self._problems.of(lambda: [TagId(wanted_id(one, "input", field)) for one in said])
        return frozenset(read or ())

    def place(self, said: t.PositionInput) -> Place:
        """Returns the place among others."""
        after = self.one(TaskId, _or_keep(said.after_id), "position", "afterId")
        before = self.one(TaskId, _or_keep(said.before_id), "position", "beforeId")
        return Place(after=_neighbour(after), before=_neighbour(before))


def _reminders(given: t.TaskCreateInput, problems: Problems) -> list[Wanted] | None:
    """Returns the wanted reminders, None for the default set."""
    if given.reminders is None or given.reminders is UNSET:
        return None
    read = [
        problems.of(partial(wanted_reminder, one, "input", "reminders")) for one in given.reminders
    ]
    return [one for one in read if one is not None]


def _draft(given: t.TaskCreateInput, ids: _References) -> TaskPatch:
    """Returns a new task's fields; null is the same as absent here."""
    return TaskPatch(
        title=given.title,
        description=_or_keep(given.description),
        status=_or_keep(given.status),
        priority=_or_keep(given.priority),
        due=_due(given.due) if given.due else KEEP,
        category=ids.one(CategoryId, _or_keep(given.category_id), "categoryId"),
        tags=ids.tags(given.tag_ids or (), "tagIds"),
        assignee=ids.one(UserId, _or_keep(given.assignee_id), "assigneeId"),
        parent=ids.one(TaskId, _or_keep(given.parent_id), "parentId"),
        place=ids.place(given.position) if given.position else KEEP,
        recurrence=recurrence_draft(given.recurrence) if given.recurrence else KEEP,
    )


def _patch(given: t.TaskUpdateInput, ids: _References) -> TaskPatch:
    """Returns what shall change; null clears, and the domain says where that may not be."""
    return TaskPatch(
        title=_text(given.title),
        description=_text(given.description),
        status=_said(given.status),
        priority=_said(given.priority),
        due=_converted(given.due, _due),
        category=ids.one(CategoryId, _text(given.category_id), "categoryId"),
        tags=_converted(given.tag_ids, lambda said: ids.tags(said, "tagIds")),
        add_tags=ids.tags(given.add_tag_ids or (), "addTagIds"),
        remove_tags=ids.tags(given.remove_tag_ids or (), "removeTagIds"),
        assignee=ids.one(UserId, _text(given.assignee_id), "assigneeId"),
        parent=ids.one(TaskId, _text(given.parent_id), "parentId"),
        place=_converted(given.position, ids.place),
        recurrence=_converted(given.recurrence, recurrence_draft),
    )


def _said(given: Maybe[T]) -> T | Keep:
    """Returns KEEP for an absent field, else what was given, null too."""
    return KEEP if given is None else given.value


def _text(given: Maybe[str | None] | Maybe[strawberry.ID | None]) -> str | Keep | None:
    return KEEP if given is None else given.value


def _converted(given: Maybe[T | None], convert: Callable[[T], U]) -> U | Keep | None:
    value = _said(given)
    return value if value is None or isinstance(value, Keep) else convert(value)


def _or_keep(given: T | None) -> T | Keep:
    return given if given is not None and given is not UNSET else KEEP


def _neighbour(id: TaskId | Keep | None) -> TaskId | None:
    return None if isinstance(id, Keep) else id


def _due(given: t.DueInput) -> DueDraft:
    zone = _given(given.time_zone)
    return DueDraft(day=given.date, at=_given(given.time), zone=zone, fold=bool(given.fold))
