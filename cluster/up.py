"""`make cluster`: the whole distributed profile on this machine, until it is told to stop.

PostgreSQL, Kafka, Dapr's authority, and every process beside its daprd; what dies is started again.
`FOLDER/state.json` tells where everything is, for programs.
"""

import asyncio
import json
import shutil
import signal
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from cluster.broker import Kafka
from cluster.processes import StartFailed
from cluster.system import System, Wanted
from domain.outbox import Topic
from infra.postgres.data_folder import EmbeddedError
from infra.postgres.embedded import embedded_postgres
from infra.postgres.migrate import upgrade
from workers.routes import API, DEAD_LETTERS, RECURRENCE, RELAY

FOLDER: Final = Path(".cluster")
# What the Kubernetes overlays ask of the broker.
PARTITIONS: Final = 12
# Each API replica holds 22 connections, each worker 8, each sidecar with a state store 4.
CONNECTIONS_MAX: Final = "200"
WANTED: Final = (
    *(Wanted.of(API, 1), Wanted.of(API, 2)),
    *(Wanted.of(RELAY), Wanted.of(RECURRENCE)),
)


def up(folder: Path) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    return asyncio.run(_Cluster(folder).run())


class _Cluster:
    """One run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._state = self._folder / "state.json"
        self._stop = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        # PostgreSQL's user, where we are root, has to reach its part of it.
        self._folder.mkdir(mode=0o711, exist_ok=True)
        starting = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        try:
            await starting
        except asyncio.CancelledError:
            _say("stopped")
        except (StartFailed, EmbeddedError) as failed:
            _say(str(failed))
            self._code = 1
        finally:
            stopping.cancel()
            self._state.unlink(missing_ok=True)
        return self._code

    async def _work(self) -> None:
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            _say("PostgreSQL and Kafka ...")
            async with asyncio.TaskGroup() as group:
                database = group.create_task(self._database(stack))
                kafka = group.create_task(self._kafka(stack))
            url, broker = database.result(), kafka.result()
            _say(f"{len(WANTED)} processes, each beside its daprd ...")
            run = self._folder / "run"
            shutil.rmtree(run, ignore_errors=True)
            system = System(
                run,
                WANTED,
                database_url=url,
                kafka_servers=broker.servers,
            )
            stack.push_async_callback(system.stop)
            await system.start()
            self._tell(system, broker, url)
            for name, process in system.processes.items():
                _say(f"{name:20} {process.url}{'/graphql' if name.startswith('api') else ''}")
            _say(f"ready in {time.monotonic() - began:.1f} s; logs in {run}; ^C ends it")
            async with asyncio.TaskGroup() as group:
                group.create_task(system.watch(lambda: self._tell(system, broker, url)))
                group.create_task(_kept(broker))

    async def _database(self, stack: AsyncExitStack) -> str:
        settings = {"max_connections": CONNECTIONS_MAX}
        url = await stack.enter_async_context(
            embedded_postgres(self._folder / "postgres", settings=settings, on_death=self._died)
        )
        await upgrade(url)
        return url

    async def _kafka(self, stack: AsyncExitStack) -> Kafka:
        broker = Kafka(self._folder / "kafka")
        stack.push_async_callback(broker.stop)
        await broker.start()
        there = await broker.topics()
        missing = [name for name in (*Topic, *DEAD_LETTERS) if name not in there]
        if missing:
            await broker.create_topics(dict.fromkeys(missing, PARTITIONS))
        return broker

    def _died(self, code: int) -> None:
        _say(f"PostgreSQL ended with {code}; its words are in {self._folder / 'postgres'}")
        self._code = 1
        self._stop.set()

    def _tell(self, system: System, broker: Kafka, url: str) -> None:
        """Writes where everything is; whole, or not at all."""
        found = {
            "api": [one.url for name, one in system.processes.items() if name.startswith("api")],
            "kafka": broker.servers,
            "database": url,
            "processes": {
                name: part.pid for name, part in system.parts.items() if part.is_running()
            }
            | {"kafka": broker.pid, "sentry": system.sentry.pid},
        }
        new = self._state.with_suffix(".new")
        new.write_text(json.dumps(found, indent=2) + "\n")
        new.replace(self._state)


async def _kept(broker: Kafka) -> None:
    """Starts the broker again where it died."""
    while True:
        if not broker.is_running():
            _say("Kafka died; starting it again")
            with suppress(StartFailed):
                await broker.start()
        await asyncio.sleep(0.2)


def _say(text: str) -> None:
    sys.stdout.write(f"cluster: {text}\n")
    sys.stdout.flush()
