"""What clients hear of a mutation that is refused: every bad field at once, and nothing is done."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from carillon.graphql import build
from domain.access import Viewer
from domain.ids import SessionId, UserId
from infra.clock import SystemClock
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.plans import PostgresReader, ReadLanes
from infra.postgres.state import PostgresStateStore
from resolvers.execution import Caller, Operations
from resolvers.persisted import PersistedQueries
from resolvers.preparation import Readers
from tests.worlds import World

CREATE = """mutation ($at: ID!, $input: TaskCreateInput!) {
  answer: taskCreate(workspaceId: $at, input: $input) { task { id } userErrors { code field } } }"""
UPDATE = """mutation ($at: ID!, $input: TaskUpdateInput!) {
  answer: taskUpdate(id: $at, input: $input) { task { id } userErrors { code field } } }"""
TAG = """mutation ($at: ID!, $input: TagCreateInput!) {
  answer: tagCreate(workspaceId: $at, input: $input) { tag { id } userErrors { code field } } }"""
SPACE = """mutation ($input: WorkspaceCreateInput!) {
  answer: workspaceCreate(input: $input) { workspace { id } userErrors { code field } } }"""
INVITE = """mutation ($at: ID!, $input: MemberAddInput!) { answer: memberAdd(
  workspaceId: $at, input: $input) { member { id } userErrors { code field } } }"""
EXPEL = """mutation ($at: ID!, $whom: ID!) { answer: memberRemove(
  workspaceId: $at, userId: $whom) { workspace { id } userErrors { code field } } }"""
NOWHERE = "01936f2e-8c1a-7c3e-9d54-0242ac120002"


@dataclass
class Api:
    """What a client of Ada's, or of somebody else, sends and hears."""

    world: World
    operations: Operations

    async def errors(
        self, query: str, *, user: UserId | None = None, **variables: Any
    ) -> list[tuple[str, str]]:
        """Returns code and path of each problem; asserts that nothing was done."""
        head = await self.world.head()
        viewer = Viewer(
            user=user or self.world.ada,
            session=SessionId(uuid4()),
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
        payload = {"query": query, "variables": variables}
        answer = orjson.loads(await self.operations.execute(Caller(viewer=viewer), payload))
        assert "errors" not in answer, answer
        found: dict[str, Any] = answer["data"]["answer"]
        errors = found.pop("userErrors")
        assert list(found.values()) == [None]
        assert await self.world.head() == head
        return [(one["code"], ".".join(one["field"] or ())) for one in errors]


@pytest.fixture
async def api(world: World, database_url: str) -> AsyncIterator[Api]:
    async with Lanes(database_url, LaneOptions(size=2)) as lanes:
        reader = PostgresReader(
            ReadLanes(generic=lanes, custom=lanes), PostgresLog(lanes), SystemClock()
        )
        readers = Readers(answers=reader, messages=reader)
        persisted = PersistedQueries(PostgresStateStore(lanes))
        yield Api(world, Operations(build(), readers, world.use_cases, persisted))


async def test_all_that_is_wrong_with_a_new_task_is_told_at_once(api: Api) -> None:
    errors = await api.errors(
        CREATE,
        at=str(api.world.home),
        input={
            "id": "one",
            "title": "\u200b",
            "description": "\0",
            "due": {"date": "2027-01-01", "fold": True},
            "categoryId": "two",
            "tagIds": ["three", NOWHERE],
            "assigneeId": NOWHERE,
            "parentId": NOWHERE,
            "position": {"afterId": "four", "beforeId": "five"},
            "clientMutationId": "short",
        },
    )

    assert sorted(errors) == [
        ("INVALID", "input.categoryId"),
        ("INVALID", "input.clientMutationId"),
        ("INVALID", "input.description"),
        ("INVALID", "input.due.fold"),
        ("INVALID", "input.id"),
        ("INVALID", "input.position.afterId"),
        ("INVALID", "input.position.beforeId"),
        ("INVALID", "input.tagIds"),
        ("INVALID", "input.title"),
        ("NOT_FOUND", "input.assigneeId"),
        ("NOT_FOUND", "input.parentId"),
    ]


async def test_all_that_may_not_be_null_is_told_at_once(api: Api) -> None:
    task = await api.world.task()
    names = ("title", "description", "status", "priority", "tagIds", "position")

    errors = await api.errors(UPDATE, at=str(task), input=dict.fromkeys(names))

    assert sorted(errors) == sorted(("INVALID", f"input.{name}") for name in names)


async def test_all_that_is_not_there_is_told_at_once(api: Api) -> None:
    task = await api.world.task()

    errors = await api.errors(
        UPDATE,
        at=str(task),
        input={
            "categoryId": NOWHERE,
            "tagIds": [NOWHERE],
            "addTagIds": [str(uuid4())],
            "assigneeId": NOWHERE,
            "parentId": NOWHERE,
            "position": {"beforeId": NOWHERE},
        },
    )

    assert sorted(errors) == [
        ("NOT_FOUND", "input.addTagIds"),
        ("NOT_FOUND", "input.assigneeId"),
        ("NOT_FOUND", "input.categoryId"),
        ("NOT_FOUND", "input.parentId"),
        ("NOT_FOUND", "input.position.beforeId"),
        ("NOT_FOUND", "input.tagIds"),
    ]


async def test_too_many_tags_hide_nothing_else(api: Api) -> None:
    tags = [str(uuid4()) for _ in range(51)]
    position = {"afterId": NOWHERE, "beforeId": NOWHERE}

    errors = await api.errors(
        CREATE,
        at=str(api.world.home),
        input={"title": "", "tagIds": tags, "position": position},
    )

    assert sorted(errors) == [
        ("INVALID", "input.position"),
        ("INVALID", "input.title"),
        ("LIMIT_EXCEEDED", "input.tagIds"),
    ]


async def test_all_that_is_wrong_with_others_is_told_at_once(api: Api) -> None:
    tag = await api.errors(
        TAG,
        at=str(api.world.home),
        input={"id": "x", "name": " ", "colour": "#ffffff", "clientMutationId": ""},
    )
    space = await api.errors(SPACE, input={"id": "x", "name": " "})
    invitation = await api.errors(INVITE, at="x", input={"email": "y", "role": "MEMBER"})
    expulsion = await api.errors(EXPEL, at="x", whom="y")

    assert sorted(tag) == [
        ("INVALID", "input.clientMutationId"),
        ("INVALID", "input.id"),
        ("INVALID", "input.name"),
    ]
    assert sorted(space) == [("INVALID", "input.id"), ("INVALID", "input.name")]
    assert sorted(invitation) == [("INVALID", "input.email"), ("INVALID", "workspaceId")]
    assert sorted(expulsion) == [("INVALID", "userId"), ("INVALID", "workspaceId")]


@pytest.mark.parametrize(
    "field", ["id", "categoryId", "assigneeId", "parentId", "clientMutationId"]
)
async def test_an_empty_text_is_no_absent_one(api: Api, field: str) -> None:
    errors = await api.errors(CREATE, at=str(api.world.home), input={"title": "x", field: ""})

    assert errors == [("INVALID", f"input.{field}")]


@pytest.mark.parametrize("field", ["afterId", "beforeId"])
async def test_an_empty_neighbour_is_no_absent_one(api: Api, field: str) -> None:
    given = {"title": "x", "position": {field: ""}}

    errors = await api.errors(CREATE, at=str(api.world.home), input=given)

    assert errors == [("INVALID", f"input.position.{field}")]


async def test_a_stranger_hears_nothing_about_what_is_there(api: Api) -> None:
    task = await api.world.task()
    bob, _ = await api.world.sign_up("Bob")

    errors = await api.errors(UPDATE, user=bob, at=str(task), input={"title": "", "parentId": "x"})

    assert errors == [("INVALID", "input.parentId"), ("NOT_FOUND", "id")]
