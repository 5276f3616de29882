"""The clients that users bring, as they come from their registries, against the real server."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gql
import httpx
import pytest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.websockets import WebsocketsTransport

from tests.api import Person
from tests.parts import lacking
from tests.processes import Server

CLIENTS = Path(__file__).parents[1] / "clients"
NODE = shutil.which("node")
needs_node = pytest.mark.usefixtures("node")


@pytest.fixture(scope="module")
def node() -> None:
    if NODE is None:
        lacking("The clients need Node.js (nodejs.org)")


@pytest.fixture
async def ada(server: Server) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(timeout=30) as http:
        yield await Person.sign_up(server.url, http)


class Script:
    """A running client that prints JSON lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def lines(self) -> list[dict[str, Any]]:
        """Returns all it printed, once it has ended by itself and well."""
        out, _ = await asyncio.wait_for(self._process.communicate(), 60)
        assert self._process.returncode == 0, out.decode()
        return [json.loads(line) for line in out.decode().splitlines()]


async def script(name: str, *arguments: str) -> Script:
    assert NODE is not None
    return Script(
        await asyncio.create_subprocess_exec(
            NODE, str(CLIENTS / name), *arguments, stdout=asyncio.subprocess.PIPE
        )
    )


@needs_node
async def test_every_must_and_should_of_graphql_over_http_holds(server: Server) -> None:
    audits = await (await script("audits.mjs", f"{server.url}/graphql")).lines()

    assert len(audits) > 50
    wrong = [a for a in audits if a["status"] != "ok" and a["name"].startswith(("MUST", "SHOULD"))]
    assert wrong == []


@needs_node
@pytest.mark.parametrize("name", ["follow-graphql-ws.mjs", "sse.mjs"])
async def test_a_follower_continues_where_it_was_when_the_server_died(
    server: Server, ada: Person, name: str
) -> None:
    await ada.create("first")
    follower = await script(
        name, f"{server.url}/graphql", ada.token, ada.workspace, "--after", "0", "--until", "23"
    )
    for number in range(10):
        await ada.create(f"before {number}")
    server.kill()
    await asyncio.to_thread(server.start)
    for number in range(10):
        await ada.create(f"after {number}")

    lines = await follower.lines()

    changes = [line for line in lines if line["type"] == "Change"]
    assert [int(change["seq"]) for change in changes] == list(range(1, 24))
    assert changes[0]["kind"] == "workspace.created"


@needs_node
@pytest.mark.parametrize("name", ["follow-urql.mjs", "follow-apollo.mjs"])
async def test_an_application_library_reads_writes_and_follows(
    server: Server, ada: Person, name: str
) -> None:
    await ada.create("there before")

    client = await script(
        name, f"{server.url}/graphql", ada.token, ada.workspace, "--title", "made by the client"
    )
    lines = await client.lines()

    kinds = [line["type"] for line in lines]
    assert {"query", "mutation", "CaughtUp", "Change"} <= set(kinds)
    assert [line["kind"] for line in lines if line["type"] == "Change"] == ["task.created"]


async def test_the_python_client_gql_reads_writes_and_follows(server: Server, ada: Person) -> None:
    headers = {"Authorization": f"Bearer {ada.token}"}
    over_http = AIOHTTPTransport(url=f"{server.url}/graphql", headers=headers, ssl=True)
    over_socket = WebsocketsTransport(
        url=server.websocket_url,
        init_payload={"token": ada.token},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    follow = gql.gql("""
        subscription ($id: ID!) {
            changes(workspaceId: $id, after: "2") { seq ... on Change { kind task { title } } }
        }""")
    create = gql.gql("""
        mutation ($id: ID!) {
            taskCreate(workspaceId: $id, input: {title: "from gql"}) { seq task { id } }
        }""")
    follow.variable_values = create.variable_values = {"id": ada.workspace}

    async with gql.Client(transport=over_socket) as live, gql.Client(transport=over_http) as http:
        messages = live.subscribe(follow)
        caught_up = await anext(messages)
        made = await http.execute(create)
        change = await anext(messages)
        await messages.aclose()

    assert caught_up == {"changes": {"seq": "2"}}
    assert made["taskCreate"]["seq"] == "3"
    expected = {"seq": "3", "kind": "task.created", "task": {"title": "from gql"}}
    assert change == {"changes": expected}
