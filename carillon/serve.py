"""`carillon serve`: database, migrations, the application, and a web server around it."""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
import uvloop

from carillon.compose import WEBSOCKET_PROTOCOL, Application, application
from carillon.database import database, migrated
from carillon.settings import Settings, unknown, with_secret

log = logging.getLogger(__name__)


class PortTaken(Exception):
    """The address cannot be listened on; the message says why and what to do."""


def serve(settings: Settings, *, since: float) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code.

    Args:
        settings: of this process.
        since: `time.monotonic()` when the command began, for the line that tells readiness.

    Raises:
        PortTaken: another program listens on the port.
        EmbeddedError: our own PostgreSQL does not start.
        NotMigrated: the database lacks migrations that cannot be run from here.
        OSError: the database or the data folder cannot be reached.
    """
    for name in unknown():
        log.warning("settings.unknown", extra={"variable": name})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Process(settings, since).run())


class _Process:
    """One run of the server, from the first signal handler to the last connection's end."""

    def __init__(self, settings: Settings, since: float) -> None:
        self._settings = settings
        self._since = since
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
        listener = _bound(self._settings.host, self._settings.port)
        settings = with_secret(self._settings)
        with listener:
            async with database(settings, on_death=self._database_died) as found:
                await migrated(found)
                async with application(settings, found.url) as app:
                    self._server = _Server(_config(settings, app), app, self._ready)
                    await self._server.serve([listener])
        log.info("server.stopped")

    def _ready(self) -> None:
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        took_s = time.monotonic() - self._since
        url = f"http://{host}:{self._settings.port}/graphql"
        sys.stdout.write(f"Carillon is ready at {url} ({took_s:.1f} s)\n")
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


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers, and with a word when it is ready."""

    def __init__(self, config: uvicorn.Config, app: Application, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Streams do not end by themselves: each is told before the server waits for the rest.
        await self._app.stop()
        await super().shutdown(sockets)


def _config(settings: Settings, app: Application) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws=WEBSOCKET_PROTOCOL,
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
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        # Behind the interpreter's default, crowds that reconnect are refused.
        backlog=2_048,
    )


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
