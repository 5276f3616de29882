"""One real Kafka and its daprds a run; where they cannot be had, skipped with the reason."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from cluster.broker import Kafka
from cluster.parts import PARTS
from cluster.processes import free_ports
from cluster.resources import Resources, write
from cluster.sentry import Sentry
from cluster.sidecar import Sidecar
from domain.outbox import Topic
from tests.distributed.receiver import Receiver
from tests.parts import required
from workers.routes import APPS, DEAD_LETTERS, NOTIFICATIONS, RELAY, App

HERE = Path(__file__).parent
PARTITIONS = 12


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # On one worker of pytest-xdist, or each would have a Kafka.
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.xdist_group("distributed"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """The run's Kafka, with all topics."""
    _need_parts()
    kafka = Kafka(tmp_path_factory.mktemp("kafka"))
    await kafka.start()
    await kafka.create_topics(dict.fromkeys([*Topic, *DEAD_LETTERS], PARTITIONS))
    yield kafka
    await kafka.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def resources(
    kafka: Kafka,
    fresh_database: Callable[[], AbstractAsyncContextManager[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Resources]:
    """What the run's sidecars load; ticks come each second."""
    async with fresh_database() as url:
        yield write(
            tmp_path_factory.mktemp("dapr"),
            kafka_servers=kafka.servers,
            settings={"CARILLON_DATABASE_DIRECT_URL": url},
            schedules={name: "@every 1s" for app in APPS for name in app.bindings},
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sentry(
    resources: Resources, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Sentry]:
    """Who vouches for the run's sidecars."""
    sentry = Sentry(tmp_path_factory.mktemp("sentry"), config=resources.config)
    await sentry.start()
    yield sentry
    await sentry.stop()


@pytest.fixture(scope="session")
def sidecar_of(
    resources: Resources, sentry: Sentry, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[App], AbstractAsyncContextManager[Sidecar]]:
    """What runs a daprd for an app, by `async with`."""

    @asynccontextmanager
    async def running(app: App) -> AsyncIterator[Sidecar]:
        (port,) = free_ports(1)
        folder = tmp_path_factory.mktemp(app.id)
        sidecar = Sidecar(app.id, port, folder=folder, resources=resources, sentry=sentry)
        await sidecar.start()
        yield sidecar
        await sidecar.stop()

    return running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def relay_sidecar(
    sidecar_of: Callable[[App], AbstractAsyncContextManager[Sidecar]],
) -> AsyncIterator[Sidecar]:
    """The daprd that may publish the log."""
    async with sidecar_of(RELAY) as sidecar:
        yield sidecar


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def notifications_sidecar(
    sidecar_of: Callable[[App], AbstractAsyncContextManager[Sidecar]],
) -> AsyncIterator[Sidecar]:
    """The daprd that delivers to the notifications worker: to `receiver`, which stands there."""
    async with sidecar_of(NOTIFICATIONS) as sidecar:
        yield sidecar


@pytest.fixture
async def receiver(notifications_sidecar: Sidecar) -> AsyncIterator[Receiver]:
    """An app in the notifications worker's place, which its sidecar delivers to."""
    async with Receiver(notifications_sidecar.app_port) as receiver:
        await notifications_sidecar.ready()
        yield receiver


def _need_parts() -> None:
    with required():
        for part in PARTS:
            part.found()
