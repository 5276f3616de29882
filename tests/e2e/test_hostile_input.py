"""Whatever a client sends gets a typed answer; the process stays up and small."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.api import Person
from tests.processes import Server

ID = "01936f2e-8c1a-7c3e-9d54-0242ac120002"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as http:
        yield http


@pytest.fixture
async def ada(shared_server: Server, http: httpx.AsyncClient) -> Person:
    return await Person.sign_up(shared_server.url, http)


def codes(response: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in response["errors"]]


@pytest.mark.parametrize(
    "query",
    [
        "{",
        "{ nothing }",
        "query { viewer { id } } query { viewer { id } }",
        "{ task }",
        '{ task(id: "x", id: "y") { id } }',
        "query ($x: Nope) { viewer { id } }",
        "subscription { changes(workspaceId: 1) { seq } viewer { id } }",
        "fragment A on Task { ...A } { viewer { id } }",
        f'{{ tasks(workspaceId: "{ID}", first: 1.5) {{ seq }} }}',
        f'{{ tasks(workspaceId: "{ID}", filter: {{due: {{dateGte: "2027-02-30"}}}}) {{ seq }} }}',
        f'{{ tasks(workspaceId: "{ID}", filter: {{createdAt: {{lt: "yesterday"}}}}) {{ seq }} }}',
        f'{{ tasks(workspaceId: "{ID}", filter: {{id: {{eq: "x"}}}}) {{ seq }} }}',
        f'{{ tasks(workspaceId: "{ID}", filter: {{search: "a\\u0000b"}}) {{ seq }} }}',
        f'{{ tasks(workspaceId: "{ID}", atLeast: "-1") {{ seq }} }}',
        f'{{ changes(workspaceId: "{ID}", after: "1e3") {{ head }} }}',
    ],
)
async def test_what_is_wrong_with_a_query_is_malformed(ada: Person, query: str) -> None:
    response = await ada.send(query)

    assert codes(response) == ["MALFORMED"] * len(response["errors"])
    assert all("traceId" in error["extensions"] for error in response["errors"])


@pytest.mark.parametrize(
    "query, code",
    [
        ("{" + "viewer {workspaces {" * 1 + "id" + "}}" * 1 + "}", None),
        ("{ viewer " + "{ workspaces { tags { name } " * 1 + "}}" + "}", None),
        (f'{{ tasks(workspaceId: "{ID}", first: 201) {{ seq }} }}', "LIMIT_EXCEEDED"),
        ("{" + " ".join(f"a{n}: viewer {{ id }}" for n in range(2_000)) + "}", "LIMIT_EXCEEDED"),
        ("{" * 5_000, "MALFORMED"),
        (f'{{ task(id: "{ID}") {{ ' + "parent { " * 60 + "id" + " }" * 60 + "}}", "LIMIT_EXCEEDED"),
    ],
)
async def test_what_is_too_much_is_refused_before_it_costs(
    ada: Person, query: str, code: str | None
) -> None:
    response = await ada.send(query)

    assert (codes(response)[0] if "errors" in response else None) == code


async def test_fragments_that_spread_to_a_million_fields_are_refused_at_once(ada: Person) -> None:
    bomb = " ".join(
        f"fragment F{n} on Task {{ a: parent {{ ...F{n + 1} }} b: parent {{ ...F{n + 1} }} }}"
        for n in range(17)
    )
    last = "fragment F17 on Task { id }"

    response = await ada.send(f'{{ task(id: "{ID}") {{ ...F0 }} }} {bomb} {last}')

    assert codes(response) == ["LIMIT_EXCEEDED"]


async def test_a_costly_query_is_refused_with_its_cost(ada: Person) -> None:
    below = "subtasks(first: 200) { nodes { id "
    query = f'{{ tasks(workspaceId: "{ada.workspace}", first: 200) {{ nodes {{ '
    response = await ada.send(query + below * 4 + "}}" * 4 + "}}}")

    assert codes(response) == ["TOO_COSTLY"]
    assert response["extensions"]["cost"] > 1_000_000


async def test_every_answer_tells_its_cost(ada: Person) -> None:
    response = await ada.send(
        f'{{ tasks(workspaceId: "{ada.workspace}", first: 10) {{ nodes {{ id title }} }} }}'
    )

    assert response["data"] == {"tasks": {"nodes": []}}
    assert 0 < response["extensions"]["cost"] < 100


@pytest.mark.parametrize("title", ["nul \0", "lone \ud800", "", "   ", "x" * 501, "line\nbreak"])
async def test_a_title_that_cannot_be_is_a_user_error(ada: Person, title: str) -> None:
    query = """mutation ($w: ID!, $t: String!) {
        taskCreate(workspaceId: $w, input: {title: $t}) { task { id } userErrors { code field } }
    }"""
    body = json.dumps({"query": query, "variables": {"w": ada.workspace, "t": title}})

    answer = await ada.http.post(
        f"{ada.url}/graphql",
        content=body.encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {ada.token}"},
    )

    payload = answer.json()["data"]["taskCreate"]
    assert payload == {
        "task": None,
        "userErrors": [{"code": "INVALID", "field": ["input", "title"]}],
    }


@pytest.mark.parametrize(
    "given, path",
    [
        ({"categoryId": "x"}, ["input", "categoryId"]),
        ({"categoryId": ID}, ["input", "categoryId"]),
        ({"tagIds": [ID]}, ["input", "tagIds"]),
        ({"assigneeId": ID}, ["input", "assigneeId"]),
        ({"parentId": ID}, ["input", "parentId"]),
        ({"position": {"afterId": ID}}, ["input", "position", "afterId"]),
        ({"position": {"afterId": ID, "beforeId": ID}}, ["input", "position"]),
        ({"clientMutationId": "short"}, ["input", "clientMutationId"]),
        ({"id": "not-a-uuid"}, ["input", "id"]),
        ({"due": {"date": "9999-12-31"}}, ["input", "due", "date"]),
        ({"due": {"date": "2027-01-01", "fold": True}}, ["input", "due", "fold"]),
        ({"description": "x" * 100_001}, ["input", "description"]),
    ],
)
async def test_a_bad_field_is_named_by_its_path(
    ada: Person, given: dict[str, object], path: list[str]
) -> None:
    data = await ada.ask(
        """mutation ($w: ID!, $i: TaskCreateInput!) {
            taskCreate(workspaceId: $w, input: $i) { task { id } userErrors { code field message } }
        }""",
        w=ada.workspace,
        i={"title": "x", **given},
    )

    payload = data["taskCreate"]
    assert payload["task"] is None
    assert [error["field"] for error in payload["userErrors"]] == [path]


@pytest.mark.parametrize("character", ["é", "\N{PARTY POPPER}", "\x01"])
async def test_the_longest_description_fits_however_a_client_escapes_it(
    ada: Person, character: str
) -> None:
    longest = character * 100_000
    query = """mutation ($w: ID!, $d: String!) { taskCreate(workspaceId: $w,
        input: {title: "long", description: $d}) { userErrors { code } task { description } } }"""
    payload = {"query": query, "variables": {"w": ada.workspace, "d": longest}}

    by_http = await ada.http.post(
        f"{ada.url}/graphql",
        content=json.dumps(payload),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {ada.token}"},
    )
    async with ada.socket() as socket:
        await socket.say(type="subscribe", id="1", payload=payload)
        by_socket = await socket.hear()

    made = {"taskCreate": {"userErrors": [], "task": {"description": longest}}}
    assert by_http.json()["data"] == made
    assert by_socket["payload"]["data"] == made


@pytest.mark.parametrize(
    "headers, body, status",
    [
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({"Content-Type": "application/json"}, b"{", 400),
        ({"Content-Type": "application/json"}, b"[]", 400),
        ({"Content-Type": "application/json"}, b'{"query": 1}', 400),
        ({"Content-Type": "application/json"}, b'{"query": "{a}", "variables": []}', 400),
        ({"Content-Type": "application/json"}, b"\xff\xfe", 400),
        ({"Content-Type": "application/json"}, b'{"query":"' + b"x" * 2_000_000 + b'"}', 413),
        ({"Content-Type": "application/json"}, b"[" * 100_000, 400),
    ],
)
async def test_a_request_that_is_no_graphql_is_refused_by_its_status(
    shared_server: Server,
    http: httpx.AsyncClient,
    headers: dict[str, str],
    body: bytes,
    status: int,
) -> None:
    answer = await http.post(f"{shared_server.url}/graphql", content=body, headers=headers)

    assert answer.status_code == status
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "frames, code",
    [
        ([b"binary"], 4400),
        (["not json"], 4400),
        (["[]"], 4400),
        (['{"type":"nonsense"}'], 4400),
        (['{"type":"subscribe","id":"1","payload":{"query":"{a}"}}'], 4401),
        (['{"type":"connection_init"}', '{"type":"connection_init"}'], 4429),
        (['{"type":"connection_init","payload":{"token":"x"}}'], 4403),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":1,"payload":{}}'], 4400),
        (["x" * 2_000_000], 1009),
    ],
)
async def test_a_socket_that_breaks_the_protocol_is_closed_with_its_code(
    shared_server: Server, frames: list[str | bytes], code: int
) -> None:
    protocol = [Subprotocol("graphql-transport-ws")]
    async with connect(shared_server.websocket_url, subprotocols=protocol) as socket:
        with contextlib.suppress(ConnectionClosed):
            for frame in frames:
                await socket.send(frame)
            async with asyncio.timeout(5):
                while True:
                    await socket.recv()

    assert socket.close_code == code


async def test_the_legacy_protocol_is_refused(shared_server: Server) -> None:
    async with connect(
        shared_server.websocket_url, subprotocols=[Subprotocol("graphql-ws")]
    ) as socket:
        with pytest.raises(ConnectionClosed) as closing:
            await asyncio.wait_for(socket.recv(), 5)

    assert closing.value.rcvd is not None
    assert closing.value.rcvd.code == 4406


async def test_memory_stays_flat_under_documents_that_are_all_different(
    shared_server: Server, ada: Person
) -> None:
    async def burst(start: int) -> None:
        for number in range(start, start + 300):
            await ada.send(f"{{ a{number}: viewer {{ id }} }}")
            await ada.send(f"{{ nonsense{number} }}")

    await burst(0)
    before = resident_kib(shared_server.pid)
    for turn in range(1, 6):
        await burst(1_000 * turn)

    assert resident_kib(shared_server.pid) - before < 20_000


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(row for row in status.splitlines() if row.startswith("VmRSS:")).split()[1])


async def test_slow_clients_and_huge_heads_leave_nothing_behind(shared_server: Server) -> None:
    """As tools for such attacks do it: many connections that say nothing, or never the end."""
    port, pid = shared_server.port, shared_server.pid
    before, files = resident_kib(pid), open_files(pid)
    writers = []
    for number in range(400):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"" if number % 2 else b"POST /graphql HTTP/1.1\r\nHost: x\r\n")
        writers.append(writer)
    _, huge = await asyncio.open_connection("127.0.0.1", port)
    huge.write(b"POST /graphql HTTP/1.1\r\nX: ")
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            huge.write(b"a" * 1_000_000)
            await huge.drain()

    peak = resident_kib(pid)
    async with asyncio.timeout(20):
        while open_files(pid) > files + 5:
            await asyncio.sleep(0.2)
    for writer in (*writers, huge):
        writer.transport.abort()

    assert peak - before < 30_000
    assert httpx.get(f"{shared_server.url}/readyz").status_code == 200


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
