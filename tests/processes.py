"""Carillon as its users run it: a process, a data folder, a port."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

START_MAX_S = 60.0
STOP_MAX_S = 15.0


def free_port() -> int:
    """Returns a port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """`carillon serve` on a folder and a port of its own; starts again after a stop or a kill."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.data_dir = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.websocket_url = f"ws://127.0.0.1:{self.port}/graphql"
        self.output = folder / "output.log"
        self._settings = {f"CARILLON_{name.upper()}": value for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> None:
        """Returns once /readyz answers 200."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(str(Path(sys.executable).with_name("carillon")), "serve"),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                    *("--data-dir", str(self.data_dir)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.defpath, "CARILLON_LOG_FORMAT": "json", **self._settings},
            )
        give_up = time.monotonic() + START_MAX_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                self.end_orphan()
                raise AssertionError(f"carillon did not start:\n{self.output.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Asks for a graceful stop; fails when it takes too long or ends badly."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self.end_orphan()
            raise AssertionError(
                f"carillon did not stop in {STOP_MAX_S:.0f} s:\n{self.output.read_text()}"
            ) from None
        self._process = None
        assert code == 0, f"carillon ended with {code}:\n{self.output.read_text()}"

    def kill(self) -> None:
        """Ends the process as a power cut would; its PostgreSQL stays until the next start."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def close(self) -> None:
        """Stops what runs; for the end of a test."""
        if self._process is not None:
            self.stop()
        self.end_orphan()

    def end_orphan(self) -> None:
        """Ends the PostgreSQL of a killed process that was never started again."""
        pid_file = self.data_dir / "postgres" / "cluster" / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text().splitlines()[0])
        folder = Path(f"/proc/{pid}/cwd")
        if folder.exists() and folder.samefile(pid_file.parent):
            os.kill(pid, signal.SIGINT)
            while pid_file.exists():
                time.sleep(0.01)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "carillon does not run"
        return self._process
