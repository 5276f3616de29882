"""The distributed profile on one machine: every process beside its daprd.

What dies is started again, as Kubernetes would.

Databases and brokers are given: `make cluster` runs them for good, a test puts proxies before them.
"""

import asyncio
import logging
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx

from cluster.health import answering
from cluster.processes import Program, StartFailed, free_ports
from cluster.resources import Resources, write
from cluster.sentry import Sentry
from cluster.sidecar import Sidecar
from workers.routes import HEALTH_PATH, READINESS_PATH, SECRET_STORE, App

log = logging.getLogger(__name__)

CARILLON = str(Path(sys.executable).with_name("carillon"))
# Imports take two seconds on a busy machine; the rest is patience.
START_MAX_S = 60.0
READY_MAX_S = 120.0
STOP_MAX_S = 20.0
WATCH_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One process that shall run: its name, the app that it is, and how it is started.

    `command` follows `carillon`'s own place; `settings` are beside those that all have.
    """

    name: str
    app: App
    command: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, app: App, number: int = 1) -> "Wanted":
        """Returns the app as it is shipped."""
        name = f"{app.id.removeprefix('carillon-')}-{number}"
        return cls(name=name, app=app, command=[CARILLON, *app.command])


class Watched(Protocol):
    """What is started again where it died."""

    async def start(self) -> None:
        """Returns once it runs."""
        ...

    @property
    def pid(self) -> int:
        """Of the running program."""
        ...

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        ...


class Part(Watched, Protocol):
    """What the system runs, and somebody may end."""

    async def stop(self) -> None:
        """Ends it in good order; nothing, when it does not run."""
        ...

    async def kill(self) -> None:
        """Ends it as a power cut would; nothing, when it does not run."""
        ...


class Process:
    """One of our processes."""

    def __init__(self, wanted: Wanted, sidecar: Sidecar, env: Mapping[str, str], folder: Path):
        self.url = f"http://127.0.0.1:{sidecar.app_port}"
        port = ["--host", "127.0.0.1", "--port", str(sidecar.app_port)]
        self._program = Program(
            wanted.name, [*wanted.command, *port], folder=folder, env={**env, **wanted.settings}
        )

    @property
    def pid(self) -> int:
        """See `Part.pid`."""
        return self._program.pid

    @property
    def log(self) -> Path:
        """What it says."""
        return self._program.log

    def is_running(self) -> bool:
        """See `Part.is_running`."""
        return self._program.is_running()

    async def start(self) -> None:
        """See `Part.start`."""
        async with answering(self.url + HEALTH_PATH, httpx.codes.OK) as is_alive:
            await self._program.start(is_alive, within=START_MAX_S)

    async def ready(self) -> None:
        """Returns once it can do its work."""
        async with answering(self.url + READINESS_PATH, httpx.codes.OK) as is_ready:
            await self._program.until(is_ready, within=READY_MAX_S)

    async def stop(self) -> None:
        """See `Part.stop`."""
        await self._program.stop(within=STOP_MAX_S)

    async def kill(self) -> None:
        """See `Part.kill`."""
        await self._program.kill()


class System:
    """Processes, their sidecars and the sidecars' authority.

    Args of the constructor:
        folder: its own; logs and keys lie in it.
        wanted: the processes.
        database_url: where PostgreSQL is, migrated.
        kafka_servers: where the broker is, with its topics.
        sidecar_kafka_servers: where sidecars find it, if elsewhere.
        schedules: other times for bindings, by name.
    """

    def __init__(  # noqa: PLR0913 - what one machine has in the cluster's place
        self,
        folder: Path,
        wanted: Sequence[Wanted],
        *,
        database_url: str,
        kafka_servers: str,
        sidecar_kafka_servers: str | None = None,
        direct_url: str | None = None,
        schedules: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._wanted = wanted
        self._kafka_servers = kafka_servers
        self.token_secret = secrets.token_hex(32)
        self.resources: Resources = write(
            folder / "dapr",
            kafka_servers=sidecar_kafka_servers or kafka_servers,
            settings={
                "CARILLON_DATABASE_URL": database_url,
                "CARILLON_DATABASE_DIRECT_URL": direct_url or database_url,
                "CARILLON_TOKEN_SECRET": self.token_secret,
            },
            schedules=schedules,
        )
        self.sentry = Sentry(folder / "sentry", config=self.resources.config)
        self.sidecars: dict[str, Sidecar] = {}
        self.processes: dict[str, Process] = {}
        # What is down on purpose is left alone.
        self._resting: set[str] = set()
        self._restarting: dict[str, asyncio.Task[None]] = {}

    @property
    def parts(self) -> dict[str, Part]:
        """Everything that is kept running, by name: `relay-1`, its daprd `relay-1.daprd`, ..."""
        daprds: dict[str, Part] = {f"{name}.daprd": one for name, one in self.sidecars.items()}
        return {**self.processes, **daprds}

    @property
    def _watched(self) -> dict[str, Watched]:
        """The parts, and the authority that their sidecars need when they start."""
        return {**self.parts, "sentry": self.sentry}

    async def start(self) -> None:
        """Returns once every process can do its work.

        Raises:
            StartFailed: one of them cannot; with its last words.
        """
        await self.sentry.start()
        for wanted, port in zip(self._wanted, free_ports(len(self._wanted)), strict=True):
            place = self._folder / wanted.name
            sidecar = Sidecar(
                wanted.app.id, port, folder=place, resources=self.resources, sentry=self.sentry
            )
            self.sidecars[wanted.name] = sidecar
            env = self._settings(sidecar)
            self.processes[wanted.name] = Process(wanted, sidecar, env, place)
        async with asyncio.TaskGroup() as group:
            for part in self.parts.values():
                group.create_task(part.start())
        await self.ready()

    async def ready(self) -> None:
        """Returns once every process can do its work, and each sidecar delivers to its app."""
        async with asyncio.TaskGroup() as group:
            for name, process in self.processes.items():
                group.create_task(process.ready())
                group.create_task(self.sidecars[name].ready())

    async def stop(self) -> None:
        """Ends everything in good order: processes before what they need."""
        self._resting |= set(self._watched)
        for task in self._restarting.values():
            task.cancel()
        await asyncio.gather(*self._restarting.values(), return_exceptions=True)
        await asyncio.gather(*(one.stop() for one in self.processes.values()))
        await asyncio.gather(*(one.stop() for one in self.sidecars.values()))
        await self.sentry.stop()

    async def watch(self, restarted: Callable[[], None] = lambda: None) -> None:
        """Starts again what died, until cancelled; `restarted` learns of each."""
        while True:
            for name, part in self._watched.items():
                if name not in self._resting | self._restarting.keys() and not part.is_running():
                    self._restarting[name] = asyncio.create_task(self._again(name, part, restarted))
            await asyncio.sleep(WATCH_EVERY_S)

    async def rest(self, name: str) -> None:
        """Ends a part as a power cut would, and leaves it down until `wake`."""
        self._resting.add(name)
        await self.parts[name].kill()

    def wake(self, name: str) -> None:
        """Lets a resting part be started again."""
        self._resting.discard(name)

    async def _again(self, name: str, part: Watched, restarted: Callable[[], None]) -> None:
        try:
            log.warning("part.died", extra={"part": name})
            await part.start()
            restarted()
        except StartFailed as failed:
            log.warning("part.not_started", extra={"part": name, "said": str(failed)})
        finally:
            del self._restarting[name]

    def _settings(self, sidecar: Sidecar) -> dict[str, str]:
        return {
            "CARILLON_LOG_FORMAT": "json",
            "CARILLON_DAPR_URL": sidecar.url,
            "CARILLON_DAPR_API_TOKEN": self.resources.api_token,
            "CARILLON_APP_API_TOKEN": self.resources.app_token,
            "CARILLON_SECRET_STORE": SECRET_STORE,
            "CARILLON_KAFKA_SERVERS": self._kafka_servers,
        }
