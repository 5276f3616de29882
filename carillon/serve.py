"""One process from its first signal handler to its last connection's end: a web server around it.

The server answers from the start: alive, and not ready while what the process needs is awaited.
"""

import asyncio
import logging
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import uvicorn
import uvloop
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send

from carillon.database import Database, database, migrated
from carillon.proxies import BehindProxies
from carillon.secrets import with_secrets
from carillon.settings import Settings, unknown, with_token_secret, with_vapid_key
from infra.http import Http
from infra.wire import Wire
from resolvers.streams import problem

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 5
# How soon a second signal ends the wait for a good end.
FORCED_POLL_S = 0.1
# Requests beside the live connections.
CONNECTIONS_BESIDES = 2_000
# The database's lanes, logs, libraries that are loaded late.
FILES_BESIDES = 128


class PortTaken(Exception):
    """The address cannot be listened on; the message says why and what to do."""


class Application(Protocol):
    """What a process serves."""

    async def __call__(self, scope: Scope, receive: Receive, send: Any) -> None:
        """Serves one request or socket."""
        ...

    async def stop(self) -> None:
        """Ends what does not end by itself, such as streams; called before the server stops."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A kind of process: what it is composed of, and where it listens unless told otherwise.

    `path` is what people open; None where only programs call it.
    """

    name: str
    port: int
    compose: Callable[[Settings, Database], AbstractAsyncContextManager[Application]]
    path: str | None = None


def serve(process: Process, settings: Settings, *, since: float) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code.

    Args:
        process: what to run.
        settings: of this process.
        since: `time.monotonic()` when the command began, for the line that tells readiness.

    Raises:
        PortTaken: another program listens on the port.
        EmbeddedError: our own PostgreSQL does not start.
        Unfit: the database cannot be used, or lacks migrations that cannot be run from here.
        NotConfigured: a setting that is needed was not given.
        OSError: the data folder cannot be reached.
    """
    for name in unknown():
        log.warning("settings.unknown", extra={"variable": name})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Run(process, settings, since).run())


class _Run:
    """One run of a process."""

    def __init__(self, process: Process, settings: Settings, since: float) -> None:
        self._process = process
        self._settings = settings
        self._since = since
        self._port = settings.port or process.port
        self._door = _Door()
        self._server: _Server | None = None
        self._code = 0

    async def run(self) -> int:
        """Returns the exit code."""
        work = asyncio.create_task(self._work())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, work)
        try:
            await work
        except asyncio.CancelledError:
            # Asked to stop before there was anything to serve.
            log.info("server.start_cancelled")
        return self._code

    async def _work(self) -> None:
        listener = _bound(self._settings.host, self._port)
        with listener:
            server = _Server(_config(self._settings, self._door), self._door.stop)
            serving = asyncio.create_task(server.serve([listener]))
            try:
                await self._serve(server, serving)
            finally:
                server.should_exit = True
                await serving
        log.info("server.stopped")

    async def _serve(self, server: "_Server", serving: asyncio.Task[None]) -> None:
        settings = with_vapid_key(with_token_secret(await with_secrets(self._settings)))
        async with database(settings, on_death=self._database_died) as found:
            for name in found.left_out:
                log.warning("database.parameter_ignored", extra={"parameter": name})
            await migrated(found)
            async with self._process.compose(settings, found) as application:
                self._door.open(application)
                self._server = server
                self._ready()
                await asyncio.shield(serving)

    def _ready(self) -> None:
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        took_s = time.monotonic() - self._since
        place = f"http://{host}:{self._port}{self._process.path or ''}"
        name = "Carillon" if self._process.path else f"Carillon's {self._process.name}"
        sys.stdout.write(f"{name} is ready at {place} ({took_s:.1f} s)\n")
        sys.stdout.flush()

    def _stop(self, work: asyncio.Task[None]) -> None:
        if self._server is None:
            work.cancel()
        elif self._server.should_exit:
            # Asked twice: nobody wants to wait for the requests in flight.
            self._server.force_exit = True
        else:
            log.info("server.stopping")
            self._server.should_exit = True

    def _database_died(self, code: int) -> None:
        log.error("postgres.died", extra={"exit_code": code, "log": "postgres.log"})
        self._code = 1
        if self._server is not None:
            self._server.should_exit = True


_SOON = {"Retry-After": "1", "X-Content-Type-Options": "nosniff"}


class _Door:
    """Answers for the application until there is one."""

    def __init__(self) -> None:
        self._application: Application | None = None

    def open(self, application: Application) -> None:
        """Lets everybody in."""
        self._application = application

    async def stop(self) -> None:
        """Asks the application to end its streams, if there is one."""
        if self._application is not None:
            await self._application.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or socket."""
        if self._application is not None:
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        elif scope["path"] == "/healthz":
            await PlainTextResponse("ok\n")(scope, receive, send)
        elif scope["path"] == "/graphql":
            answer = {"errors": [problem("UNAVAILABLE", "The service is starting; try again.")]}
            await JSONResponse(answer, 503, _SOON)(scope, receive, send)
        else:
            await PlainTextResponse("starting\n", 503, _SOON)(scope, receive, send)


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers."""

    def __init__(
        self, config: uvicorn.Config, before_shutdown: Callable[[], Coroutine[None, None, None]]
    ) -> None:
        super().__init__(config)
        self._before_shutdown = before_shutdown

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Streams do not end by themselves, and sidecars have to hear of it while we listen.
        before = asyncio.create_task(self._before_shutdown())
        while not before.done() and not self.force_exit:
            await asyncio.wait([before], timeout=FORCED_POLL_S)
        if not before.cancel():
            await before
        await super().shutdown(sockets)


def _config(settings: Settings, door: _Door) -> uvicorn.Config:
    trusted = list(settings.trusted_proxies)
    return uvicorn.Config(
        BehindProxies(door, trusted) if trusted else door,
        http=Http,
        ws=Wire,
        # Compression costs three times the CPU and memory of a delivered event.
        ws_per_message_deflate=False,
        ws_max_size=settings.body_max_bytes,
        # A half-open socket is found within a minute, at one small frame each.
        ws_ping_interval=30.0,
        ws_ping_timeout=20.0,
        access_log=False,
        log_config=None,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        # Most clients come back at once or not at all.
        timeout_keep_alive=KEEP_ALIVE_S,
        limit_concurrency=_connections_max(settings),
        # Behind the interpreter's default, crowds that reconnect are refused.
        backlog=2_048,
    )


def _connections_max(settings: Settings) -> int:
    """Returns how many connections there may be, having raised the limit of open files for them."""
    wanted = settings.connections_max or settings.sockets_max + CONNECTIONS_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted + FILES_BESIDES
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    room = max(1, most - FILES_BESIDES)
    if room < wanted:
        log.warning("server.few_open_files", extra={"connections": room, "wanted": wanted})
    return room


def _bound(host: str, port: int) -> socket.socket:
    """Returns the listening socket, taken before anything slow is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"Cannot listen on {host}:{port} ({error.strerror}): stop what runs there, or choose"
            " another with --port."
        ) from error
    return listener
