"""Programs that we run: output in a file, an end bound to ours, and ended by their own pid only."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

POLL_S = 0.02
# Below those of outgoing connections (Linux gives from 32,768, others from 49,152): with
# some hundred of these about, one would take a port between its drawing and the listening.
PORTS = (15_000, 32_768)
# What a failed start shows of the program's last words.
TAIL_BYTES = 4_000


class StartFailed(Exception):
    """A program ended, or was not ready in time; the message ends with what it said last."""


def guarded(command: Sequence[str]) -> list[str]:
    """Returns the command that dies with the thread that starts it: start it in the main one."""
    guard = Path(__file__).with_name("guard.py")
    return [sys.executable, "-IS", str(guard), str(os.getpid()), *command]


def free_ports(count: int) -> list[int]:
    """Returns ports of the loopback that nobody listened on a moment ago, all different."""
    probes: list[socket.socket] = []
    try:
        while len(probes) < count:
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", random.randrange(*PORTS)))  # noqa: S311 - no secret
            except OSError:
                probe.close()
            else:
                probes.append(probe)
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Program:
    """One program, which can be started again after a stop or a kill.

    Bound to no event loop, so that a test run's program serves the loops of its tests.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, folder: Path, env: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = command
        self._folder = folder
        self._env = {"PATH": os.defpath, "HOME": str(folder), "TZ": "UTC", **env}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running program."""
        return self._running().pid

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    async def start(self, is_ready: Callable[[], Awaitable[bool]], *, within: float) -> None:
        """Returns once it is ready.

        Args:
            is_ready: asked again until it answers True.
            within: seconds.

        Raises:
            StartFailed: it ended, or was not ready in time; it is ended then.
        """
        assert not self.is_running(), f"{self.name} runs already"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                guarded(self._command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A ^C in the terminal is ours to handle: parts outlive those who use them.
                start_new_session=True,
                cwd=self._folder,
                env=self._env,
            )
        try:
            await self.until(is_ready, within=within)
        except BaseException:
            await self.kill()
            raise

    async def until(self, is_ready: Callable[[], Awaitable[bool]], *, within: float) -> None:
        """Returns once the running program answers; see `start`."""
        give_up = time.monotonic() + within
        while not await is_ready():
            code = self._running().poll()
            if code is not None:
                raise StartFailed(f"{self.name} ended with {code}:\n{self._last_words()}")
            if time.monotonic() > give_up:
                raise StartFailed(
                    f"{self.name} was not ready in {within:.0f} s:\n{self._last_words()}"
                )
            await asyncio.sleep(POLL_S)

    async def stop(self, *, within: float) -> None:
        """Asks it to end, and insists after `within` seconds; nothing, when it does not run."""
        if not self.is_running():
            return
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, within)
        except subprocess.TimeoutExpired:
            await self.kill()

    async def kill(self) -> None:
        """Ends it as a power cut would; nothing, when it does not run."""
        if self.is_running():
            process = self._running()
            process.kill()
            await asyncio.to_thread(process.wait)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    def _last_words(self) -> str:
        return self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
