"""`make cluster`: the whole distributed profile on this machine, until it is told to stop.

PostgreSQL, Kafka, Dapr's authority, and every process beside its daprd; what dies is started again.
`FOLDER/state.json` tells where everything is, for programs; it is there while the folder is run.
Killed, it takes all with it but PostgreSQL, which the next start ends and starts anew.
"""

import asyncio
import json
import logging
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from carillon.telemetry import ConsoleFormatter
from cluster.broker import Kafka
from cluster.parts import PartMissing
from cluster.processes import StartFailed
from cluster.system import System, Wanted, Watched
from domain.outbox import Topic
from infra.postgres.data_folder import EmbeddedError, FolderInUse, hold, pid_file
from infra.postgres.embedded import embedded_postgres
from infra.postgres.migrate import upgrade
from workers.routes import API, DEAD_LETTERS, NOTIFICATIONS, RECURRENCE, RELAY

FOLDER: Final = Path(".cluster")
# What the Kubernetes overlays ask of the broker.
PARTITIONS: Final = 12
# Each API replica holds 22 connections, each worker 8, each sidecar with a state store 4.
CONNECTIONS_MAX: Final = "200"
WATCH_EVERY_S: Final = 0.2
WANTED: Final = (
    *(Wanted.of(API, 1), Wanted.of(API, 2)),
    *(Wanted.of(RELAY), Wanted.of(NOTIFICATIONS), Wanted.of(RECURRENCE)),
)


def up(folder: Path) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(ConsoleFormatter())
    logging.getLogger("cluster").addHandler(handler)
    # PostgreSQL's user, where we are root, has to reach its part of it.
    folder.mkdir(mode=0o711, exist_ok=True)
    try:
        # Before anything of it is touched: what is in the folder is another run's.
        with hold(folder):
            return asyncio.run(_Cluster(folder).run())
    except FolderInUse as used:
        _say(f"another one runs in {folder} (process {used.pid}): stop it first")
        return 1


class _Cluster:
    """One run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._state = self._folder / "state.json"
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        # Of a run that was killed.
        self._state.unlink(missing_ok=True)
        starting = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        code = 0
        try:
            await starting
        except* asyncio.CancelledError:
            _say("stopped")
        except* (StartFailed, EmbeddedError, PartMissing, _Moved) as failed:
            for one in _causes(failed):
                _say(str(one))
            code = 1
        finally:
            stopping.cancel()
            self._state.unlink(missing_ok=True)
        return code

    async def _work(self) -> None:
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            _say("PostgreSQL and Kafka ...")
            async with asyncio.TaskGroup() as group:
                database = group.create_task(self._database(stack))
                kafka = group.create_task(self._kafka(stack))
            postgres, broker = database.result(), kafka.result()
            _say(f"{len(WANTED)} processes, each beside its daprd ...")
            run = self._folder / "run"
            shutil.rmtree(run, ignore_errors=True)
            system = System(
                run,
                WANTED,
                database_url=postgres.url,
                kafka_servers=broker.servers,
            )
            stack.push_async_callback(system.stop)
            await system.start()
            beside: dict[str, Watched] = {"postgres": postgres, "kafka": broker}

            def tell() -> None:
                self._tell(system, {**beside, "sentry": system.sentry}, postgres.url, broker)

            tell()
            for name, process in system.processes.items():
                _say(f"{name:20} {process.url}{'/graphql' if name.startswith('api') else ''}")
            _say(f"ready in {time.monotonic() - began:.1f} s; logs in {run}; ^C ends it")
            async with asyncio.TaskGroup() as group:
                group.create_task(system.watch(tell))
                for name, part in beside.items():
                    group.create_task(_kept(name, part, tell))

    async def _database(self, stack: AsyncExitStack) -> "_Postgres":
        postgres = _Postgres(self._folder / "postgres")
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        await upgrade(postgres.url)
        return postgres

    async def _kafka(self, stack: AsyncExitStack) -> Kafka:
        broker = Kafka(self._folder / "kafka")
        stack.push_async_callback(broker.stop)
        await broker.start()
        there = await broker.topics()
        missing = [name for name in (*Topic, *DEAD_LETTERS) if name not in there]
        if missing:
            await broker.create_topics(dict.fromkeys(missing, PARTITIONS))
        return broker

    def _tell(
        self, system: System, beside: dict[str, Watched], database: str, broker: Kafka
    ) -> None:
        """Writes where everything is; whole, or not at all."""
        parts = {**system.parts, **beside}
        found = {
            "api": [one.url for name, one in system.processes.items() if name.startswith("api")],
            "kafka": broker.servers,
            "database": database,
            "processes": {name: part.pid for name, part in parts.items() if part.is_running()},
        }
        new = self._state.with_suffix(".new")
        new.write_text(json.dumps(found, indent=2) + "\n")
        new.replace(self._state)


class _Moved(Exception):
    """A part that all others know by its address has another one."""


class _Postgres:
    """The database, as a part that is started again where it died, at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = AsyncExitStack()
        self._running = False
        self.url = ""
        self.pid = 0

    def is_running(self) -> bool:
        """See `Watched.is_running`."""
        return self._running

    async def start(self) -> None:
        """See `Watched.start`.

        Raises:
            EmbeddedError: it does not start.
            _Moved: it does not start where it was.
        """
        await self.stop()
        url = await self._stack.enter_async_context(
            embedded_postgres(
                self._folder,
                settings={"max_connections": CONNECTIONS_MAX},
                on_death=self._died,
            )
        )
        if self.url not in {"", url}:
            # The path is too long for a socket, so that it lies in a folder of a new name.
            raise _Moved("PostgreSQL cannot come back where it was; start the cluster anew.")
        self.url, self.pid = url, int(pid_file(self._folder / "cluster")[0])
        self._running = True

    async def stop(self) -> None:
        """Ends it in good order; nothing, when it does not run."""
        self._running = False
        await self._stack.aclose()

    def _died(self, code: int) -> None:
        self._running = False


async def _kept(name: str, part: Watched, tell: Callable[[], None]) -> None:
    """Starts a part again where it died."""
    while True:
        if not part.is_running():
            _say(f"{name} died; starting it again")
            try:
                await part.start()
            except (StartFailed, EmbeddedError) as failed:
                _say(str(failed))
            else:
                tell()
        await asyncio.sleep(WATCH_EVERY_S)


def _causes(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _causes(one)
        else:
            yield one


def _say(text: str) -> None:
    sys.stdout.write(f"cluster: {text}\n")
    sys.stdout.flush()
