"""`carillon serve` as a process: how it starts, stops, and says what is in its way."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes import Server, free_port

CARILLON = str(Path(sys.executable).with_name("carillon"))


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="carillon-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def serve(folder: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [CARILLON, "serve", "--port", str(port), "--data-dir", str(folder / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.defpath},
    )


def postmaster(server: Server) -> int:
    pid_file = server.data_dir / "postgres" / "cluster" / "postmaster.pid"
    return int(pid_file.read_text().splitlines()[0])


def test_it_says_where_it_is_and_stops_when_asked(server: Server) -> None:
    database = postmaster(server)

    server.stop()

    assert f"Carillon is ready at {server.url}/graphql (" in server.output.read_text()
    assert not Path(f"/proc/{database}/cwd").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")


def test_a_killed_server_starts_again_on_its_folder(server: Server) -> None:
    server.kill()

    server.start()

    assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_a_stop_during_the_start_is_a_clean_end(folder: Path) -> None:
    process = serve(folder, free_port())
    while not list(folder.glob("data/postgres/cluster.new-*")):
        assert process.poll() is None
        time.sleep(0.005)

    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)

    assert process.returncode == 0, errors
    assert "ready" not in output
    assert not (folder / "data" / "postgres" / "cluster" / "postmaster.pid").exists()


def test_a_taken_port_is_told_in_one_line_before_anything_is_made(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        _, errors = (process := serve(folder, port)).communicate(timeout=30)

    assert process.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in errors
    assert "Traceback" not in errors
    assert not (folder / "data").exists()


def test_a_second_server_on_the_folder_is_told_who_holds_it(server: Server) -> None:
    _, errors = (second := serve(server.data_dir.parent, free_port())).communicate(timeout=30)

    assert second.returncode == 1
    assert f"is in use by process {server.pid}" in errors
    assert "Traceback" not in errors
    assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_a_server_whose_database_died_ends_and_says_so(server: Server) -> None:
    os.kill(postmaster(server), signal.SIGKILL)

    with pytest.raises(AssertionError, match="ended with 1"):
        server.stop()

    assert '"event": "postgres.died"' in server.output.read_text()


def test_no_database_is_told_in_one_line(folder: Path) -> None:
    port = free_port()
    done = subprocess.run(
        [CARILLON, "serve", "--port", str(free_port()), "--data-dir", str(folder / "data")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            "PATH": os.defpath,
            "CARILLON_DATABASE_URL": f"postgresql://u:hunter2@127.0.0.1:{port}/d",
            "CARILLON_TOKEN_SECRET": "s" * 32,
        },
    )

    assert done.returncode == 1
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr
    assert str(port) in done.stderr
