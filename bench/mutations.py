"""Mutations a second: the flush against begin / lock / write / commit by SQLAlchemy Core.

Both complete and reopen tasks of the same workspaces on the same server, in turns, and leave the
same rows: task, head and change. The ratio is what counts; the fsync time says what bounds both.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from domain.accounts import Account
from domain.ids import MemberId, TaskId, UserId, WorkspaceId
from domain.ports import Command
from domain.services.mutations import Mutations
from domain.services.task_patch import TaskPatch
from domain.services.tasks import TaskService
from domain.services.workspaces import founded
from domain.workspaces import User, Workspace
from infra.clock import SystemClock
from infra.ids import uuid7
from infra.postgres import tables as t
from infra.postgres.embedded import embedded_postgres
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.migrate import upgrade
from infra.postgres.store import PostgresStore

WRITERS = 20
SECONDS = 2.0
ROUNDS = 5

Work = Callable[[int, bool], Awaitable[None]]


class Product:
    """The use case as the API calls it."""

    def __init__(self, tasks: TaskService, actor: UserId, ids: list[TaskId]) -> None:
        self._tasks, self._actor, self._ids = tasks, actor, ids

    async def __call__(self, writer: int, done: bool) -> None:
        """Completes or reopens the writer's task."""
        command = Command(actor=self._actor, field="bench", key=None, arguments=b"")
        change = self._tasks.complete if done else self._tasks.reopen
        await change(command, self._ids[writer], None)


class Core:
    """The same by five statements in one transaction, a connection from a pool."""

    def __init__(self, engine: AsyncEngine, actor: UserId, ids: list[TaskId]) -> None:
        self._engine, self._actor, self._ids = engine, actor, ids

    async def __call__(self, writer: int, done: bool) -> None:
        """Completes or reopens the writer's task."""
        now = datetime.now(UTC)
        status = "DONE" if done else "OPEN"
        async with self._engine.begin() as connection:
            found = await connection.execute(select(t.task).where(t.task.c.id == self._ids[writer]))
            row = found.one()
            locked = await connection.execute(
                select(t.workspace.c.head, t.workspace.c.head_hash, t.member.c.role)
                .join(t.member, t.member.c.workspace_id == t.workspace.c.id)
                .where(t.workspace.c.id == row.workspace_id, t.member.c.user_id == self._actor)
                .with_for_update(of=t.workspace)
            )
            head = locked.one().head
            await connection.execute(
                update(t.task)
                .where(t.task.c.id == row.id)
                .values(status=status, version=row.version + 1, updated_at=now)
            )
            await connection.execute(
                insert(t.change).values(
                    stream=row.workspace_id,
                    seq=head + 1,
                    id=uuid7(),
                    kind="task.completed",
                    at=now.isoformat(),
                    actor=self._actor,
                    subject=row.id,
                    fields=["status"],
                    before=orjson.dumps({"status": row.status}).decode(),
                    payload=orjson.dumps({"title": row.title, "status": status}).decode(),
                    hash=bytes(32),
                )
            )
            await connection.execute(
                update(t.workspace)
                .where(t.workspace.c.id == row.workspace_id)
                .values(head=head + 1)
            )


async def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: S103 - for PostgreSQL's user, where we are root
        print(f"fsync: {fsync_ms(Path(folder)):.2f} ms (median of 200 appends of 8 kB)")
        async with embedded_postgres(Path(folder) / "data") as url:
            await upgrade(url)
            options = LaneOptions(size=8, plans="force_generic_plan")
            async with Lanes(url, options) as reads, Lanes(url, options) as writes:
                store = PostgresStore(reads, writes, new_id=uuid7, committed=lambda _w, _h: None)
                tasks = TaskService(Mutations(store, SystemClock()), uuid7)
                engine = create_async_engine(
                    "postgresql+asyncpg://", connect_args={"dsn": url}, pool_size=8, max_overflow=0
                )
                try:
                    for places in (1, WRITERS):
                        actor, ids = await seed(store, tasks, places)
                        product, core = Product(tasks, actor, ids), Core(engine, actor, ids)
                        await compare(f"{places} workspace(s), {WRITERS} writers", product, core)
                finally:
                    await engine.dispose()


async def compare(name: str, product: Work, core: Work) -> None:
    """Runs both in turns and prints medians, and the median ratio of neighbours."""
    await rate(product)
    await rate(core)
    pairs = [(await rate(product), await rate(core)) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{name}: flush {ours:,.0f}/s, Core {theirs:,.0f}/s, ratio {ratio:.2f}")


async def rate(work: Work) -> float:
    """Returns how often a second all writers together got it done."""
    stop, count = time.perf_counter() + SECONDS, 0

    async def write(writer: int) -> None:
        nonlocal count
        done = False
        while time.perf_counter() < stop:
            done = not done
            await work(writer, done)
            count += 1
        if done:
            await work(writer, False)

    start = time.perf_counter()
    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    return count / (time.perf_counter() - start)


async def seed(
    store: PostgresStore, tasks: TaskService, places: int
) -> tuple[UserId, list[TaskId]]:
    """Returns a user, and a task for each writer, spread over so many workspaces."""
    user, now = User(id=UserId(uuid7()), name="Ada"), datetime.now(UTC)
    command = Command(actor=user.id, field="bench", key=None, arguments=b"")
    ids: list[UUID] = []
    for number in range(places):
        workspace = Workspace(id=WorkspaceId(uuid7()), name="Home", created_at=now)
        account = Account(
            id=user.id,
            email=f"{user.id}@example.com",
            email_key=f"{user.id}@example.com",
            name="Ada",
            time_zone="UTC",
            password_hash="none",  # noqa: S106 - nobody signs in here
            created_at=now,
        )
        accounts = () if number else (account,)
        writes = replace(founded(workspace, user, MemberId(uuid7())), accounts=accounts)
        await store.flush(command, writes)
        for _ in range(WRITERS // places):
            made = await tasks.create(command, workspace.id, None, TaskPatch(title="Buy milk"))
            ids.append(made.subject)
    return user.id, [TaskId(one) for one in ids]


def fsync_ms(folder: Path) -> float:
    """Returns the milliseconds of one append of 8 kB that is on disk."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(200):
            start = time.perf_counter()
            file.write(bytes(8_192))
            os.fdatasync(file.fileno())
            times.append(1_000 * (time.perf_counter() - start))
    return statistics.median(times)


if __name__ == "__main__":
    asyncio.run(main())
