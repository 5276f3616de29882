"""No answer costs without bound: what it may cost is known before, its bytes while it is made."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import asyncpg
import pytest

from carillon.graphql import build
from domain import tasks
from domain.access import Viewer
from domain.errors import OverLimit
from domain.ids import SessionId, TaskId
from infra.clock import SystemClock
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.plans import PostgresReader, ReadLanes
from infra.postgres.state import PostgresStateStore
from resolvers.cost import COST_MAX, MESSAGE_COST_MAX
from resolvers.execution import Caller, Operations
from resolvers.limits import KEY_MAX_CHARS, PAGES_MAX
from resolvers.persisted import PersistedQueries
from resolvers.preparation import Readers
from resolvers.responses import Rejected
from resolvers.streams import Opened
from resolvers.subscription import ChangeStream
from tests.worlds import World

MOST = 200_000
# Ten of them are more than an answer may have.
TEXT = "x" * 20_000
LATER = datetime.now(UTC) + timedelta(hours=1)


@dataclass
class Setting:
    """A task with twelve children, all with long texts; answers have at most MOST bytes."""

    world: World
    lanes: Lanes
    operations: Operations
    root: TaskId

    def filled(self, query: str) -> dict[str, Any]:
        return {
            "query": query.replace("$w", f'"{self.world.home}"').replace("$t", f'"{self.root}"')
        }

    @property
    def ada(self) -> Caller:
        session = SessionId(uuid4())
        return Caller(viewer=Viewer(user=self.world.ada, session=session, expires_at=LATER))

    async def send(self, query: str) -> Any:
        return json.loads(await self.operations.execute(self.ada, self.filled(query)))

    async def subscribe(self, query: str) -> Opened:
        return await self.operations.subscribe(self.ada, self.filled(query))


@pytest.fixture
async def setting(world: World, database_url: str) -> AsyncIterator[Setting]:
    root = await world.task("root", description=TEXT)
    for number in range(12):
        await world.task(f"child {number}", description=TEXT, parent=root)
    for number in range(30):
        await world.workspaces.create(world.command(), None, f"{number:0200}")
    async with AsyncExitStack() as stack:
        lanes = await stack.enter_async_context(Lanes(database_url, LaneOptions(size=1)))
        log = PostgresLog(lanes)
        reader = PostgresReader(ReadLanes(generic=lanes, custom=lanes), log, SystemClock(), MOST)
        operations = Operations(
            build(),
            Readers(answers=reader, messages=reader),
            world.use_cases,
            PersistedQueries(PostgresStateStore(lanes)),
            answer_max_bytes=MOST,
        )
        yield Setting(world, lanes, operations, root)


def codes(answer: Any) -> dict[str, str]:
    """The code of each root's error."""
    return {error["path"][0]: error["extensions"]["code"] for error in answer.get("errors", ())}


PAGE = "tasks(workspaceId: $w, first: %d) { nodes { title description } }"
SUBTASKS = "subtasks(first: %d) { nodes { description } }"
LOG = 'changes(workspaceId: $w, after: "%s", first: %d) { nodes { task { %s } } }'
META = "__schema { queryType { name } }"


def under_names(count: int, field: str) -> str:
    """The field under so many names."""
    return " ".join(f"name{number}: {field}" for number in range(count))


@pytest.mark.parametrize(
    "_case, query",
    [
        ("a page", "{ a: " + PAGE % 12 + " }"),
        ("edges", "{ a: tasks(workspaceId: $w) { edges { node { description } } } }"),
        (
            "both",
            "{ a: tasks(workspaceId: $w, first: 6) {"
            " nodes { description } edges { node { description } } } }",
        ),
        ("a page below", "{ a: task(id: $t) { " + SUBTASKS % 12 + " } }"),
        (
            "pages side by side",
            "{ a: task(id: $t) { b: " + SUBTASKS % 6 + " c: " + SUBTASKS % 6 + " } }",
        ),
        (
            "the same parent again and again",
            "{ a: tasks(workspaceId: $w) { nodes { parent { description } } } }",
        ),
        (
            "pages in a page",
            "{ a: tasks(workspaceId: $w) { nodes { parent { " + SUBTASKS % 1 + " } } } }",
        ),
        ("all workspaces", "{ a: viewer { workspaces { " + under_names(40, "name") + " } } }"),
        ("the log", "{ a: " + LOG % ("2", 100, "description") + " }"),
        (
            "below the log",
            "{ a: " + LOG % ("14", 1, "parent { " + SUBTASKS % 12 + " }") + " }",
        ),
        ("the executor", "{ " + META + " a: " + PAGE % 12 + " }"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_too_long_is_refused(
    setting: Setting, _case: str, query: str
) -> None:
    answer = await setting.send(query)

    assert codes(answer) == {"a": "LIMIT_EXCEEDED"}
    assert answer["data"]["a"] is None
    assert f"{MOST} bytes" in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    "_case, query",
    [
        ("pages", "{ a: " + PAGE % 6 + " b: " + PAGE % 6 + " c: task(id: $t) { title } }"),
        ("through the executor", "{ " + META + " a: " + PAGE % 6 + " b: " + PAGE % 6 + " }"),
        ("and the log", "{ a: " + LOG % ("2", 6, "description") + " b: " + PAGE % 6 + " }"),
    ],
)  # fmt: skip
async def test_roots_share_what_one_answer_may_have(
    setting: Setting, _case: str, query: str
) -> None:
    alone = await setting.send("{ a: " + PAGE % 6 + " }")
    together = await setting.send(query)

    assert len(alone["data"]["a"]["nodes"]) == 6
    assert "b" in codes(together)
    assert together["data"]["b"] is None
    assert set(codes(together).values()) == {"LIMIT_EXCEEDED"}
    assert len(json.dumps(together)) < MOST


async def test_what_stays_within_its_bytes_is_answered_as_ever(setting: Setting) -> None:
    below = (
        "{ a: task(id: $t) { title b: " + SUBTASKS % 4 + " id c: " + SUBTASKS % 4 + " version } }"
    )
    answer = await setting.send(below)

    page = {"nodes": [{"description": TEXT}] * 4}
    task = {"title": "root", "b": page, "id": str(setting.root), "c": page, "version": 1}
    assert answer["data"] == {"a": task}
    assert list(answer["data"]["a"]) == list(task)


async def test_a_mutation_whose_answer_is_too_long_says_that_it_was_carried_out(
    setting: Setting,
) -> None:
    head = await setting.world.head()
    deep = (
        'mutation { a: taskUpdate(id: $t, input: {title: "deep"}) { task { '
        + SUBTASKS % 12
        + " } } }"
    )
    wide = (
        'mutation { a: taskUpdate(id: $t, input: {title: "wide"}) { task { '
        + under_names(11, "description")
        + " } } }"
    )

    for query, said in ((deep, "This was carried out."), (wide, "All of this was carried out or")):
        answer = await setting.send(query)

        assert codes(answer) == {"a": "LIMIT_EXCEEDED"}
        assert answer["errors"][0]["message"].startswith(said)
    assert await setting.world.head() == head + 2


async def test_the_database_stops_where_an_answer_becomes_too_long(setting: Setting) -> None:
    # Eighty megabytes of descriptions; their JSON would pass through its memory three times.
    await setting.lanes.fetch(
        """INSERT INTO task SELECT gen_random_uuid(), workspace_id, title, title_key,
            repeat('\U0001f514', 100000), status, priority, due_day, due_at, due_zone, due_fold,
            due_instant, category_id, tag_ids, assignee_id, parent_id, position || n, version,
            created_at, updated_at, completed_at, deleted_at, search
        FROM task, generate_series(1, 200) AS n WHERE id = $1""",
        setting.root,
    )
    pid = await setting.lanes.fetchval("SELECT pg_backend_pid()")
    roots = " ".join(
        f"r{n}: tasks(workspaceId: $w, last: 200) {{ nodes {{ description }} }}" for n in range(6)
    )

    answer = await setting.send(
        "{ a: tasks(workspaceId: $w, last: 200) { nodes { description } } }"
    )
    more = await setting.send("{ " + roots + " }")

    assert codes(answer) == {"a": "LIMIT_EXCEEDED"}
    assert set(codes(more).values()) == {"LIMIT_EXCEEDED"}
    assert peak_kib(pid) < 60_000


@pytest.mark.parametrize(
    "_case, query",
    [
        ("roots", "{ " + under_names(3, PAGE % 6) + " }"),
        ("pages", "{ a: task(id: $t) { " + under_names(3, SUBTASKS % 6) + " } }"),
    ],
)
async def test_the_database_makes_no_part_where_those_before_left_no_room(
    setting: Setting, _case: str, query: str
) -> None:
    payload = setting.filled(query)
    operation, values = await setting.operations._operation(setting.ada, payload)
    preparation = operation.preparation(values)
    asked, pages = preparation.ask(values)
    assert preparation.whole is not None

    with pytest.raises(OverLimit) as refused:
        await preparation.whole.read(setting.world.ada, [one.read for one in asked], pages)

    assert isinstance(refused.value.__cause__, asyncpg.PostgresError)


def peak_kib(pid: int) -> int:
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(row for row in rows if row.startswith("VmHWM:")).split()[1])


DEEP = (
    "changes(workspaceId: $w) { seq"
    " ... on Change { task { subtasks(first: %d) { nodes { title } } } } }"
)


async def test_a_subscription_costs_what_one_message_may_cost(setting: Setting) -> None:
    cheap = await setting.subscribe("subscription { changes(workspaceId: $w) { seq } }")
    deep = await setting.subscribe("subscription { " + DEEP % 200 + " }")

    assert isinstance(cheap, ChangeStream)
    assert isinstance(deep, ChangeStream)
    assert (cheap.cost, deep.cost) == (1, 1 + 1 + 1 + 200)


@pytest.mark.parametrize(
    "below",
    [
        "subtasks(first: 200) { nodes { subtasks(first: 200) { nodes { title } } } }",
        "subtasks(first: 200) { nodes { tags { name } } }",
        under_names(6, "description"),
    ],
)
async def test_a_subscription_that_costs_too_much_is_refused_before_it_begins(
    setting: Setting, below: str
) -> None:
    opened = await setting.subscribe(
        "subscription { changes(workspaceId: $w) { ... on Change { task { " + below + " } } } }"
    )

    assert isinstance(opened, list)
    (error,) = opened
    assert cast("dict[str, str]", error["extensions"])["code"] == "TOO_COSTLY"
    assert f"at most {MESSAGE_COST_MAX}" in str(error["message"])


async def test_a_message_that_goes_deep_is_bounded_while_it_is_read(setting: Setting) -> None:
    stream = cast(
        "ChangeStream",
        await setting.subscribe(
            "subscription { changes(workspaceId: $w) { ... on Change { task { "
            + SUBTASKS % 12
            + " } } } }"
        ),
    )
    (change,) = await PostgresLog(setting.lanes).read(setting.world.home, 2, 1)

    with pytest.raises(OverLimit):
        await cast("Any", stream.render(change))


async def test_a_message_that_repeats_a_long_text_is_refused(setting: Setting) -> None:
    await setting.world.task("long", description="\U0001f514" * tasks.DESCRIPTION_MAX_CHARS)
    (change,) = await PostgresLog(setting.lanes).read(
        setting.world.home, await setting.world.head() - 1, 1
    )

    once, thrice = [
        await setting.subscribe(
            "subscription { changes(workspaceId: $w) { ... on Change { task { "
            + under_names(count, "description")
            + " } } } }"
        )
        for count in (1, 3)
    ]

    assert len(cast("bytes", cast("ChangeStream", once).render(change))) > 400_000
    with pytest.raises(OverLimit):
        cast("ChangeStream", thrice).render(change)


@pytest.mark.parametrize(
    "_case, query",
    [
        (
            "names for all tags",
            "{ workspace(id: $w) { " + under_names(41, "tags { id }") + " } }",
        ),
        (
            "a long text under many names",
            "{ task(id: $t) { " + under_names(42, "description") + " } }",
        ),
        (
            "long texts",
            "{ " + under_names(19, PAGE % 200) + " }",
        ),
        (
            "tags",
            "{ " + under_names(4, PAGE.replace("title description", "tags { id }") % 200) + " }",
        ),
    ],
)  # fmt: skip
async def test_what_costs_too_much_is_refused_before_anything_is_read(
    setting: Setting, _case: str, query: str
) -> None:
    with pytest.raises(Rejected) as rejected:
        await setting.send(query)

    (error,) = rejected.value.errors
    assert cast("dict[str, str]", error["extensions"])["code"] == "TOO_COSTLY"
    assert rejected.value.cost is not None
    assert rejected.value.cost > COST_MAX


@pytest.mark.parametrize(
    "_case, query",
    [
        ("a long alias", "{ task(id: $t) { " + "a" * (KEY_MAX_CHARS + 1) + ": id } }"),
        (
            "many connections",
            "{ task(id: $t) { " + under_names(PAGES_MAX + 1, SUBTASKS % 1) + " } }",
        ),
    ],
)  # fmt: skip
async def test_documents_that_are_too_large_are_refused(
    setting: Setting, _case: str, query: str
) -> None:
    with pytest.raises(Rejected) as rejected:
        await setting.send(query)

    (error,) = rejected.value.errors
    assert cast("dict[str, str]", error["extensions"])["code"] == "LIMIT_EXCEEDED"


async def test_the_largest_screens_are_within_the_cost(setting: Setting) -> None:
    """Two columns of 200 tasks with all that a list shows; all workspaces with their labels."""
    task = """id title description status priority due { date time instant } position version
        category { name colour } tags { id name colour } assignee { name } parent { id }"""
    column = "tasks(workspaceId: $w, first: 200) { totalCount seq nodes { " + task + " } }"
    spaces = """viewer { workspaces {
        name viewerRole categories { name colour } tags { name colour }
        members(first: 50) { nodes { role user { name } } } } }"""

    for query in ("{ a: " + column + " b: " + column + " }", "{ " + spaces + " }"):
        payload = setting.filled(query)
        operation, values = await setting.operations._operation(setting.ada, payload)
        preparation = operation.preparation(values)

        assert preparation.cost(*preparation.ask(values)) <= COST_MAX
