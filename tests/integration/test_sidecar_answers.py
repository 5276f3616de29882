"""What a sidecar may answer that no good one does: told in one line, and nothing else is done.

A web server stands in for daprd, which cannot be made to answer so; tests/distributed has daprd.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from domain.errors import Code, Refused, Unavailable
from infra.dapr.invoker import DaprInvoker
from infra.dapr.sidecar import Sidecar
from tests.live import port_of, served
from tests.processes import free_port

WRONG = (
    "carillon: The secret carillon of the store secrets has to hold texts by the names of"
    " settings, as CARILLON_DATABASE_URL.\n"
)


@asynccontextmanager
async def answering(body: bytes) -> AsyncIterator[str]:
    """Yields the URL of what is ready, and answers everything with this body."""

    async def answer(_request: Request) -> Response:
        return Response(body, media_type="application/json")

    route = Route("/{path:path}", answer, methods=["GET", "POST"])
    async with served(Router([route])) as server:
        yield f"http://127.0.0.1:{port_of(server)}"


async def said(*words: str, url: str, folder: Path, **settings: str) -> tuple[int | None, str]:
    """Returns how a command ends whose secrets come from there, and what it says of it."""
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("carillon")), *words),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.defpath,
            "CARILLON_DAPR_URL": url,
            "CARILLON_SECRET_STORE": "secrets",
            "CARILLON_DATA_DIR": str(folder),
            **settings,
        },
    )
    _, error = await process.communicate()
    return process.returncode, error.decode()


@pytest.mark.parametrize(
    "_case,body",
    [
        ("no JSON", b"<html>"),
        ("a list", b'["CARILLON_DATABASE_URL"]'),
        ("no text", b'{"CARILLON_TOKEN_SECRET": 5}'),
    ],
)
async def test_a_secret_that_is_no_texts_by_name_is_refused_in_one_line(
    _case: str, body: bytes, tmp_path: Path
) -> None:
    async with answering(body) as url:
        assert await said("migrate", url=url, folder=tmp_path) == (1, WRONG)


@pytest.mark.parametrize("command", ["serve", "migrate", "cleanup"])
async def test_a_store_without_the_database_starts_no_database_of_our_own(
    command: str, tmp_path: Path
) -> None:
    words = [command, *(["--port", str(free_port())] if command == "serve" else [])]
    async with answering(b'{"CARILLON_TOKEN_SECRET": "%s"}' % (b"s" * 32)) as url:
        code, error = await said(*words, url=url, folder=tmp_path / "data")

    assert code == 1
    assert error.splitlines()[-1] == (
        "carillon: CARILLON_DATABASE_URL is needed beside CARILLON_SECRET_STORE,"
        " or in the secret store."
    )
    assert not (tmp_path / "data").exists()


async def test_migrate_finds_the_database_in_the_store(database_url: str, tmp_path: Path) -> None:
    async with answering(b'{"CARILLON_DATABASE_URL": "%s"}' % database_url.encode()) as url:
        assert await said("migrate", url=url, folder=tmp_path / "data") == (0, "")

    assert not (tmp_path / "data").exists()


async def test_migrate_asks_no_sidecar_where_the_database_is_given(
    database_url: str, tmp_path: Path
) -> None:
    """As the Job in kustomize/, which has the settings of all and no sidecar."""
    url = f"http://127.0.0.1:{free_port()}"
    given = {"CARILLON_DATABASE_URL": database_url}

    assert await said("migrate", url=url, folder=tmp_path / "data", **given) == (0, "")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"problems": 1}',
        b'{"problems": ["no"]}',
        b'{"problems": [{"code": "OF_TOMORROW", "message": "No.", "field": []}]}',
    ],
)
async def test_what_an_app_answers_that_cannot_be_read_is_unavailable(body: bytes) -> None:
    async with answering(body) as url, Sidecar(url) as sidecar:
        with pytest.raises(Unavailable, match="app answered what cannot be read here"):
            await DaprInvoker(sidecar, "/invoke/").call("app", "preview", {}, timeout_s=5)


async def test_a_refusal_of_an_app_is_its_own() -> None:
    body = b'{"problems": [{"code": "INVALID", "message": "No.", "field": ["input", "rule"]}]}'
    async with answering(body) as url, Sidecar(url) as sidecar:
        with pytest.raises(Refused) as refused:
            await DaprInvoker(sidecar, "/invoke/").call("app", "preview", {}, timeout_s=5)

    [problem] = refused.value.problems
    assert (problem.code, problem.message, problem.path) == (
        Code.INVALID,
        "No.",
        ("input", "rule"),
    )
