"""What reads show of a real workspace: its log with the present below, waits, kept plans."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from carillon.cleanup import purges
from carillon.graphql import build
from carillon.settings import Settings
from domain.access import Viewer
from domain.ids import SessionId, TaskId, UserId, WorkspaceId
from domain.messages import CaughtUp, ResyncReason, ResyncRequired
from domain.services.task_patch import TaskPatch
from domain.workspaces import Role
from infra.clock import SystemClock
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.plans import SHAPES_MAX, PostgresRead, PostgresReader, ReadLanes
from infra.postgres.state import PostgresStateStore
from resolvers.documents import DOCUMENTS_MAX, Documents
from resolvers.execution import Caller, Operations
from resolvers.persisted import PersistedQueries
from resolvers.preparation import Readers
from resolvers.responses import Rejected
from resolvers.streams import Stream
from tests.worlds import World

REACH_WAIT_S = 1.0
LATER = datetime.now(UTC) + timedelta(hours=1)


@dataclass
class Setting:
    world: World
    reader: PostgresReader
    operations: Operations
    bob: UserId
    log: PostgresLog

    def caller(self, user: UserId | None = None) -> Caller:
        session = SessionId(uuid4())
        who = user or self.world.ada
        return Caller(viewer=Viewer(user=who, session=session, expires_at=LATER))

    async def send(self, query: str, user: UserId | None = None, **variables: Any) -> Any:
        payload = {"query": query, "variables": variables}
        return json.loads(await self.operations.execute(self.caller(user), payload))

    async def ask(self, query: str, user: UserId | None = None, **variables: Any) -> Any:
        answer = await self.send(query, user, **variables)
        assert "errors" not in answer, answer
        return answer["data"]


@pytest.fixture
async def setting(world: World, database_url: str) -> AsyncIterator[Setting]:
    bob, _ = await world.sign_up("Bob")
    await world.workspaces.add_member(
        world.command(), world.home, f"{bob}@example.com", Role.MEMBER
    )
    async with AsyncExitStack() as stack:
        lanes = await stack.enter_async_context(Lanes(database_url, LaneOptions(size=2)))
        log = PostgresLog(lanes)
        reader = PostgresReader(ReadLanes(generic=lanes, custom=lanes), log, SystemClock())
        operations = Operations(
            build(),
            Readers(answers=reader, messages=reader),
            world.use_cases,
            PersistedQueries(PostgresStateStore(lanes)),
            reach_wait_s=REACH_WAIT_S,
        )
        yield Setting(world, reader, operations, bob, log)


async def test_a_change_shows_its_moment_and_the_present_only_below_it(setting: Setting) -> None:
    world = setting.world
    old, new = await world.task("old parent"), await world.task("new parent")
    task = await world.task("then", assignee=setting.bob, parent=old)
    await world.task("child", parent=task)
    change = TaskPatch(title="now", assignee=world.ada, parent=new)
    await world.tasks.update(world.command(), task, change, None)
    await world.tasks.update(world.command(), old, TaskPatch(title="renamed parent"), None)
    query = """query ($w: ID!) { changes(workspaceId: $w, after: "5") { nodes {
        kind actor { name email }
        task { title version assignee { name EMAIL } parent { id title } subtasks { totalCount } }
    } hasNextPage head } }"""

    present = await setting.ask(query.replace("EMAIL", "email"), w=str(world.home))
    await world.workspaces.remove_member(world.command(), world.home, setting.bob)
    gone = await setting.ask(query.replace("EMAIL", "email"), w=str(world.home))

    nodes = present["changes"]["nodes"]
    assert [(node["kind"], node["task"]["title"]) for node in nodes] == [
        ("task.created", "then"),
        ("task.created", "child"),
        ("task.updated", "now"),
        ("task.updated", "renamed parent"),
    ]
    assert nodes[0] == {
        "kind": "task.created",
        "actor": {"name": "Ada", "email": f"{world.ada}@example.com"},
        "task": {
            "title": "then",
            "version": 1,
            "assignee": {"name": "Bob", "email": f"{setting.bob}@example.com"},
            "parent": {"id": str(old), "title": "renamed parent"},
            "subtasks": {"totalCount": 1},
        },
    }
    assert nodes[2]["task"] == {
        "title": "now",
        "version": 2,
        "assignee": {"name": "Ada", "email": f"{world.ada}@example.com"},
        "parent": {"id": str(new), "title": "new parent"},
        "subtasks": {"totalCount": 1},
    }
    # Once gone, somebody is known by name only.
    assert gone["changes"]["nodes"][0]["task"]["assignee"] == {"name": "Bob", "email": None}
    assert (present["changes"]["hasNextPage"], present["changes"]["head"]) == (False, "9")


CREATE = """mutation ($w: ID!, $i: TaskCreateInput!) { taskCreate(workspaceId: $w, input: $i) {
    task { id title version BELOW } seq userErrors { code } } }"""


@pytest.mark.parametrize(
    "_case, below, then, now",
    [
        ("flat", "", {}, {}),
        ("a connection", "subtasks { totalCount }", {"subtasks": {"totalCount": 0}}, 1),
        ("an address", "assignee { name email }", None, None),
    ],
)
async def test_a_repeat_answers_with_the_change_made_then_however_deep_it_asks(
    setting: Setting, _case: str, below: str, then: dict[str, Any] | None, now: Any
) -> None:
    world = setting.world
    given = {"title": "then", "assigneeId": str(setting.bob), "clientMutationId": "k" * 20}
    query = CREATE.replace("BELOW", below)
    address = {"assignee": {"name": "Bob", "email": f"{setting.bob}@example.com"}}

    first = await setting.ask(query, w=str(world.home), i=given)
    task = TaskId(UUID(first["taskCreate"]["task"]["id"]))
    patch = TaskPatch(title="now", assignee=world.ada)
    await world.tasks.update(world.command(), task, patch, None)
    await world.task("child", parent=task)
    again = await setting.ask(query, w=str(world.home), i=given)

    shallow = {"id": str(task), "title": "then", "version": 1}
    assert first["taskCreate"]["task"] == shallow | (address if then is None else then)
    deep = {"subtasks": {"totalCount": now}} if now else {}
    assert again["taskCreate"]["task"] == shallow | (address if now is None else deep)
    assert again["taskCreate"]["seq"] == first["taskCreate"]["seq"]


async def test_a_stale_version_shows_the_current_state_and_the_present_below(
    setting: Setting,
) -> None:
    task = await setting.world.task("current")
    await setting.world.task("child", parent=task)
    query = """mutation ($id: ID!) { taskUpdate(id: $id, input: {expectedVersion: 9, title: "x"}) {
        task { title version subtasks { nodes { title } } } userErrors { code } } }"""

    data = await setting.ask(query, id=str(task))

    shown = {"title": "current", "version": 1, "subtasks": {"nodes": [{"title": "child"}]}}
    assert data["taskUpdate"] == {"task": shown, "userErrors": [{"code": "STALE_VERSION"}]}


async def test_payloads_of_workspaces_and_members_show_what_lies_below(setting: Setting) -> None:
    cyd, _ = await setting.world.sign_up("Cyd")
    query = """mutation ($w: ID!, $email: String!, $cyd: ID!) {
        made: workspaceCreate(input: {name: "New"}) { workspace {
            name viewerRole members { nodes { role user { name } } } categories { id } } }
        added: memberAdd(workspaceId: $w, input: {email: $email, role: MEMBER}) {
            member { role user { name email } } }
        removed: memberRemove(workspaceId: $w, userId: $cyd) {
            workspace { id members { totalCount } } seq }
    }"""

    email = f"{cyd}@example.com"
    data = await setting.ask(query, w=str(setting.world.home), email=email, cyd=str(cyd))

    assert data["made"]["workspace"] == {
        "name": "New",
        "viewerRole": "OWNER",
        "members": {"nodes": [{"role": "OWNER", "user": {"name": "Ada"}}]},
        "categories": [],
    }
    assert data["added"]["member"] == {"role": "MEMBER", "user": {"name": "Cyd", "email": email}}
    home = {"id": str(setting.world.home), "members": {"totalCount": 2}}
    assert data["removed"] == {"workspace": home, "seq": "5"}


async def test_who_leaves_a_workspace_is_shown_nothing_of_it(setting: Setting) -> None:
    query = """mutation ($w: ID!, $u: ID!) { memberRemove(workspaceId: $w, userId: $u) {
        workspace { id } seq userErrors { code } } }"""

    data = await setting.ask(query, setting.bob, w=str(setting.world.home), u=str(setting.bob))

    assert data["memberRemove"] == {"workspace": None, "seq": "4", "userErrors": []}


async def test_a_member_who_is_gone_stays_as_the_log_shows_them(setting: Setting) -> None:
    world = setting.world
    await world.workspaces.remove_member(world.command(), world.home, setting.bob)

    data = await setting.ask(
        """query ($w: ID!) { changes(workspaceId: $w, after: "3") { nodes {
            kind member { role user { name email } } } } }""",
        w=str(world.home),
    )

    bob = {"role": "MEMBER", "user": {"name": "Bob", "email": None}}
    assert data["changes"]["nodes"] == [{"kind": "member.removed", "member": bob}]


async def test_the_log_shows_a_purged_task_as_it_was_and_then_none(setting: Setting) -> None:
    world, settings = setting.world, Settings(keep_trash_days=1)
    head = await world.head()
    task = await world.task("milk")
    await world.tasks.delete(world.command(), task, None)
    await world.lanes.fetch("UPDATE task SET deleted_at = '2026-01-01Z' WHERE id = $1", task)
    trash = purges(settings, world.lanes)[-1]
    assert [count async for count in trash.batches(datetime.now(UTC))] == [0, 1]
    query = """query ($w: ID!, $a: Sequence!) {{ changes(workspaceId: $w, after: $a) {{ nodes {{
        kind subjectId task {{ title {below} }} }} }} }}"""

    async def seen(below: str) -> list[Any]:
        asked = query.format(below=below)
        data = await setting.ask(asked, w=str(world.home), a=str(head))
        assert {node["subjectId"] for node in data["changes"]["nodes"]} == {str(task)}
        return [(node["kind"], node["task"]) for node in data["changes"]["nodes"]]

    milk = {"title": "milk"}
    kinds = ("task.created", "task.deleted", "task.purged")
    assert await seen("") == list(zip(kinds, (milk, milk, None), strict=True))
    # What lies below it is read as it is now, and there is nothing any more.
    assert await seen("subtasks { totalCount }") == [(kind, None) for kind in kinds]


@pytest.mark.parametrize(
    "after, floor, expected",
    [
        (99, 0, {"seq": "99", "reason": "LOG_RESTORED", "head": "3"}),
        (1, 2, {"seq": "1", "reason": "LOG_PRUNED", "head": "3"}),
        (2, 2, None),
    ],
)
async def test_a_page_that_the_log_cannot_continue_says_so(
    setting: Setting, after: int, floor: int, expected: dict[str, str] | None
) -> None:
    home = setting.world.home
    await setting.world.lanes.fetch("UPDATE workspace SET floor = $2 WHERE id = $1", home, floor)

    data = await setting.ask(
        """query ($w: ID!, $a: Sequence!) { changes(workspaceId: $w, after: $a) {
            resyncRequired { seq reason head } hasNextPage nodes { seq } } }""",
        w=str(home),
        a=str(after),
    )

    page = data["changes"]
    assert page["resyncRequired"] == expected
    assert page["hasNextPage"] is False
    assert page["nodes"] == ([] if expected else [{"seq": "3"}])


async def test_at_least_waits_for_its_number(setting: Setting) -> None:
    world = setting.world
    head = await world.head()
    asked = asyncio.create_task(
        setting.ask(
            """query ($w: ID!, $n: Sequence!) {
                tasks(workspaceId: $w, atLeast: $n) { seq nodes { title } } }""",
            w=str(world.home),
            n=str(head + 1),
        )
    )
    await asyncio.sleep(0.1)
    assert not asked.done()

    await world.task("awaited")

    assert (await asked)["tasks"] == {"seq": str(head + 1), "nodes": [{"title": "awaited"}]}


@pytest.mark.parametrize(
    "field",
    [
        'workspace(id: $w, atLeast: "999") { id }',
        'task(id: $t, atLeast: "999") { id }',
        'tasks(workspaceId: $w, atLeast: "999") { seq }',
    ],
)
async def test_at_least_gives_up_in_time_and_leaves_the_neighbours(
    setting: Setting, field: str
) -> None:
    ids: dict[str, Any] = {"w": str(setting.world.home), "t": str(await setting.world.task())}
    beside = "b: task(id: $t) { id } c: workspace(id: $w) { id }"
    query = f"query ($w: ID!, $t: ID!) {{ a: {field} {beside} }}"

    answer = await setting.send(query, **ids)

    assert answer["data"] == {"a": None, "b": {"id": ids["t"]}, "c": {"id": ids["w"]}}
    assert [e["extensions"]["code"] for e in answer["errors"]] == ["UNAVAILABLE"]
    assert answer["errors"][0]["path"] == ["a"]


async def test_all_roots_of_a_request_wait_as_long_as_one(setting: Setting) -> None:
    far = " ".join(f'a{n}: workspace(id: $w, atLeast: "999") {{ id }}' for n in range(6))
    query = f"query ($w: ID!) {{ {far} b: workspace(id: $w) {{ id }} }}"
    began = time.monotonic()

    answer = await setting.send(query, w=str(setting.world.home))

    assert time.monotonic() - began < 2 * REACH_WAIT_S
    assert [e["extensions"]["code"] for e in answer["errors"]] == ["UNAVAILABLE"] * 6
    assert answer["data"]["b"] == {"id": str(setting.world.home)}


async def test_a_stranger_is_not_kept_waiting_for_what_they_cannot_see(setting: Setting) -> None:
    stranger, _ = await setting.world.sign_up("Cyd")
    query = """query ($w: ID!) { workspace(id: $w, atLeast: "999") { id }
        tasks(workspaceId: $w, atLeast: "999") { seq } }"""

    async with asyncio.timeout(1):
        answer = await setting.send(query, stranger, w=str(setting.world.home))

    assert answer["data"] == {"workspace": None, "tasks": None}
    assert [e["extensions"]["code"] for e in answer["errors"]] == ["NOT_FOUND"]


async def test_bad_arguments_below_a_root_are_the_roots_error(setting: Setting) -> None:
    home = str(setting.world.home)
    task = str(await setting.world.task())

    answer = await setting.send(
        """query ($w: ID!, $t: ID!) {
            a: task(id: $t) { subtasks(first: -1) { seq } }
            b: workspace(id: $w) { members(after: "x") { nodes { id } } }
            c: workspace(id: $w) { members(first: 201) { nodes { id } } }
            d: task(id: $t) { title }
        }""",
        w=home,
        t=task,
    )

    assert answer["data"] == {"a": None, "b": None, "c": None, "d": {"title": "Buy milk"}}
    assert [(e["path"], e["extensions"]["code"]) for e in answer["errors"]] == [
        (["a"], "MALFORMED"),
        (["b"], "MALFORMED"),
        (["c"], "LIMIT_EXCEEDED"),
    ]


async def test_objects_with_more_than_fifty_fields_are_whole(setting: Setting) -> None:
    task = str(await setting.world.task("wide"))
    names = [f"a{n}: title" for n in range(45)] + [f"b{n}: id" for n in range(40)]

    data = await setting.ask(f"query ($t: ID!) {{ task(id: $t) {{ {' '.join(names)} }} }}", t=task)

    assert list(data["task"]) == [name.split(":")[0] for name in names]
    assert set(data["task"].values()) == {"wide", task}


async def test_plans_are_kept_by_shape_and_bounded(setting: Setting) -> None:
    made: list[PostgresRead] = []
    prepare = setting.reader.prepare

    class Counting(PostgresReader):
        def prepare(self, selection: Any) -> PostgresRead:
            made.append(prepare(selection))
            return made[-1]

    counting = Counting(setting.reader._lanes, setting.log, SystemClock())
    setting.operations._documents._readers = Readers(answers=counting, messages=counting)
    query = """query ($w: ID!, $f: TaskFilter, $a: String) {
        tasks(workspaceId: $w, filter: $f, after: $a, first: 3) { seq } }"""
    home = str(setting.world.home)
    for search in ("a", "b", "c d"):
        await setting.ask(query, w=home, f={"search": search})
    await setting.ask(query, w=home)
    (root, whole) = made
    assert len(whole._plans) == 2

    names = ("createdAt", "updatedAt", "completedAt", "due", "category", "assignee", "parent")
    for number in range(2 ** len(names)):
        parts = {n: {"isNull": True} for at, n in enumerate(names) if number >> at & 1}
        await setting.ask(query, w=home, f=parts)

    assert len(whole._plans) == SHAPES_MAX
    assert len(root._plans) == 0


async def test_documents_are_kept_up_to_a_bound_and_only_if_valid(setting: Setting) -> None:
    readers = Readers(answers=setting.reader, messages=setting.reader)
    documents = Documents(setting.operations._core, readers)
    for number in range(DOCUMENTS_MAX + 10):
        documents.operation(f"{{ a{number}: viewer {{ id }} }}", None)

    first = documents.operation(f"{{ a{DOCUMENTS_MAX}: viewer {{ id }} }}", None)

    assert len(documents._known) == DOCUMENTS_MAX
    assert first is documents.operation(f"{{ a{DOCUMENTS_MAX}: viewer {{ id }} }}", None)
    assert documents._characters == sum(len(text) for text, _ in documents._known)


async def test_a_subscription_is_rendered_at_once_or_from_the_present(setting: Setting) -> None:
    world = setting.world
    await world.task("there")
    (change,) = await setting.log.read(world.home, 3, 10)
    query = """subscription ($w: ID!) { c: changes(workspaceId: $w, after: "3") {
        __typename seq ... on Change { task { title SUBTASKS } }
        ... on ResyncRequired { reason } } }"""

    shallow = await _opened(setting, query.replace("SUBTASKS", ""))
    deep = await _opened(setting, query.replace("SUBTASKS", "subtasks { totalCount }"))

    assert (shallow.key, shallow.workspace, shallow.after) == ("c", world.home, 3)
    at_once = shallow.render(change)
    assert isinstance(at_once, bytes)
    assert json.loads(at_once) == {
        "data": {"c": {"__typename": "Change", "seq": "4", "task": {"title": "there"}}}
    }
    later = deep.render(change)
    assert not isinstance(later, bytes)
    assert json.loads(await later)["data"]["c"]["task"] == {
        "title": "there",
        "subtasks": {"totalCount": 0},
    }
    assert shallow.render(CaughtUp(seq=9)) == b'{"data":{"c":{"__typename":"CaughtUp","seq":"9"}}}'
    resync = ResyncRequired(seq=1, reason=ResyncReason.LOG_RESTORED, head=0)
    assert b'"reason":"LOG_RESTORED"' in cast("bytes", shallow.render(resync))
    # Equal documents and pages make one group, whoever asks.
    assert shallow.group == (await _opened(setting, query.replace("SUBTASKS", ""))).group
    assert shallow.group != deep.group


async def _opened(setting: Setting, query: str) -> Stream:
    payload = {"query": query, "variables": {"w": str(setting.world.home)}}
    opened = await setting.operations.subscribe(setting.caller(), payload)
    assert not isinstance(opened, bytes | list), opened
    return opened


@pytest.mark.parametrize(
    "query, code",
    [
        ('subscription { changes(workspaceId: "x") { seq } }', "NOT_FOUND"),
        ('subscription { changes(workspaceId: "x", after: "-1") { seq } }', "MALFORMED"),
        ('subscription { changes(workspaceId: "x") { seq } viewer { id } }', "MALFORMED"),
        ("subscription { nothing }", "MALFORMED"),
        ("{ nothing }", "MALFORMED"),
    ],
)  # fmt: skip
async def test_what_cannot_be_subscribed_to_is_told(
    setting: Setting, query: str, code: str
) -> None:
    opened = await setting.operations.subscribe(setting.caller(), {"query": query})

    assert isinstance(opened, list)
    assert {cast("dict[str, str]", e["extensions"])["code"] for e in opened} == {code}


async def test_a_query_over_a_socket_is_answered_whole(setting: Setting) -> None:
    opened = await setting.operations.subscribe(setting.caller(), {"query": "{ viewer { name } }"})

    assert isinstance(opened, bytes)
    assert json.loads(opened)["data"] == {"viewer": {"name": "Ada"}}


async def test_nothing_but_the_viewer_answers_without_one(setting: Setting) -> None:
    query = """query ($w: ID!) { viewer { id } workspace(id: $w) { id } __typename
        changes(workspaceId: $w, after: "0") { head } task(id: "x") { id } }"""
    payload = {"query": query, "variables": {"w": str(WorkspaceId(setting.world.home))}}

    answer = json.loads(await setting.operations.execute(Caller(viewer=None), payload))

    assert answer["data"] == {
        "viewer": None,
        "workspace": None,
        "__typename": "Query",
        "changes": None,
        "task": None,
    }
    assert [(e["path"], e["extensions"]["code"]) for e in answer["errors"]] == [
        ([name], "UNAUTHENTICATED") for name in ("workspace", "changes", "task")
    ]


async def test_a_fault_is_masked_and_logged_once_with_its_trace_id(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    await setting.world.lanes.fetch("ALTER TABLE task RENAME COLUMN title TO heading")
    caller = setting.caller()
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    payload = {
        "query": '{ task(id: "01936f2e-8c1a-7c3e-9d54-0242ac120002") { title } viewer { id } }'
    }

    answer = json.loads(
        await setting.operations.execute(Caller(viewer=caller.viewer, trace=trace), payload)
    )

    assert answer["data"] == {"task": None, "viewer": None}
    assert {e["extensions"]["code"] for e in answer["errors"]} == {"INTERNAL"}
    assert {e["extensions"]["traceId"] for e in answer["errors"]} == {"ab" * 16}
    assert "title" not in str(answer["errors"])
    logged = [record for record in caplog.records if record.name == "resolvers.failures"]
    assert [(record.msg, vars(record)["trace_id"]) for record in logged] == [
        ("operation.failed", "ab" * 16)
    ]


async def test_what_was_never_executed_has_no_data(setting: Setting) -> None:
    with pytest.raises(Rejected) as rejected:
        await setting.operations.execute(
            setting.caller(),
            {"query": "query ($s: Sequence!) { a: __typename }", "variables": {"s": "\ud800"}},
        )

    body = rejected.value.response()
    assert "data" not in json.loads(body)
