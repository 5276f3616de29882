"""The ports Log and Access, and the tail's source: the same on PostgreSQL and in memory."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from domain.access import Viewer
from domain.ids import WorkspaceId
from domain.ports import Head
from domain.workspaces import Role
from infra.postgres.access import PostgresAccess
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from tests.live import Database, MemoryLog


class InMemory:
    def __init__(self) -> None:
        self.log = self.access = MemoryLog()

    async def workspace(self, commits: int) -> tuple[WorkspaceId, Viewer]:
        workspace = self.log.create()
        for _ in range(commits):
            self.log.commit(workspace)
        return workspace, self.log.join(workspace)

    async def prune(self, workspace: WorkspaceId, floor: int) -> None:
        self.log.prune(workspace, floor)

    async def restore(self, workspace: WorkspaceId, head: int) -> None:
        self.log.restore(workspace, head)


class OnPostgres:
    def __init__(self, lanes: Lanes, database: Database) -> None:
        self.log = PostgresLog(lanes)
        self.access = PostgresAccess(lanes)
        self._database = database
        self.prune = database.prune
        self.restore = database.restore

    async def workspace(self, commits: int) -> tuple[WorkspaceId, Viewer]:
        somebody = await self._database.user()
        workspace = await self._database.workspace(somebody)
        await self._database.commit(workspace, commits)
        return workspace, somebody


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Any]:
    if request.param == "memory":
        yield InMemory()
        return
    connection = await asyncpg.connect(database_url)
    async with Lanes(database_url, LaneOptions(size=1)) as lanes:
        yield OnPostgres(lanes, Database(connection))
    await connection.close()


async def test_changes_are_read_in_order_after_a_position(world: Any) -> None:
    workspace, _ = await world.workspace(5)

    assert [change.seq for change in await world.log.read(workspace, 0, 3)] == [1, 2, 3]
    assert [change.seq for change in await world.log.read(workspace, 3, 9)] == [4, 5]
    assert list(await world.log.read(workspace, 5, 9)) == []
    [change] = await world.log.read(workspace, 4, 9)
    assert (change.stream, change.kind, change.payload) == (workspace, "task.updated", "{}")


async def test_heads_leave_out_what_is_absent(world: Any) -> None:
    workspace, _ = await world.workspace(5)
    await world.prune(workspace, 2)

    heads = await world.log.heads([workspace, WorkspaceId(uuid4())])

    assert dict(heads) == {workspace: Head(head=5, floor=2)}
    assert [change.seq for change in await world.log.read(workspace, 0, 9)] == [3, 4, 5]


async def test_only_what_has_moved_is_told(world: Any) -> None:
    still, _ = await world.workspace(2)
    ahead, _ = await world.workspace(5)
    restored, _ = await world.workspace(5)
    await world.restore(restored, 3)

    moved = await world.log.moved({still: 2, ahead: 1, restored: 5}, 2)

    told = {
        stream: (news.head, [change.seq for change in news.changes])
        for stream, news in moved.items()
    }
    assert told == {ahead: (5, [2, 3]), restored: (3, [])}


async def test_a_stranger_has_no_role(world: Any) -> None:
    workspace, member = await world.workspace(1)
    _, stranger = await world.workspace(1)

    assert await world.access.role(member.user, workspace) is Role.MEMBER
    assert await world.access.role(stranger.user, workspace) is None
    assert await world.access.role(member.user, WorkspaceId(uuid4())) is None
