"""The cache of built parts: whole or absent, made one time."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.cache import cached, once

HANGS = """
import sys, time
from pathlib import Path
from cluster.cache import once
def make(folder):
    (folder / "half").touch()
    print("making", flush=True)
    time.sleep(600)
once(Path(sys.argv[1]), make)
"""


def test_the_key_follows_from_the_content_of_the_files(tmp_path: Path) -> None:
    lock = tmp_path / "go.sum"
    lock.write_text("one")
    one = cached("daprd", [lock])

    lock.write_text("two")

    assert cached("daprd", [lock]) != one
    lock.write_text("one")
    assert cached("daprd", [lock]) == one


async def test_two_that_come_at_once_make_it_one_time(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.1)  # long enough for the other to come
        (folder / "daprd").touch()

    folder = tmp_path / "cache" / "daprd-1"
    await asyncio.gather(*(asyncio.to_thread(once, folder, make) for _ in range(2)))

    assert len(made) == 1
    assert [path.name for path in folder.iterdir()] == ["daprd"]


def test_one_that_is_killed_half_way_leaves_nothing_that_counts(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    folder = tmp_path / "daprd-1"
    command = [sys.executable, "-c", HANGS, str(folder)]
    with subprocess.Popen(
        command, cwd=pytestconfig.rootpath, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "making\n"
        killed.send_signal(signal.SIGKILL)
    assert not folder.exists()

    once(folder, lambda new: (new / "whole").touch())

    assert sorted(path.name for path in tmp_path.iterdir()) == ["daprd-1", "daprd-1.lock"]
    assert [path.name for path in folder.iterdir()] == ["whole"]


def test_a_failure_is_told_and_the_next_tries_again(tmp_path: Path) -> None:
    folder = tmp_path / "daprd-1"

    def fail(_: Path) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        once(folder, fail)
    assert not folder.exists()

    once(folder, lambda new: (new / "whole").touch())
    assert (folder / "whole").exists()
