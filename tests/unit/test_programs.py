"""Programs that we run: told apart from others by their pid, and gone when we are."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cluster.processes import Program, StartFailed, free_ports

PARENT = """
import asyncio, signal, sys
from pathlib import Path
from cluster.processes import Program
async def main():
    command = ["sh", "-c", "echo started; exec sleep 600"]
    program = Program("sleep", command, folder=Path(sys.argv[1]), env={})
    async def ready():
        return "started" in program.log.read_text()
    await program.start(ready, within=5)
    print(program.pid, flush=True)
    signal.pause()
asyncio.run(main())
"""
# Ends only when it is made to.
DEAF = ["sh", "-c", "trap '' TERM; echo started; while :; do sleep 1; done"]


def said(program: Program, word: str) -> Callable[[], Awaitable[bool]]:
    async def is_said() -> bool:
        return word in program.log.read_text()

    return is_said


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells its range; others' begins higher")
def test_free_ports_are_none_that_an_outgoing_connection_could_take() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())

    found = free_ports(50)

    assert len(set(found)) == 50
    assert [port for port in found if first <= port <= last] == []


async def test_a_program_starts_stops_and_starts_again(tmp_path: Path) -> None:
    program = Program("hello", ["sh", "-c", "echo hello; exec sleep 600"], folder=tmp_path, env={})

    await program.start(said(program, "hello"), within=5)
    first = program.pid
    await program.stop(within=5)
    assert not program.is_running()
    await program.start(said(program, "hello"), within=5)

    assert program.is_running()
    assert program.pid != first
    await program.kill()
    assert not program.is_running()


async def test_one_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    program = Program("bad", ["sh", "-c", "echo no such broker; exit 3"], folder=tmp_path, env={})

    with pytest.raises(StartFailed, match="bad ended with 3:\nno such broker"):
        await program.start(said(program, "never"), within=5)


async def test_one_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    program = Program("slow", ["sleep", "600"], folder=tmp_path, env={})

    with pytest.raises(StartFailed, match="slow was not ready in 0 s"):
        await program.start(said(program, "never"), within=0.1)

    assert not program.is_running()


async def test_one_that_does_not_listen_is_made_to_end(tmp_path: Path) -> None:
    program = Program("deaf", DEAF, folder=tmp_path, env={})
    await program.start(said(program, "started"), within=5)

    await program.stop(within=0.1)

    assert not program.is_running()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_program_dies_with_a_parent_that_is_killed(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=pytestconfig.rootpath, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        was_alive = is_alive(pid)
        parent.send_signal(signal.SIGKILL)
    assert was_alive

    give_up = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < give_up:
        time.sleep(0.01)  # another process's state
    assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    # An orphan that nobody has buried yet is dead, too.
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells its range; others' begins higher")
def test_free_ports_are_all_different() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
