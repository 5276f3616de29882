"""The read side as plainly as it can be written: objects in memory, one small resolver a field.

It answers through graphql-core's own executor and shares no code with plans, conditions or
statements, so that these are held against something independent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cmp_to_key
from typing import Any
from uuid import UUID

from graphql import GraphQLSchema

from domain.changes import Change
from domain.due import Due
from domain.errors import Invisible, OverLimit, Unauthenticated, invalid
from domain.ids import parse_uuid
from domain.paging import KEYS, Order, decode, encode
from domain.reading import HISTORY_ORDER, MEMBER_ORDER, SUBTASK_ORDER
from domain.tasks import Status, Task, instant_text
from domain.text import sort_key

Row = Mapping[str, Any]
Compared = Callable[[Any, Any], bool]


@dataclass(kw_only=True)
class Facts:
    """All there is, and who asks."""

    viewer: UUID | None
    now: datetime
    accounts: Sequence[Row]
    workspaces: Sequence[Row]
    members: Sequence[Row]
    categories: Sequence[Row]
    tags: Sequence[Row]
    tasks: list[Task]
    series: Sequence[Row] = ()
    slots: Sequence[Row] = ()
    changes: list[Change] = field(default_factory=list)
    reminders: Sequence[Row] = ()
    notifications: Sequence[Row] = ()
    # What only the database knows: relevance by the text of a search, for the tasks it finds.
    searches: Mapping[str, Mapping[UUID, float]] = field(default_factory=dict)

    def role(self, workspace: UUID) -> Any:
        mine = (m for m in self.members_of(workspace) if m["user"] == self.viewer)
        return next((m["role"] for m in mine), None)

    def members_of(self, workspace: UUID) -> list[Row]:
        here = [m for m in self.members if m["workspace"] == workspace]
        return sorted(here, key=lambda m: (m["created_at"], m["id"]))


def plain(schema: GraphQLSchema, facts: Facts) -> GraphQLSchema:
    """Returns the schema, a fresh one, with plain resolvers over the facts."""
    resolvers = _Resolvers(facts)
    types: list[Any] = list(schema.type_map.values())
    for type_ in types:
        if type_.name.startswith("__"):
            continue
        if hasattr(type_, "values"):
            type_.coerce_output_value = _name
        for name, one in getattr(type_, "fields", {}).items():
            if hasattr(one, "resolve"):
                type_.is_type_of = None
                one.resolve = getattr(resolvers, f"{type_.name}_{name}", _entry)
    return schema


def _name(value: Any) -> str:
    return value if isinstance(value, str) else str(value.name)


def _entry(source: Row, info: Any, **_arguments: Any) -> Any:
    value = source[info.field_name]
    return str(value) if isinstance(value, UUID) else value


class _Resolvers:
    """One method a field that is no mere entry of its object; named Type_field."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def _require_viewer(self) -> None:
        if self.facts.viewer is None:
            raise Unauthenticated("sign in")

    def _visible(self, text: str) -> UUID | None:
        found = parse_uuid(text)
        return None if found is None or self.facts.role(found) is None else found

    def Query_notifications(self, _source: Any, _info: Any, **given: Any) -> Any:  # noqa: N802
        first, after = given["first"], given.get("after")
        if first < 0:
            raise invalid("negative")
        if first > 200:
            raise OverLimit("too many")
        self._require_viewer()
        mine = [n for n in self.facts.notifications if n["user"] == self.facts.viewer]
        if after is None:
            kept = [n for n in mine if n["archivedAt"] is None]
            page, more = kept[max(0, len(kept) - first) :] if first else [], False
        else:
            later = [n for n in mine if int(n["seq"]) > after]
            page, more = later[:first], len(later) > first
        head = str(max((int(n["seq"]) for n in mine), default=0))
        return {"nodes": page, "hasNextPage": more, "head": head}

    def Query_notificationPreferences(self, _source: Any, _info: Any) -> Any:  # noqa: N802
        self._require_viewer()
        me = next(a for a in self.facts.accounts if a["id"] == self.facts.viewer)
        on = {("ASSIGNMENT", "IN_APP"), ("ASSIGNMENT", "EMAIL"), ("OVERDUE", "IN_APP")}
        return {
            "timeZone": me["timeZone"],
            "choices": [
                {
                    "category": category,
                    "channel": channel,
                    "isOn": category == "REMINDER" or (category, channel) in on,
                }
                for category in ("REMINDER", "ASSIGNMENT", "OVERDUE", "DIGEST")
                for channel in ("IN_APP", "EMAIL", "PUSH")
            ],
            "quietHours": [],
            "quietPolicy": "DELAY",
            "latePolicy": "COLLAPSE",
            "lateKeep": "PT24H",
            "digestAt": "07:00",
            "defaults": [],
            "pushKey": None,
            "pushSubscriptions": [],
        }

    def Viewer_isEmailVerified(self, _source: Row, _info: Any) -> Any:  # noqa: N802
        return False

    def Viewer_unreadNotificationCount(self, source: Row, _info: Any) -> Any:  # noqa: N802
        mine = (n for n in self.facts.notifications if n["user"] == source["id"])
        return sum(n["readAt"] is None for n in mine)

    def Task_reminders(self, source: Row, _info: Any) -> Any:  # noqa: N802
        mine = (
            one
            for one in self.facts.reminders
            if one["task"] == source["id"] and one["user"] == self.facts.viewer
        )
        return sorted(mine, key=lambda one: (one["at"] is None, one["at"], one["id"]))

    # --- roots -----------------------------------------------------------------------------------

    def Query_viewer(self, _source: Any, _info: Any) -> Any:  # noqa: N802
        me = self.facts.viewer
        return next((a for a in self.facts.accounts if a["id"] == me), None)

    def Query_workspace(self, _source: Any, _info: Any, id: str, **_rest: Any) -> Any:  # noqa: N802
        self._require_viewer()
        found = self._visible(id)
        return next((w for w in self.facts.workspaces if w["id"] == found), None)

    def Query_task(self, _source: Any, _info: Any, id: str, **_rest: Any) -> Any:  # noqa: N802
        self._require_viewer()
        task = next((t for t in self.facts.tasks if t.id == parse_uuid(id)), None)
        if task is None or self._visible(str(task.workspace_id)) is None:
            return None
        return self._task(task)

    def Query_series(self, _source: Any, _info: Any, id: str, **_rest: Any) -> Any:  # noqa: N802
        self._require_viewer()
        found = self._series(parse_uuid(id))
        return found if found and self._visible(str(found["workspaceId"])) else None

    def Query_tasks(self, _source: Any, _info: Any, workspaceId: str, **given: Any) -> Any:  # noqa: N802, N803
        wanted = given.get("filter") or {}
        _require_good_ids(wanted)
        search = wanted.get("search")
        orders = self._orders(given.get("orderBy") or [], search)
        if parse_uuid(workspaceId) is not None:
            _require_good_page(given, orders)
        self._require_viewer()
        space = self._visible(workspaceId)
        if space is None:
            raise Invisible("no such workspace")
        tasks = [
            t
            for t in self.facts.tasks
            if t.workspace_id == space
            and (wanted.get("isDeleted") is not None or t.deleted_at is None)
            and self._holds(wanted, t)
        ]
        ranks = self.facts.searches.get(search or "", {})
        return self._page(tasks, orders, given, lambda t: _keys(t, orders, ranks), space)

    def Query_changes(  # noqa: N802
        self,
        _source: Any,
        _info: Any,
        workspaceId: str,  # noqa: N803
        after: int,
        first: int,
    ) -> Any:
        if first < 0:
            raise invalid("no")
        if first > 200:
            raise OverLimit("no")
        self._require_viewer()
        space = self._visible(workspaceId)
        if space is None:
            raise Invisible("no such workspace")
        log = [c for c in self.facts.changes if c.stream == space]
        head = next(int(w["head"]) for w in self.facts.workspaces if w["id"] == space)
        page = [c for c in log if c.seq > after][:first]
        resync = {"seq": str(after), "reason": "LOG_RESTORED", "head": str(head)}
        return {
            "nodes": [self._change(c) for c in page],
            "hasNextPage": after <= head and (page[-1].seq if page else after) < head,
            "head": str(head),
            "resyncRequired": resync if after > head else None,
        }

    # --- objects ---------------------------------------------------------------------------------

    def Viewer_workspaces(self, source: Row, _info: Any) -> Any:  # noqa: N802
        mine = [m for m in self.facts.members if m["user"] == source["id"]]
        mine.sort(key=lambda m: (m["created_at"], m["id"]))
        return [w for m in mine for w in self.facts.workspaces if w["id"] == m["workspace"]]

    def Workspace_viewerRole(self, source: Row, _info: Any) -> Any:  # noqa: N802
        return self.facts.role(source["id"]).name

    def Workspace_categories(self, source: Row, _info: Any) -> Any:  # noqa: N802
        return _by_name(c for c in self.facts.categories if c["workspace"] == source["id"])

    def Workspace_tags(self, source: Row, _info: Any) -> Any:  # noqa: N802
        return _by_name(t for t in self.facts.tags if t["workspace"] == source["id"])

    def Workspace_members(self, source: Row, _info: Any, **given: Any) -> Any:  # noqa: N802
        return self._page(
            self.facts.members_of(source["id"]),
            MEMBER_ORDER,
            given,
            lambda m: (m["created_at"], m["id"]),
            None,
        )

    def Member_user(self, source: Row, _info: Any) -> Any:  # noqa: N802
        return self._user(source["user"], source["workspace"])

    def Member_role(self, source: Row, _info: Any) -> Any:  # noqa: N802
        return source["role"].name

    def Task_subtasks(self, source: Row, _info: Any, **given: Any) -> Any:  # noqa: N802
        tasks = [
            t for t in self.facts.tasks if t.parent_id == source["id"] and t.deleted_at is None
        ]
        return self._page(
            tasks, SUBTASK_ORDER, given, lambda t: (t.position, t.id), source["workspaceId"]
        )

    def Task_parent(self, source: Row, _info: Any) -> Any:  # noqa: N802
        return next((self._task(t) for t in self.facts.tasks if t.id == source["parent"]), None)

    def Task_series(self, source: Row, _info: Any) -> Any:  # noqa: N802
        return self._series(source["series"])

    def Series_history(self, source: Row, _info: Any, **given: Any) -> Any:  # noqa: N802
        slots = [s for s in self.facts.slots if s["series"] == source["id"]]
        return self._page(slots, HISTORY_ORDER, given, lambda s: (s["at"], s["id"]), None)

    def SeriesSlot_task(self, source: Row, _info: Any) -> Any:  # noqa: N802
        return next((self._task(t) for t in self.facts.tasks if t.id == source["task"]), None)

    def SeriesSlot_state(self, source: Row, _info: Any) -> Any:  # noqa: N802
        task = next((t for t in self.facts.tasks if t.id == source["task"]), None)
        if source["state"] != "SPAWNED" or task is None:
            return "SKIPPED" if source["state"] == "SPAWNED" else source["state"]
        if task.status is Status.DONE:
            return "DONE"
        if task.deleted_at is not None or task.status is Status.CANCELLED:
            return "SKIPPED"
        if task.due is None:
            return "MOVED"
        at = task.due.day.isoformat() if task.due.at is None else task.due.instant
        return (
            "OPEN"
            if at == (source["slot"][:10] if task.due.at is None else source["at"])
            else "MOVED"
        )

    def _series(self, id: UUID | None) -> Any:
        return next((one for one in self.facts.series if one["id"] == id), None)

    def Task_assignee(self, source: Row, _info: Any) -> Any:  # noqa: N802
        return self._user(source["assignee"], source["workspaceId"])

    def _user(self, id: UUID | None, workspace: UUID) -> Any:
        found = next((a for a in self.facts.accounts if a["id"] == id), None)
        if found is None:
            return None
        there = any(m["user"] == id for m in self.facts.members_of(workspace))
        return {"id": id, "name": found["name"], "email": found["email"] if there else None}

    def _task(self, task: Task) -> Row:
        category = [c for c in self.facts.categories if c["id"] == task.category_id]
        return {
            "id": task.id,
            "workspaceId": task.workspace_id,
            "title": task.title,
            "description": task.description,
            "status": task.status,
            "priority": task.priority,
            "due": _due(task.due),
            "category": category[0] if category else None,
            "tags": _by_name(t for t in self.facts.tags if t["id"] in task.tag_ids),
            "assignee": task.assignee_id,
            "parent": task.parent_id,
            "position": task.position,
            "version": task.version,
            "createdAt": instant_text(task.created_at),
            "updatedAt": instant_text(task.updated_at),
            "completedAt": instant_text(task.completed_at),
            "deletedAt": instant_text(task.deleted_at),
            "series": task.series_id,
            "occurrence": task.series_id and {"seriesId": task.series_id, "slot": task.slot},
        }

    def _change(self, change: Change) -> Row:
        area = change.kind.split(".")[0]
        subject = next((t for t in self.facts.tasks if t.id == change.subject), None)
        return {
            "id": change.id,
            "workspaceId": change.stream,
            "seq": str(change.seq),
            "kind": change.kind,
            "at": instant_text(change.at),
            "actor": change.actor and self._user(change.actor, change.stream),
            "clientMutationId": change.key,
            "subjectId": change.subject,
            "fields": list(change.fields),
            "task": self._task(subject) if area == "task" and subject else None,
            "category": None,
            "tag": None,
            "member": None,
            "series": None,
        }

    # --- lists -----------------------------------------------------------------------------------

    def _orders(self, given: Sequence[Row], search: str | None) -> list[Order]:
        orders: dict[str, Order] = {}
        for one in given:
            name = one["field"].name
            if name == "RANK" and not search:
                raise invalid("no search")
            orders.setdefault(name, Order(KEYS[name], one["direction"].name == "DESC"))
        if not given and search:
            return [Order(KEYS["RANK"])]
        return list(orders.values()) or [Order(KEYS["POSITION"])]

    def _page(
        self,
        rows: Sequence[Any],
        orders: Sequence[Order],
        given: Row,
        place: Callable[[Any], tuple[Any, ...]],
        space: UUID | None,
    ) -> Row:
        size, after, before = _require_good_page(given, orders)
        rows = sorted(rows, key=cmp_to_key(lambda a, b: _compare(place(a), place(b), orders)))
        total = len(rows)
        if after is not None:
            rows = [r for r in rows if _compare(place(r), after, orders) > 0]
        if before is not None:
            rows = [r for r in rows if _compare(place(r), before, orders) < 0]
        backwards = given.get("last") is not None
        shown = rows[max(0, len(rows) - size) :] if backwards else rows[:size]
        more = len(rows) > size
        nodes = [self._task(r) if isinstance(r, Task) else r for r in shown]
        cursors = [encode(orders, place(r)) for r in shown]
        head = next((w["head"] for w in self.facts.workspaces if w["id"] == space), None)
        return {
            "nodes": nodes,
            "edges": [
                {"cursor": cursor, "node": node}
                for cursor, node in zip(cursors, nodes, strict=True)
            ],
            "pageInfo": {
                "hasNextPage": before is not None if backwards else more,
                "hasPreviousPage": more if backwards else after is not None,
                "startCursor": cursors[0] if cursors else None,
                "endCursor": cursors[-1] if cursors else None,
            },
            "totalCount": total,
            "seq": head,
        }

    def _holds(self, wanted: Row, task: Task) -> bool:
        return all(
            self._part(name, value, task) for name, value in wanted.items() if value is not None
        )

    def _part(self, name: str, value: Any, task: Task) -> bool:
        overdue = task.due is not None and task.due.instant <= self.facts.now
        tests: dict[str, Callable[[], bool]] = {
            "and": lambda: all(self._holds(one, task) for one in value),
            "or": lambda: any(self._holds(one, task) for one in value),
            "not": lambda: not self._holds(value, task),
            "isDeleted": lambda: (task.deleted_at is not None) == value,
            "isOverdue": lambda: (
                (overdue and task.status in (Status.OPEN, Status.IN_PROGRESS)) == value
            ),
            "isRecurring": lambda: (task.series_id is not None) == value,
            "search": lambda: task.id in self.facts.searches[value],
            "tags": lambda: _tags_hold(value, task),
        }
        if name in tests:
            return tests[name]()
        if name == "due":
            instant = task.due and task.due.instant
            days = {n[4:].lower(): v for n, v in value.items() if n.startswith("date")}
            rest = {n: v for n, v in value.items() if not n.startswith("date")}
            return _compares(rest, instant) and _compares(days, task.due and task.due.day)
        attributes = {
            "category": task.category_id,
            "assignee": task.assignee_id,
            "parent": task.parent_id,
            "createdAt": task.created_at,
            "updatedAt": task.updated_at,
            "completedAt": task.completed_at,
        }
        found = attributes[name] if name in attributes else getattr(task, name)
        return _compares(value, found)


def _tags_hold(value: Row, task: Task) -> bool:
    given = {n: {UUID(one) for one in v} for n, v in value.items() if isinstance(v, list)}
    empty = value.get("isEmpty")
    return (
        ("any" not in given or bool(given["any"] & task.tag_ids))
        and ("all" not in given or given["all"] <= task.tag_ids)
        and ("none" not in given or not given["none"] & task.tag_ids)
        and (empty is None or empty == (not task.tag_ids))
    )


def _compares(tests: Row, value: Any) -> bool:
    meanings: dict[str, Compared] = {
        "eq": lambda a, b: a == b,
        "in": lambda a, b: a in b,
        "gte": lambda a, b: a is not None and a >= b,
        "lte": lambda a, b: a is not None and a <= b,
        "lt": lambda a, b: a is not None and a < b,
        "isNull": lambda a, b: (a is None) == b,
    }
    return all(
        meanings[name](value, _operand(given)) for name, given in tests.items() if given is not None
    )


def _operand(given: Any) -> Any:
    if isinstance(given, list):
        return [_operand(one) for one in given]
    # A status is a text, too.
    return UUID(given) if type(given) is str else given


def _require_good_ids(wanted: Any) -> None:
    if isinstance(wanted, list):
        for one in wanted:
            _require_good_ids(one)
    elif isinstance(wanted, dict):
        for name, value in wanted.items():
            if name != "search":
                _require_good_ids(value)
    elif type(wanted) is str and parse_uuid(wanted) is None:
        raise invalid("no id")


def _require_good_page(given: Row, orders: Sequence[Order]) -> tuple[int, Any, Any]:
    first, last = given.get("first"), given.get("last")
    if first is not None and last is not None:
        raise invalid("both")
    size = next((n for n in (first, last) if n is not None), 50)
    if size < 0:
        raise invalid("negative")
    if size > 200:
        raise OverLimit("too many")
    after, before = (
        None if given.get(name) is None else decode(given[name], orders)
        for name in ("after", "before")
    )
    return size, after, before


def _keys(task: Task, orders: Sequence[Order], ranks: Mapping[UUID, float]) -> tuple[Any, ...]:
    values = {
        "DUE": task.due and task.due.instant,
        "PRIORITY": int(task.priority),
        "CREATED_AT": task.created_at,
        "UPDATED_AT": task.updated_at,
        "TITLE": sort_key(task.title),
        "POSITION": task.position,
        "RANK": ranks.get(task.id),
    }
    return (*(values[order.key.name] for order in orders), task.id)


def _compare(one: Sequence[Any], other: Sequence[Any], orders: Sequence[Order]) -> int:
    directions = [*(order.descending for order in orders), False]
    for a, b, descending in zip(one, other, directions, strict=True):
        if a == b:
            continue
        if a is None or b is None:
            return 1 if a is None else -1
        return (1 if a > b else -1) * (-1 if descending else 1)
    return 0


def _by_name(labels: Any) -> list[Row]:
    return sorted(labels, key=lambda label: (sort_key(label["name"]), label["id"]))


def _due(due: Due | None) -> Row | None:
    if due is None:
        return None
    at = due.at and due.at.isoformat("seconds" if due.at.second else "minutes")
    return {
        "date": due.day.isoformat(),
        "time": at,
        "timeZone": due.zone,
        "fold": due.fold,
        "instant": instant_text(due.instant),
    }
