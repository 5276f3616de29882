"""Plans answer what plain execution answers: random operations, three ways, byte for byte.

The oracle is graphql-core's own executor over the printed schema, with naive resolvers over rows
that were read by the simplest SQL. Neither knows selections, plans or response keys.
"""

import json
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from graphql import (
    GraphQLError,
    GraphQLObjectType,
    build_schema,
    get_named_type,
    graphql_sync,
    is_leaf_type,
    is_object_type,
)

from carillon.graphql import build, sdl
from domain.access import Viewer
from domain.due import Due
from domain.filter_input import parse
from domain.filters import matches
from domain.ids import CategoryId, SessionId, TagId, TaskId, UserId, WorkspaceId
from domain.paging import Order, encode, order_for, page
from domain.reading import MEMBER_ORDER, SUBTASK_ORDER
from domain.services.labels import LabelPatch
from domain.services.tasks import DueDraft, TaskPatch
from domain.tasks import Priority, Status, Task, instant_text
from domain.text import sort_key
from domain.workspaces import Role
from infra.clock import SystemClock
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.plans import PostgresReader, ReadLanes
from resolvers.execution import Caller, Operations
from tests.worlds import World

OPERATIONS = 600
ABSENT = "01936f2e-8c1a-7c3e-9d54-0242ac120002"
SCHEMA = build_schema(sdl())
ROOTS = ("viewer", "workspace", "task", "tasks")


@dataclass
class Everything:
    """All rows, as plain dictionaries by id."""

    tasks: dict[UUID, dict[str, Any]]
    labels: dict[UUID, dict[str, Any]]
    users: dict[UUID, dict[str, Any]]
    members: list[dict[str, Any]]
    workspaces: dict[UUID, dict[str, Any]]


@dataclass
class Setting:
    world: World
    operations: Operations
    bob: UserId
    bobs: WorkspaceId
    rows: Everything


@pytest.fixture
async def setting(world: World, database_url: str) -> AsyncIterator[Setting]:
    chance = random.Random(5)
    bob, bobs = await world.sign_up("Bob")
    await world.workspaces.add_member(
        world.command(), world.home, f"{bob}@example.com", Role.MEMBER
    )
    tags: list[UUID] = []
    categories: list[UUID] = []
    for n in range(3):
        for kind, made in (("tag", tags), ("category", categories)):
            patch = LabelPatch(name=f"{kind} {n}", colour="#00ff00")
            label = await world.labels.create(world.command(), kind, world.home, None, patch)  # type: ignore[arg-type]
            made.append(label.subject)
    tasks: list[TaskId] = []
    for n in range(40):
        due = DueDraft(day=date(2027, 1, 1) + timedelta(days=chance.randrange(5)))
        parent = chance.choice(tasks) if tasks and n % 3 == 0 else None
        given: dict[str, Any] = {
            "priority": chance.choice(list(Priority)),
            "status": chance.choice(list(Status)),
            "tags": frozenset(TagId(t) for t in chance.sample(tags, chance.randrange(3))),
            "category": chance.choice([None, CategoryId(chance.choice(categories))]),
            "assignee": chance.choice([None, world.ada, bob]),
            "due": chance.choice([None, due]),
            "description": "é" * chance.randrange(3),
        }
        if parent is not None:
            given["parent"] = parent
        tasks.append(await world.task(f"Task {chance.randrange(9)}", **given))
    for task in chance.sample(tasks[20:], 4):
        await world.tasks.delete(world.command(), task, None)
    await world.tasks.create(world.command(actor=bob), bobs, None, TaskPatch(title="Bob's own"))
    # Somebody who has left, but is still somebody's assignee.
    await world.workspaces.remove_member(world.command(), world.home, bob)
    async with AsyncExitStack() as stack:
        generic, custom = [
            await stack.enter_async_context(Lanes(database_url, LaneOptions(size=2)))
            for _ in range(2)
        ]
        reader = PostgresReader(
            ReadLanes(generic=generic, custom=custom), PostgresLog(generic), SystemClock()
        )
        operations = Operations(build(), reader, use=None)  # type: ignore[arg-type]
        yield Setting(world, operations, bob, bobs, await everything(world))


async def test_planned_executed_and_plain_answers_are_equal(setting: Setting) -> None:
    chance = random.Random(20261123)
    planned_count = errors_count = 0
    for number in range(OPERATIONS):
        text, variables = Writer(chance, setting).operation()
        viewer = chance.choice([setting.world.ada, setting.world.ada, setting.bob])
        caller = Caller(
            viewer=Viewer(
                user=viewer,
                session=SessionId(uuid4()),
                expires_at=datetime.now(UTC) + timedelta(hours=1),
            )
        )
        payload = {"query": text, "variables": variables}
        answer = json.loads(await setting.operations.execute(caller, payload))
        # With introspection beside it, the executor walks over the same roots.
        beside = text.replace("{ r0:", "{ meta: __schema { queryType { name } } r0:", 1)
        assert beside != text
        by_executor = {**payload, "query": beside}
        executed = json.loads(await setting.operations.execute(caller, by_executor))
        del executed["data"]["meta"]
        plain = graphql_sync(SCHEMA, text, Plain(setting, viewer), variable_values=variables)

        said = f"{number}: {text} {variables}"
        assert json.dumps(answer["data"]) == json.dumps(executed["data"]), said
        assert json.dumps(answer["data"]) == json.dumps(plain.data), said
        failed = sorted(str((error.path or [""])[0]) for error in plain.errors or ())
        assert sorted(error["path"][0] for error in answer.get("errors", ())) == failed, said
        planned_count += "errors" not in answer
        errors_count += "errors" in answer
    assert planned_count > OPERATIONS / 2
    assert errors_count > OPERATIONS / 20


class Writer:
    """Writes random operations that are valid for the schema."""

    def __init__(self, chance: random.Random, setting: Setting) -> None:
        self._chance = chance
        self._setting = setting
        self._fragments: list[str] = []
        self._variables: dict[str, tuple[str, Any]] = {}

    def operation(self) -> tuple[str, dict[str, Any]]:
        fields = [self._root(n) for n in range(self._chance.randint(1, 3))]
        if self._chance.random() < 0.2:
            fields.append("__typename")
        declared = ", ".join(f"${name}: {kind}" for name, (kind, _) in self._variables.items())
        head = f"query ({declared}) " if declared else ""
        text = " ".join([f"{head}{{ {' '.join(fields)} }}", *self._fragments])
        return text, {name: value for name, (_, value) in self._variables.items()}

    def _root(self, number: int) -> str:
        name = self._chance.choice(ROOTS)
        of: Any = get_named_type(SCHEMA.query_type.fields[name].type)  # type: ignore[union-attr]
        arguments = {
            "viewer": lambda: "",
            "workspace": lambda: f"(id: {self._id(self._places())})",
            "task": lambda: f"(id: {self._id([*map(str, self._setting.rows.tasks), 'x', ABSENT])})",
            "tasks": self._page,
        }[name]()
        return f"r{number}: {name}{arguments}{self._directive()} {self._selection(of, 4)}"

    def _places(self) -> list[str]:
        home = str(self._setting.world.home)
        return [home, home, home, str(self._setting.bobs), ABSENT, "bad"]

    def _id(self, values: list[str]) -> str:
        return self._value("ID!", self._chance.choice(values))

    def _value(self, kind: str, value: Any) -> str:
        if self._chance.random() < 0.4:
            name = f"v{len(self._variables)}"
            self._variables[name] = (kind, value)
            return f"${name}"
        return json.dumps(value)

    def _page(self) -> str:
        given = [f"workspaceId: {self._id(self._places())}"]
        order = self._order()
        if order:
            given.append(f"orderBy: [{order}]")
        if self._chance.random() < 0.5:
            given.append(f"filter: {self._filter()}")
        size, way = self._chance.randrange(12), self._chance.choice(["first", "last", ""])
        if way:
            given.append(f"{way}: {self._value('Int', size)}")
        if self._chance.random() < 0.3:
            given.append(f"{self._chance.choice(['after', 'before'])}: {self._cursor(order)}")
        return f"({', '.join(given)})"

    def _order(self) -> str:
        keys = self._chance.sample(["DUE", "PRIORITY", "CREATED_AT", "TITLE", "POSITION"], 2)
        some = keys[: self._chance.randrange(3)]
        ways = ["", ", direction: DESC"]
        return ", ".join(f"{{field: {key}{self._chance.choice(ways)}}}" for key in some)

    def _cursor(self, order: str) -> str:
        given = [
            {"field": part[1:].split(",")[0].split(": ")[1].rstrip("}"),
             "direction": "DESC" if "DESC" in part else "ASC"}
            for part in order.split(", {") if part
        ]  # fmt: skip
        for one in given:
            one["field"] = one["field"].split(": ")[-1].strip("{} ")
        orders = order_for(given, parse(None))
        row = self._chance.choice(list(self._setting.rows.tasks.values()))
        good = encode(orders, place(row, orders))
        return self._value("String", self._chance.choice([good, good, good, "garbage"]))

    def _filter(self) -> str:
        rows = self._setting.rows
        label = self._chance.choice(list(rows.labels))
        return self._chance.choice(
            [
                "{status: {in: [OPEN, DONE]}}",
                "{priority: {gte: HIGH}}",
                f'{{tags: {{any: ["{label}"]}}}}',
                f'{{not: {{category: {{eq: "{label}"}}}}}}',
                "{due: {isNull: false}}",
                "{or: [{assignee: {isNull: true}}, {status: {eq: OPEN}}]}",
                "{isDeleted: true}",
                "{and: []}",
            ]
        )

    def _directive(self) -> str:
        dice = self._chance.random()
        if dice < 0.08:
            return f" @include(if: {self._value('Boolean!', self._chance.random() < 0.7)})"
        if dice < 0.14:
            return f" @skip(if: {self._value('Boolean!', self._chance.random() < 0.3)})"
        return ""

    def _selection(self, type_: GraphQLObjectType, depth: int) -> str:
        fields = list(self._fields(type_, depth)) or ["__typename"]
        if self._chance.random() < 0.2:
            half = len(fields) // 2 or 1
            inline = f"... on {type_.name}{self._directive()} {{ {' '.join(fields[:half])} }}"
            fields = [inline, *fields[half:]]
        if self._chance.random() < 0.15:
            name = f"F{len(self._fragments)}"
            self._fragments.append("")
            self._fragments[int(name[1:])] = f"fragment {name} on {type_.name} {{ __typename }}"
            fields.append(f"...{name}")
        # A directive may have taken everything away, but never the selection itself.
        return f"{{ {' '.join(fields)} }}"

    def _fields(self, type_: GraphQLObjectType, depth: int) -> Iterator[str]:
        names = list(type_.fields)
        for name in self._chance.sample(names, self._chance.randint(1, min(6, len(names)))):
            field = type_.fields[name]
            of: Any = get_named_type(field.type)
            alias = f"{name}{depth}x: " if self._chance.random() < 0.2 else ""
            if is_leaf_type(of):
                yield f"{alias}{name}{self._directive()}"
                if self._chance.random() < 0.1:
                    yield f"{alias}{name}"
            elif is_object_type(of) and depth > 0:
                arguments = ""
                if "first" in field.args:
                    alias = f"{name}{self._chance.randrange(10**6)}: "
                    arguments = f"(first: {self._value('Int!', self._chance.randrange(4))})"
                yield f"{alias}{name}{arguments} {self._selection(of, depth - 1)}"
        if self._chance.random() < 0.15:
            yield "__typename"


class Plain:
    """The naive resolvers: methods for roots, dictionaries of values and functions below."""

    def __init__(self, setting: Setting, viewer: UserId) -> None:
        self._rows = setting.rows
        self._viewer = viewer

    def viewer(self, _info: Any) -> Any:
        user = self._rows.users[self._viewer]
        mine = sorted(
            (m for m in self._rows.members if m["user_id"] == self._viewer),
            key=lambda m: (m["created_at"], m["id"]),
        )
        return {
            "id": str(user["id"]),
            "name": user["name"],
            "email": user["email"],
            "timeZone": user["time_zone"],
            "workspaces": [self._workspace(m["workspace_id"]) for m in mine],
        }

    def workspace(self, _info: Any, id: str) -> Any:
        return self._workspace(UUID(id)) if self._sees(id) else None

    def task(self, _info: Any, id: str) -> Any:
        row = None if id == "x" else self._rows.tasks.get(UUID(id))
        return self._task(row) if row and self._sees(str(row["workspace_id"])) else None

    def tasks(self, _info: Any, **given: Any) -> Any:
        asked_of = given["workspaceId"]
        wanted = parse(given.get("filter"))
        orders = order_for(given.get("orderBy"), wanted)
        names = ("first", "after", "last", "before")
        try:
            asked = page(orders, **{name: given.get(name) for name in names})
        except Exception as error:
            raise GraphQLError(str(error)) from error
        if not self._sees(asked_of):
            raise GraphQLError("no such workspace")
        rows = [
            row
            for row in self._rows.tasks.values()
            if str(row["workspace_id"]) == asked_of
            and matches(wanted, row["task"], datetime.now(UTC))
        ]
        return self._connection(rows, orders, asked, UUID(asked_of))

    def _connection(
        self, rows: list[Any], orders: Sequence[Order], asked: Any, workspace: UUID
    ) -> Any:
        rows.sort(key=lambda row: row["id"])
        for order in reversed(orders):
            there = [r for r in rows if r[order.key.attribute] is not None]
            there.sort(key=lambda r: r[order.key.attribute], reverse=order.descending)
            rows = there + [r for r in rows if r[order.key.attribute] is None]
        total = len(rows)
        start, end = 0, total
        if asked.after is not None:
            start = rank(rows, orders, asked.after, inclusive=True)
        if asked.before is not None:
            end = max(start, rank(rows, orders, asked.before, inclusive=False))
        window = rows[start:end]
        shown = window[-asked.size :] if asked.backwards else window[: asked.size]
        shown = shown if asked.size else []
        cursors = [encode(orders, place(row, orders)) for row in shown]
        more = len(window) > asked.size
        nodes = [self._task(row) for row in shown]
        return {
            "edges": [{"cursor": c, "node": n} for c, n in zip(cursors, nodes, strict=True)],
            "nodes": nodes,
            "pageInfo": {
                "hasNextPage": asked.before is not None if asked.backwards else more,
                "hasPreviousPage": more if asked.backwards else asked.after is not None,
                "startCursor": cursors[0] if cursors else None,
                "endCursor": cursors[-1] if cursors else None,
            },
            "totalCount": total,
            "seq": str(self._rows.workspaces[workspace]["head"]),
        }

    def _sees(self, workspace: str) -> bool:
        return any(
            str(m["workspace_id"]) == workspace and m["user_id"] == self._viewer
            for m in self._rows.members
        )

    def _workspace(self, id: UUID) -> Any:
        row = self._rows.workspaces[id]
        place_of = [m for m in self._rows.members if m["workspace_id"] == id]
        mine = next(m for m in place_of if m["user_id"] == self._viewer)
        labels = [x for x in self._rows.labels.values() if x["workspace_id"] == id]
        return {
            "id": str(id),
            "name": row["name"],
            "head": str(row["head"]),
            "viewerRole": Role(mine["role"]).name,
            "members": lambda _info, first: self._members(place_of, first),
            "categories": self._labels([x for x in labels if x["kind"] == "category"]),
            "tags": self._labels([x for x in labels if x["kind"] == "tag"]),
        }

    def _members(self, rows: list[Any], first: int) -> Any:
        rows = sorted(rows, key=lambda m: (m["created_at"], m["id"]))
        shown = rows[:first]
        nodes = [
            {
                "id": str(m["id"]),
                "role": Role(m["role"]).name,
                "user": self._user(m["user_id"], m["workspace_id"]),
            }
            for m in shown
        ]
        cursors = [encode(MEMBER_ORDER, place(m, MEMBER_ORDER)) for m in shown]
        return {
            "edges": [{"cursor": c, "node": n} for c, n in zip(cursors, nodes, strict=True)],
            "nodes": nodes,
            "pageInfo": {
                "hasNextPage": len(rows) > first,
                "hasPreviousPage": False,
                "startCursor": cursors[0] if cursors else None,
                "endCursor": cursors[-1] if cursors else None,
            },
            "totalCount": len(rows),
        }

    def _labels(self, rows: list[Any]) -> Any:
        rows = sorted(rows, key=lambda x: (sort_key(x["name"]), x["id"]))
        return [{"id": str(x["id"]), "name": x["name"], "colour": x["colour"]} for x in rows]

    def _user(self, id: UUID | None, workspace: UUID) -> Any:
        if id is None:
            return None
        user = self._rows.users[id]
        there = any(
            m["user_id"] == id and m["workspace_id"] == workspace for m in self._rows.members
        )
        return {
            "id": str(id), "name": user["name"], "email": user["email"] if there else None,
        }  # fmt: skip

    def _task(self, row: Any) -> Any:
        task: Task = row["task"]
        rows = self._rows.tasks
        labels = self._rows.labels
        return {
            "id": str(task.id),
            "workspaceId": str(task.workspace_id),
            "title": task.title,
            "description": task.description,
            "status": task.status.name,
            "priority": task.priority.name,
            "due": task.due and {
                "date": task.due.day.isoformat(),
                "time": None,
                "timeZone": task.due.zone,
                "fold": task.due.fold,
                "instant": instant_text(task.due.instant),
            },
            "category": task.category_id and self._labels([labels[task.category_id]])[0],
            "tags": self._labels([labels[tag] for tag in task.tag_ids]),
            "assignee": self._user(task.assignee_id, task.workspace_id),
            "parent": lambda _info: task.parent_id and self._task(rows[task.parent_id]),
            "subtasks": lambda _info, first: self._subtasks(task, first),
            "position": task.position,
            "version": task.version,
            "createdAt": instant_text(task.created_at),
            "updatedAt": instant_text(task.updated_at),
            "completedAt": instant_text(task.completed_at),
            "deletedAt": instant_text(task.deleted_at),
        }  # fmt: skip

    def _subtasks(self, task: Task, first: int) -> Any:
        below = [
            row
            for row in self._rows.tasks.values()
            if row["task"].parent_id == task.id and row["task"].deleted_at is None
        ]
        asked = page(SUBTASK_ORDER, first=first)
        return self._connection(below, SUBTASK_ORDER, asked, task.workspace_id)


def place(row: Mapping[str, Any], orders: Sequence[Order]) -> tuple[Any, ...]:
    return (*(row[order.key.attribute] for order in orders), row["id"])


def rank(rows: list[Any], orders: Sequence[Order], at: tuple[Any, ...], *, inclusive: bool) -> int:
    """Returns how many rows come before a place, or up to it."""

    def before(row: Any) -> bool:
        for order, mine, its in zip(orders, place(row, orders), at, strict=False):
            if mine == its:
                continue
            if mine is None or its is None:
                return its is None
            return bool(mine > its if order.descending else mine < its)
        return bool(row["id"] < at[-1] or (inclusive and row["id"] == at[-1]))

    return sum(before(row) for row in rows)


async def everything(world: World) -> Everything:
    fetch = world.lanes.fetch
    tasks: dict[UUID, dict[str, Any]] = {}
    for found in await fetch("SELECT * FROM task"):
        row = dict(found)
        tasks[row["id"]] = {**row, "task": as_task(row)}
    labels = {}
    for kind, statement in (("category", "TABLE category"), ("tag", "TABLE tag")):
        for found in await fetch(statement):
            labels[found["id"]] = {**dict(found), "kind": kind}
    return Everything(
        tasks=tasks,
        labels=labels,
        users={row["id"]: dict(row) for row in await fetch("SELECT * FROM account")},
        members=[dict(row) for row in await fetch("SELECT * FROM member")],
        workspaces={row["id"]: dict(row) for row in await fetch("SELECT * FROM workspace")},
    )


def as_task(row: Mapping[str, Any]) -> Task:
    day = row["due_day"]
    return Task(
        id=row["id"],
        workspace_id=row["workspace_id"],
        title=row["title"],
        description=row["description"],
        status=Status(row["status"]),
        priority=Priority(row["priority"]),
        due=day
        and Due(
            day=day, at=None, zone=row["due_zone"], fold=row["due_fold"],
            instant=row["due_instant"],
        ),
        category_id=row["category_id"],
        tag_ids=frozenset(row["tag_ids"]),
        assignee_id=row["assignee_id"],
        parent_id=row["parent_id"],
        position=row["position"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        completed_at=row["completed_at"],
        deleted_at=row["deleted_at"],
    )  # fmt: skip
