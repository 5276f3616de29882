"""Planned, executed and plainly resolved, a query has one answer: to the byte, in one order."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from random import Random
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from graphql import GraphQLSchema, execute, parse, validate

from carillon.graphql import build
from domain.access import Viewer
from domain.changes import Change, text
from domain.due import due
from domain.ids import CategoryId, ChangeId, SeriesId, SessionId, TagId, UserId, WorkspaceId
from domain.labels import Label
from domain.paging import KEYS, POSITION, Order, encode
from domain.reading import HISTORY_ORDER, MEMBER_ORDER
from domain.search import query
from domain.tasks import Display, Priority, Status, Task, instant_text, task_state
from domain.text import sort_key
from domain.workspaces import Role, User
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.plans import PostgresReader, ReadLanes
from infra.postgres.state import PostgresStateStore
from resolvers.execution import Caller, Operations
from resolvers.failures import failure
from resolvers.persisted import PersistedQueries
from resolvers.preparation import Readers
from resolvers.responses import Rejected
from schema.context import UseCases
from tests.documents import Documents
from tests.naive import Facts, plain
from tests.task_rows import NOW, connect, insert, task

HOME, OTHER, FOREIGN = (WorkspaceId(UUID(int=n)) for n in (1, 2, 3))
ADA, BOB, CYD, DAN = (UserId(UUID(int=n)) for n in (11, 12, 13, 14))
PEOPLE = {ADA: "Ada", BOB: 'Bøb "B" \\ 😀', CYD: "Cyd", DAN: "Dan"}
SEARCHES = ("plan", "kitchen or -plan", "plan ki")
TITLES = ("Plan", "plan kitchen", "Éa plan", 'ki\tt \u2028 "q" \\', "Zürich 😀", "kitchen")
PARIS = ZoneInfo("Europe/Paris")
NOBODY = "00000000-0000-0000-0000-0000000000ff"


class FixedClock:
    def now(self) -> datetime:
        return NOW


def _recurring(number: int, space: WorkspaceId, **given: Any) -> dict[str, Any]:
    """Returns a series as clients see it."""
    return {
        "id": SeriesId(UUID(int=number)),
        "workspaceId": space,
        "recurrence": {
            "rule": "FREQ=DAILY",
            "cron": None,
            "start": {"date": "2026-11-23", "time": "09:30"},
            "timeZone": "Europe/Paris",
            "policies": {
                "gap": "SHIFT",
                "overlap": "FIRST",
                "monthEnd": "SKIP",
                "anchor": "SCHEDULE",
                "catchUp": "ONE",
                "open": "ALLOW",
            },
        }
        | given.pop("recurrence", {}),
        "summary": 'Every "day"',
        "isPaused": False,
        "nextAt": "2026-11-24T08:30:00+00:00",
        "endedAt": None,
        "version": 3,
        **given,
    }


SERIES = [
    _recurring(51, HOME),
    _recurring(52, HOME, isPaused=True, nextAt=None, recurrence={"rule": None, "cron": "@daily"}),
    _recurring(
        53,
        OTHER,
        endedAt="2026-11-23T12:00:00+00:00",
        nextAt=None,
        recurrence={"start": {"date": "2026-11-23", "time": None}},
    ),
]
_OCCURRENCES: dict[WorkspaceId, list[dict[str, Any]]] = {
    space: [
        {"series_id": one["id"], "slot": "2026-11-23T09:30"}
        for one in SERIES
        if one["workspaceId"] == space
    ]
    for space in (HOME, OTHER, FOREIGN)
}


def _tasks() -> list[Task]:
    random = Random(7)
    made: list[Task] = []
    for number in range(101, 146):
        space = FOREIGN if number > 140 else OTHER if number > 133 else HOME
        here = [t for t in made if t.workspace_id == space]
        day = NOW.date() + timedelta(days=random.randint(-3, 3))
        at = random.choice([None, time(9, 30), time(9, 30, 7)])
        tags = random.sample(range(41, 46), random.randint(0, 3))
        made.append(
            task(
                number,
                workspace_id=space,
                title=random.choice(TITLES),
                description=random.choice(["", "kitchen", "two\nlines \u0001"]),
                status=random.choice(list(Status)),
                priority=random.choice(list(Priority)),
                due=random.choice([None, due(day, at, PARIS, fold=False)]),
                category_id=random.choice([None, *(CategoryId(UUID(int=n)) for n in (31, 32))]),
                tag_ids=frozenset(TagId(UUID(int=n)) for n in tags),
                assignee_id=random.choice([None, ADA, BOB, DAN]),
                parent_id=random.choice([None, *[t.id for t in here]]) if here else None,
                position=f"V{random.randint(0, 9)}V",
                version=random.randint(1, 9),
                created_at=NOW + timedelta(microseconds=random.choice([0, 10, 123456, 120000])),
                updated_at=NOW + timedelta(seconds=random.randint(0, 3)),
                completed_at=random.choice([None, NOW]),
                deleted_at=random.choice([None, None, None, NOW]),
                **random.choice([{}, {}, *_OCCURRENCES[space]]),
            )
        )
    return made


def _slots(tasks: list[Task]) -> list[dict[str, Any]]:
    """Returns a ledger in which some of the tasks have their slots, and some slots no task."""
    random = Random(8)
    made = []
    for number, one in enumerate([*(t for t in tasks if t.series_id), *[None] * 12]):
        on_time = one is not None and one.due is not None and random.random() < 0.5
        at = NOW + timedelta(hours=number)
        if on_time and one is not None and one.due is not None:
            at = one.due.instant + timedelta(microseconds=number if one.due.at is None else 0)
        day = one.due.day if on_time and one is not None and one.due is not None else at.date()
        made.append(
            {
                "id": UUID(int=700 + number),
                "series": one.series_id if one else SERIES[number % 3]["id"],
                "slot": f"{day}T09:30",
                "at": at,
                "instant": instant_text(at),
                "state": "SPAWNED" if one else random.choice(["SKIPPED", "MISSED", "SPAWNED"]),
                "task": one and one.id,
            }
        )
    return made


def _labels(first: int, last: int, names: list[str]) -> list[dict[str, Any]]:
    return [
        {"id": UUID(int=n), "workspace": HOME, "name": names[n - first], "colour": f"#0000{n}"}
        for n in range(first, last)
    ]


CATEGORIES = _labels(31, 34, ["work", "Äpfel", "home"])
TAGS = _labels(41, 46, ["b", "a", "Ç", "c", "\u2028"])
MEMBERS: list[dict[str, Any]] = [
    {"id": UUID(int=20 + n), "workspace": space, "user": user, "role": role, "created_at": at}
    for n, (space, user, role, at) in enumerate(
        [
            (HOME, ADA, Role.OWNER, NOW),
            (HOME, BOB, Role.MEMBER, NOW),
            (OTHER, ADA, Role.VIEWER, NOW - timedelta(microseconds=1)),
            (OTHER, BOB, Role.ADMIN, NOW + timedelta(days=1)),
            (FOREIGN, CYD, Role.OWNER, NOW),
        ]
    )
]


def _shown(label: dict[str, Any]) -> dict[str, Any]:
    return {"name": label["name"], "colour": label["colour"]}


def _change(number: int, one: Task) -> Change:
    names = {label["id"]: label for label in (*CATEGORIES, *TAGS)}

    def label(id: UUID) -> Label:
        return Label(kind="tag", workspace_id=HOME, id=id, **_shown(names[id]))

    person = one.assignee_id
    display = Display(
        category=label(one.category_id) if one.category_id else None,
        tags=tuple(map(label, one.tag_ids)),
        assignee=User(id=person, name=PEOPLE[person]) if person else None,
    )
    return Change(
        id=ChangeId(UUID(int=900 + number)),
        stream=HOME,
        seq=number,
        kind="task.created",
        at=NOW + timedelta(microseconds=number * 1000),
        actor=None if number % 4 == 0 else ADA,
        actor_name=None if number % 4 == 0 else PEOPLE[ADA],
        subject=one.id,
        fields=("title", "due"),
        key=None if number % 3 else f"key {number}",
        payload=text(task_state(one, display)),
        version=1,
    )


@dataclass
class World:
    operations: Operations
    facts: Facts
    naive: GraphQLSchema
    documents: Documents


_INSERT_SERIES = """
INSERT INTO series (id, workspace_id, rule, cron, start_day, start_at, zone, gap, overlap,
    month_end, anchor, catch_up, open, summary, next_at, ended_at, is_paused, version, title,
    description, priority, tag_ids, skipped, current, done_until, made, rev)
VALUES ($1, $2, $3, $4, $5::text::date, $6, $7, $8, $9, $10, $11, $12, $13, $14,
    $15::text::timestamptz, $16::text::timestamptz, $17, $18, '', '', 1, '{}', '{}', $1, now(), 1,
    1)"""


def _series_row(one: Mapping[str, Any]) -> list[Any]:
    when = one["recurrence"]
    start, policies = when["start"], when["policies"]
    return [
        *(one["id"], one["workspaceId"], when["rule"], when["cron"], start["date"], start["time"]),
        *(when["timeZone"], *policies.values(), one["summary"], one["nextAt"], one["endedAt"]),
        *(one["isPaused"], one["version"]),
    ]


async def _fill_series(connection: asyncpg.Connection, facts: Facts) -> None:
    for s in facts.series:
        await connection.execute(_INSERT_SERIES, *_series_row(s))
    for s in facts.slots:
        await connection.execute(
            "INSERT INTO series_slot (series_id, slot, origin, instant, state, task_id)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            s["series"], s["slot"], s["id"], s["at"], s["state"], s["task"],
        )  # fmt: skip


async def _fill(connection: asyncpg.Connection, facts: Facts) -> None:  # noqa: C901 - flat
    for a in facts.accounts:
        await connection.execute(
            "INSERT INTO account VALUES ($1, $2, $2, $3, $4, 'x', $5)",
            a["id"], a["email"], a["name"], a["timeZone"], NOW,
        )  # fmt: skip
    for w in facts.workspaces:
        await connection.execute(
            "INSERT INTO workspace (id, name, created_at, head, head_hash, floor_hash)"
            " VALUES ($1, $2, $3, $4, '', '')",
            w["id"], w["name"], NOW, int(w["head"]),
        )  # fmt: skip
    for m in facts.members:
        await connection.execute(
            "INSERT INTO member VALUES ($1, $2, $3, $4, $5)",
            m["id"], m["workspace"], m["user"], int(m["role"]), m["created_at"],
        )  # fmt: skip
    for table, labels in (("category", facts.categories), ("tag", facts.tags)):
        for one in labels:
            await connection.execute(
                f"INSERT INTO {table} VALUES ($1, $2, $3, $4, $5)",  # noqa: S608
                one["id"], one["workspace"], one["name"], sort_key(one["name"]), one["colour"],
            )  # fmt: skip
    await _fill_series(connection, facts)
    await insert(connection, facts.tasks)
    for r in facts.reminders:
        day, nag = r["onDay"] or {}, r["nag"] or {}
        await connection.execute(
            "INSERT INTO reminder VALUES"
            " ($1, $2, $3, $4::text::timestamptz, $5, $6, $7, $8, $9, $10, false, $11)",
            r["id"], r["task"], r["user"], r["at"], r["beforeDue"], day.get("time"),
            day.get("daysBefore"), r["channels"], nag.get("every"), nag.get("times"), NOW,
        )  # fmt: skip
    for n in facts.notifications:
        await connection.execute(
            "INSERT INTO notification VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::timestamptz,"
            " $9::text::timestamptz, $10::text::timestamptz, $11)",
            n["id"], n["user"], n["kind"].upper(), n["title"], n["body"], n["workspaceId"],
            n["taskId"], n["createdAt"], n["readAt"], n["archivedAt"], int(n["seq"]),
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO user_stream (id, head, head_hash, floor_hash) VALUES ($1, $2, '', '')"
            " ON CONFLICT (id) DO UPDATE SET head = excluded.head",
            n["user"], int(n["seq"]),
        )  # fmt: skip
    for c in facts.changes:
        await connection.execute(
            "INSERT INTO change VALUES"
            " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, '{}', $11, '')",
            c.stream, c.seq, c.id, c.kind, instant_text(c.at), c.actor, c.actor_name, c.subject,
            list(c.fields), c.key, c.payload,
        )  # fmt: skip


def _facts() -> Facts:
    tasks = _tasks()
    mine = [t for t in tasks if t.workspace_id == HOME]
    return Facts(
        viewer=ADA,
        now=NOW,
        accounts=[
            {"id": who, "name": name, "email": f"{who.int}@x.org", "timeZone": "Europe/Paris"}
            for who, name in PEOPLE.items()
        ],
        workspaces=[
            {"id": space, "name": f"W{space.int}", "head": str(len(mine))}
            for space in (HOME, OTHER, FOREIGN)
        ],
        members=MEMBERS,
        categories=CATEGORIES,
        tags=TAGS,
        tasks=tasks,
        series=SERIES,
        slots=_slots(tasks),
        changes=[_change(number, one) for number, one in enumerate(mine, 1)],
        reminders=_reminders(mine),
        notifications=_notifications(),
    )


def _reminders(tasks: list[Task]) -> list[dict[str, Any]]:
    """Returns some of each kind, in the order in which they ring."""
    kinds: list[dict[str, Any]] = [
        {"beforeDue": "P1DT30M", "onDay": None, "nag": {"every": "PT1H30M", "times": 3}},
        {"beforeDue": None, "onDay": {"time": "09:00", "daysBefore": 0}, "nag": None},
        {"beforeDue": None, "onDay": {"time": "09:00:07", "daysBefore": 2}, "nag": None},
        {"beforeDue": None, "onDay": None, "nag": None},
    ]
    return [
        {
            "id": UUID(int=600 + number),
            "task": one.id,
            "user": (ADA, BOB, CYD)[number % 3],
            "at": None if number % 5 == 4 else instant_text(NOW + timedelta(seconds=number)),
            "channels": ["EMAIL", "PUSH"] if number % 2 else ["IN_APP"],
            **kinds[number % 4],
        }
        for number, one in enumerate([*tasks[:20], *tasks[:10]])
    ]


def _notifications() -> list[dict[str, Any]]:
    return [
        {
            "id": UUID(int=700 + number),
            "user": (ADA, CYD)[number % 2],
            "seq": str(number + 1),
            "kind": ("reminder", "digest")[number // 2 % 2],
            "title": TITLES[number % len(TITLES)],
            "body": "kitchen\nplan" if number % 3 else "",
            "workspaceId": None if number % 4 == 2 else HOME,
            "taskId": None if number % 4 == 2 else UUID(int=101),
            "createdAt": instant_text(NOW + timedelta(microseconds=number * 1000)),
            "readAt": instant_text(NOW) if number % 3 == 0 else None,
            "archivedAt": instant_text(NOW) if number % 6 == 0 else None,
        }
        for number in range(9)
    ]


def _pools(facts: Facts) -> dict[str, Any]:
    mine = [t for t in facts.tasks if t.workspace_id == HOME]
    cursors = [encode([Order(POSITION)], (t.position, t.id)) for t in mine[::5]]
    dues = [(t.due.instant if t.due else None, t.id) for t in mine[::7]]
    by_due = [encode([Order(KEYS["DUE"])], place) for place in dues]
    slots = [encode(HISTORY_ORDER, (s["at"], s["id"])) for s in facts.slots[::3]]
    joined = [encode(MEMBER_ORDER, (m["created_at"], m["id"])) for m in MEMBERS]
    spaces = [str(HOME)] * 8 + [str(OTHER), str(FOREIGN), NOBODY, "x"]
    tag, category = str(TAGS[0]["id"]), str(CATEGORIES[0]["id"])
    return {
        "Query.task.id": [str(t.id) for t in facts.tasks[::3]] + [NOBODY, "", str(UUID(int=44))],
        "Query.series.id": [*(str(one["id"]) for one in SERIES), NOBODY, ""],
        "Query.workspace.id": spaces,
        "workspaceId": spaces,
        "atLeast": [None, "0", "1"],
        "first": [None, 0, 1, 2, 3, 7],
        "Query.tasks.first": [None, 0, 1, 3, 7, 50, -1, 201],
        "Query.notifications.first": [0, 1, 2, 50, -1, 201],
        "Query.notifications.after": [None, None, "0", "2", "4", "1000"],
        "Query.changes.first": [0, 1, 5, 100, -1, 201],
        "Query.changes.after": ["0", "3", str(len(facts.changes)), "1000"],
        "Query.tasks.last": [None, None, None, 0, 2, 5, -2],
        "Query.tasks.after": [None, *cursors, *by_due, "garbage", ""],
        "Query.tasks.before": [None, None, *cursors, *by_due, "W10"],
        "Task.subtasks.after": [None, *cursors],
        "Workspace.members.after": [None, *joined],
        "Series.history.after": [None, *slots],
        "orderBy": [
            None,
            [],
            [{"field": "DUE"}],
            [{"field": "DUE", "direction": "DESC"}, {"field": "TITLE"}],
            [{"field": "PRIORITY", "direction": "DESC"}],
            [{"field": "CREATED_AT"}, {"field": "PRIORITY"}],
            [{"field": "UPDATED_AT", "direction": "DESC"}, {"field": "UPDATED_AT"}],
            [{"field": "TITLE"}],
            [{"field": "RANK"}],
        ],
        "filter": [
            None,
            {},
            {"status": {"in": ["OPEN", "DONE"]}, "priority": {"gte": "MEDIUM"}},
            {"tags": {"any": [tag]}, "isDeleted": None},
            {"not": {"tags": {"all": [tag]}}},
            {"or": [{"due": {"isNull": True}}, {"isOverdue": True}]},
            {"isDeleted": True, "category": {"eq": category}},
            {"due": {"gte": "2026-11-22T00:00:00Z", "dateLt": "2026-11-25"}},
            {"assignee": {"isNull": False}, "and": [{}, {"parent": {"isNull": True}}]},
            {"createdAt": {"lt": "2026-11-23T12:00:00.1+00:00"}},
            {"or": []},
            {"id": {"in": [str(mine[0].id), NOBODY]}},
            {"id": {"eq": "nonsense"}},
            {"isRecurring": True},
            {"isRecurring": False, "isDeleted": None},
            *({"search": one} for one in SEARCHES),
        ],
    }  # fmt: skip


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    facts = _facts()
    async with AsyncExitStack() as stack:
        connection = await connect(database_url)
        await _fill(connection, facts)
        facts.searches = {one: await _found(connection, one) for one in SEARCHES}
        await connection.close()
        generic, custom = [
            await stack.enter_async_context(Lanes(database_url, LaneOptions(size=1, plans=plans)))
            for plans in ("force_generic_plan", "force_custom_plan")
        ]
        clock = FixedClock()
        reader = PostgresReader(
            ReadLanes(generic=generic, custom=custom), PostgresLog(generic), clock
        )
        schema = build()
        core = schema._schema
        # Queries ask for no use case.
        operations = Operations(
            schema,
            Readers(answers=reader, messages=reader),
            cast("UseCases", None),
            PersistedQueries(PostgresStateStore(generic)),
        )
        documents = Documents(core, Random(0), _pools(facts))
        yield World(operations, facts, plain(build()._schema, facts), documents)


async def _found(connection: asyncpg.Connection, search: str) -> dict[UUID, float]:
    asked = query(search)
    rows = await connection.fetch(
        "SELECT id, -ts_rank(search, to_tsquery('simple', $2))::float8 AS rank FROM task"
        " WHERE search @@ to_tsquery('simple', $1)",
        asked.match,
        asked.rank,
    )
    # A cursor writes a zero as PostgreSQL does.
    return {row["id"]: row["rank"] or 0 for row in rows}


Told = tuple[str | None, set[tuple[str, str]]]


async def _planned(world: World, document: str, variables: dict[str, Any]) -> Told:
    caller = Caller(viewer=None)
    if world.facts.viewer is not None:
        session = SessionId(UUID(int=1))
        viewer = Viewer(user=UserId(world.facts.viewer), session=session, expires_at=NOW)
        caller = Caller(viewer=viewer)
    payload = {"query": document, "variables": variables}
    answer = json.loads(await world.operations.execute(caller, payload))
    answer["data"].pop("meta", None)
    errors = answer.get("errors", ())
    return json.dumps(answer["data"]), {(e["path"][0], e["extensions"]["code"]) for e in errors}


async def _plainly(world: World, document: str, variables: dict[str, Any]) -> Told:
    parsed = parse(document)
    assert validate(world.naive, parsed) == []
    result: Any = execute(world.naive, parsed, variable_values=variables)
    if hasattr(result, "__await__"):
        result = await result
    told = [failure(error, None) for error in result.errors or ()]
    errors = {
        (cast("list[str]", one["path"])[0], cast("dict[str, str]", one["extensions"])["code"])
        for one in told
    }
    return json.dumps(result.data), errors


async def _compare(world: World, count: int) -> dict[str, int]:
    """Returns how many documents had an answer, an error, or were refused as too costly."""
    seen = {"data": 0, "errors": 0, "refused": 0}
    for _ in range(count):
        document, variables = world.documents.one()
        by_executor = document.replace("{", "{ meta: __schema { queryType { name } } ", 1)
        if "(" in document.split("{", 1)[0]:
            head, _, rest = document.partition(") {")
            by_executor = f"{head}) {{ meta: __schema {{ queryType {{ name }} }} {rest}"
        try:
            planned = await _planned(world, document, variables)
            executed = await _planned(world, by_executor, variables)
        except Rejected as rejected:
            told = cast("dict[str, str]", rejected.errors[0]["extensions"])
            if told["code"] not in ("TOO_COSTLY", "LIMIT_EXCEEDED"):
                raise
            seen["refused"] += 1
            continue
        assert executed == planned, document
        assert await _plainly(world, document, variables) == planned, (document, variables)
        seen["errors" if planned[1] else "data"] += 1
    return seen


@pytest.mark.parametrize("seed", range(4))
async def test_a_query_has_one_answer_whoever_makes_it(world: World, seed: int) -> None:
    world.documents.random.seed(seed)
    world.documents.without = frozenset({"Query.changes", "Query.recurrencePreview"})

    seen = await _compare(world, 150)

    assert seen["data"] > 75
    assert seen["errors"] > 15


async def test_so_has_a_page_of_the_log(world: World) -> None:
    world.documents.random.seed(99)
    # What a change holds; deeper selections show the present, which has a test of its own.
    world.documents.without = frozenset(
        {
            *(f"Query.{name}" for name in ("viewer", "workspace", "task", "tasks", "series")),
            *("Query.notifications", "Query.notificationPreferences", "Task.reminders"),
            *("Query.recurrencePreview", "Task.subtasks", "Task.parent", "Task.series"),
            *("Change.series", "User.email"),
        }
    )

    seen = await _compare(world, 100)

    assert seen["data"] > 25


async def test_nobody_learns_anything(world: World) -> None:
    world.documents.random.seed(5)
    world.documents.without = frozenset({"Query.changes", "Query.recurrencePreview"})
    world.facts.viewer = None

    seen = await _compare(world, 60)

    assert seen["errors"] > 30


async def test_a_stranger_sees_their_own_and_no_more(world: World) -> None:
    world.documents.random.seed(6)
    world.documents.without = frozenset({"Query.changes", "Query.recurrencePreview"})
    world.facts.viewer = CYD

    seen = await _compare(world, 60)

    assert seen["errors"] > 10
