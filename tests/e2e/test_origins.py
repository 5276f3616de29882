"""Pages of other sites, as browsers let them ask, against the real server behind a proxy."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.api import Person
from tests.processes import Server

LISTED = "https://tasks.example"
EVIL = "https://evil.example"
QUERY = {"query": "{ __typename }"}


@pytest.fixture(scope="module")
def proxied() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="carillon-test-"))
    folder.chmod(0o711)
    server = Server(folder, allowed_origins=LISTED, trusted_proxies="127.0.0.1")
    server.start()
    yield server
    server.close()
    shutil.rmtree(folder)


async def test_a_listed_page_may_ask_and_listen_and_another_may_not(proxied: Server) -> None:
    async with httpx.AsyncClient(base_url=proxied.url, timeout=30) as http:
        ada = await Person.sign_up(proxied.url, http)
        token = {"Authorization": f"Bearer {ada.token}"}
        asked_first = await http.options(
            "/graphql",
            headers={
                "Origin": LISTED,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
        )
        answer = await http.post("/graphql", json=QUERY, headers={"Origin": LISTED, **token})
        wrong = await http.post("/graphql", content=b"{", headers={"Origin": LISTED, **token})
        refused = await http.post("/graphql", json=QUERY, headers={"Origin": EVIL, **token})
        simple = await http.get("/graphql?query={__typename}", headers={"Origin": EVIL})
        follow = f'subscription {{ changes(workspaceId: "{ada.workspace}") {{ seq }} }}'
        events = {"Accept": "text/event-stream", "Origin": LISTED, **token}
        async with http.stream("POST", "/graphql", json={"query": follow}, headers=events) as live:
            async with asyncio.timeout(5):
                first = await anext(chunk async for chunk in live.aiter_text() if "seq" in chunk)

    assert asked_first.status_code == 204
    assert asked_first.headers["access-control-allow-headers"] == "authorization,content-type"
    assert (answer.status_code, answer.json()["data"]) == (200, {"__typename": "Query"})
    assert wrong.status_code == 415
    for read in (asked_first, answer, wrong, live):
        assert read.headers["access-control-allow-origin"] == LISTED
        assert "Origin" in read.headers["vary"]
    assert '"seq":' in first
    assert (refused.status_code, simple.status_code) == (403, 403)
    assert "access-control-allow-origin" not in {**refused.headers, **simple.headers}


async def test_our_own_page_is_known_by_the_name_that_the_proxy_tells(proxied: Server) -> None:
    forwarded = {"Origin": "https://carillon.example", "X-Forwarded-Host": "carillon.example"}
    async with httpx.AsyncClient(base_url=proxied.url) as http:
        own = await http.post("/graphql", json=QUERY, headers=forwarded)
        page = await http.get("/graphql", headers={**forwarded, "Accept": "text/html"})
    protocol = [Subprotocol("graphql-transport-ws")]
    async with connect(
        proxied.websocket_url, subprotocols=protocol, additional_headers=forwarded
    ) as socket:
        await socket.send('{"type":"connection_init"}')
        acknowledged = await socket.recv()
    with pytest.raises(InvalidStatus) as refused:
        async with connect(
            proxied.websocket_url,
            subprotocols=protocol,
            additional_headers={**forwarded, "Origin": EVIL},
        ):
            raise AssertionError("it was let in")

    assert own.status_code == 200
    assert page.headers["content-type"].startswith("text/")
    assert acknowledged == '{"type":"connection_ack"}'
    assert refused.value.response.status_code == 403
