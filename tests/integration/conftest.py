"""The write path's world, and the whole API, on a database of the test's own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from carillon.compose import application
from carillon.database import Database
from carillon.settings import Settings
from domain.ids import UserId, WorkspaceId
from domain.services.labels import LabelService
from domain.services.mutations import Mutations
from domain.services.occurrences import OccurrenceService
from domain.services.reminders import ReminderService
from domain.services.series import SeriesService
from domain.services.tasks import TaskService
from domain.services.workspaces import WorkspaceService
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.store import PostgresStore
from infra.wire import Wire
from tests.api import Person, Served
from tests.live import port_of, served
from tests.worlds import FixedClock, World


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        reads = await stack.enter_async_context(Lanes(database_url, LaneOptions(size=6)))
        writes = await stack.enter_async_context(Lanes(database_url, LaneOptions(size=6)))
        store = PostgresStore(reads, writes, new_id=uuid4, committed=lambda _id, _head: None)
        mutations = Mutations(store, FixedClock())
        world = World(
            lanes=reads,
            store=store,
            tasks=TaskService(mutations, uuid4),
            occurrences=OccurrenceService(mutations, uuid4),
            reminders=ReminderService(mutations, uuid4),
            series=SeriesService(mutations, store, FixedClock()),
            labels=LabelService(mutations, uuid4),
            workspaces=WorkspaceService(mutations, uuid4),
            ada=UserId(uuid4()),
            home=WorkspaceId(uuid4()),
        )
        world.ada, world.home = await world.sign_up("Ada")
        yield world


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Served]:
    async with AsyncExitStack() as stack:
        settings = Settings(database_url=SecretStr(database_url), token_secret=SecretStr("x" * 32))
        found = Database(url=database_url, direct_url=database_url)
        app = await stack.enter_async_context(application(settings, found))
        server = await stack.enter_async_context(served(app, ws=Wire, http="httptools"))
        http = await stack.enter_async_context(httpx.AsyncClient())
        url = f"http://127.0.0.1:{port_of(server)}"
        yield Served(url, http, await Person.sign_up(url, http))
        await app.stop()
