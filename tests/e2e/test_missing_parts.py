"""A process whose sidecar or broker is not there yet is alive, not ready, and says so."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.processes import free_port

CARILLON = str(Path(sys.executable).with_name("carillon"))
SETTINGS = {"CARILLON_TOKEN_SECRET": "s" * 32, "CARILLON_LOG_FORMAT": "json"}


@contextmanager
def running(command: str, output: Path, **settings: str) -> Iterator[str]:
    """The process's URL, once it answers that it is alive."""
    port = free_port()
    with output.open("wb") as log:
        process = subprocess.Popen(
            [CARILLON, command, "--port", str(port)],
            stdout=log,
            stderr=log,
            env={"PATH": os.defpath, **SETTINGS, **settings},
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _until(lambda: _status(f"{url}/healthz") == 200)
        yield url
    finally:
        process.terminate()
        assert process.wait(15) == 0, output.read_text()


def _status(url: str) -> int | None:
    try:
        return httpx.get(url, timeout=2).status_code
    except httpx.TransportError:
        return None


def _until(condition: object) -> None:
    give_up = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < give_up
        time.sleep(0.05)  # the process is not ours to await


@pytest.mark.parametrize("store", ["", "secrets"])
def test_the_relay_waits_for_its_sidecar(database_url: str, tmp_path: Path, store: str) -> None:
    """Also where its secrets come by that sidecar."""
    output = tmp_path / "relay.log"
    settings = {"CARILLON_DAPR_URL": f"http://127.0.0.1:{free_port()}"}
    settings |= (
        {"CARILLON_SECRET_STORE": store} if store else {"CARILLON_DATABASE_URL": database_url}
    )

    with running("relay", output, **settings) as url:
        _until(lambda: "sidecar.awaited" in output.read_text())
        answer = httpx.get(f"{url}/readyz")

        assert answer.status_code == 503
        assert _status(f"{url}/healthz") == 200
    assert output.read_text().count("sidecar.awaited") == 1
    assert "Traceback" not in output.read_text()


def test_a_replica_serves_and_is_not_ready_until_it_reads_the_topics(
    database_url: str, tmp_path: Path
) -> None:
    output = tmp_path / "api.log"

    with running(
        "serve",
        output,
        CARILLON_DATABASE_URL=database_url,
        CARILLON_KAFKA_SERVERS=f"127.0.0.1:{free_port()}",
    ) as url:
        _until(lambda: "kafka.tail_failed" in output.read_text())
        answer = httpx.get(f"{url}/readyz")
        asked = httpx.post(f"{url}/graphql", json={"query": "{ viewer { id } }"})

    assert (answer.status_code, answer.text) == (503, "The topics are not being read yet.\n")
    assert asked.json()["data"] == {"viewer": None}


def test_the_relay_says_what_it_needs(database_url: str) -> None:
    done = subprocess.run(
        [CARILLON, "relay", "--port", str(free_port())],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.defpath, **SETTINGS, "CARILLON_DATABASE_URL": database_url},
    )

    assert done.returncode == 1
    assert "The relay needs CARILLON_DATABASE_URL and CARILLON_DAPR_URL." in done.stderr
    assert "Traceback" not in done.stderr
