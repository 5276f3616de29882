"""GraphQL over HTTP: media types, status codes, methods, and bodies of every kind."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import httpx
import pytest

from carillon.graphql import build
from domain.access import Viewer
from domain.errors import Unauthenticated
from domain.ids import SessionId
from infra.clock import SystemClock
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.plans import PostgresReader, ReadLanes
from infra.postgres.state import PostgresStateStore
from resolvers.endpoint import HttpEndpoint
from resolvers.execution import Operations
from resolvers.negotiation import EVENTS, JSON, RESPONSE
from resolvers.persisted import PersistedQueries
from resolvers.preparation import Readers
from resolvers.sender import Receive, Scope, Send
from resolvers.streams import Opened
from schema.context import UseCases
from tests.worlds import World

BODY_MAX_BYTES = 10_000
BODY_WAIT_S = 2.0
QUERY = {"query": "{ viewer { name } }"}
ADA = {"viewer": {"name": "Ada"}}


@pytest.fixture
async def endpoint(world: World, database_url: str) -> AsyncIterator[HttpEndpoint]:
    async def authenticate(token: str) -> Viewer:
        if token != "good":
            raise Unauthenticated("The token is not good.")
        at = datetime.now(UTC) + timedelta(hours=1)
        return Viewer(user=world.ada, session=SessionId(UUID(int=1)), expires_at=at)

    async def events(
        _scope: Scope, _receive: Receive, send: Send, opened: Opened, viewer: Viewer | None
    ) -> None:
        said = opened if isinstance(opened, bytes) else repr((opened, viewer)).encode()
        headers = [(b"content-type", EVENTS.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": said})

    async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"<html>"})

    async with Lanes(database_url, LaneOptions(size=2)) as lanes:
        reader = PostgresReader(
            ReadLanes(generic=lanes, custom=lanes), PostgresLog(lanes), SystemClock()
        )
        yield HttpEndpoint(
            operations=Operations(
                build(),
                Readers(answers=reader, messages=reader),
                cast("UseCases", None),
                PersistedQueries(PostgresStateStore(lanes)),
            ),
            authenticate=authenticate,
            events=events,
            page=page,
            body_max_bytes=BODY_MAX_BYTES,
            body_wait_s=BODY_WAIT_S,
        )


@pytest.fixture
async def http(endpoint: HttpEndpoint) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(endpoint) as client:
        yield client


@asynccontextmanager
async def _client(endpoint: HttpEndpoint) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=cast("Any", endpoint)),
        base_url="http://carillon",
        headers={"Authorization": "Bearer good", "Accept": JSON},
    ) as client:
        yield client


def _codes(answer: httpx.Response) -> list[str]:
    assert all(len(e["extensions"]["traceId"]) == 32 for e in answer.json()["errors"])
    return [error["extensions"]["code"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("accept", [JSON, RESPONSE])
async def test_an_answer_has_the_media_type_asked_for(http: httpx.AsyncClient, accept: str) -> None:
    answer = await http.post("/graphql", json=QUERY, headers={"Accept": accept})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{accept}; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json() == {"data": ADA, "extensions": {"cost": 1}}


@pytest.mark.parametrize(
    "_case, query",
    [
        ("syntax", "{"),
        ("validation", "{ nothing }"),
        ("a variable", "query ($x: Int!) { viewer { id } a: __typename @skip(if: false) }"),
        ("no such operation", "query A { viewer { id } } query B { viewer { id } }"),
        ("a subscription", 'subscription { changes(workspaceId: "x") { seq } }'),
    ],
)
async def test_what_is_not_executed_is_a_success_only_for_the_older_media_type(
    http: httpx.AsyncClient, _case: str, query: str
) -> None:
    old = await http.post("/graphql", json={"query": query})
    new = await http.post("/graphql", json={"query": query}, headers={"Accept": RESPONSE})

    assert (old.status_code, new.status_code) == (200, 400)
    assert set(_codes(old)) == {"MALFORMED"}
    assert "data" not in old.json()


async def test_a_field_error_is_a_success_with_data(http: httpx.AsyncClient) -> None:
    query = {"query": '{ changes(workspaceId: "x", after: "0") { head } viewer { name } }'}

    answer = await http.post("/graphql", json=query, headers={"Accept": RESPONSE})

    assert answer.status_code == 200
    assert answer.json()["data"] == {"changes": None, **ADA}
    assert _codes(answer) == ["NOT_FOUND"]


@pytest.mark.parametrize(
    "content, content_type, status",
    [
        (b"", JSON, 400),
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b'[{"query":"{viewer{id}}"}]', JSON, 400),
        (b"null", JSON, 400),
        (b"{}", JSON, 400),
        (b'{"query":7}', JSON, 400),
        (b'{"query":"{viewer{id}}","operationName":7}', JSON, 400),
        (b'{"query":"{viewer{id}}","variables":[]}', JSON, 400),
        (b'{"query":"{viewer{id}}","variables":"{}"}', JSON, 400),
        (b'{"query":"{viewer{id}}","extensions":7}', JSON, 400),
        (b'{"query":"{viewer{id}}","variables":{"a":NaN}}', JSON, 400),
        (b'{"query":"{viewer{id}}\xff"}', JSON, 400),
        (b"[" * 9_000, JSON, 400),
        (b'{"a":' * 1_500 + b"1" + b"}" * 1_500, JSON, 400),
        (b'{"query":"{viewer{id}}"}', "text/plain", 415),
        (b'{"query":"{viewer{id}}"}', "application/json; charset=utf-16", 415),
        (b"query=%7Bviewer%7Bid%7D%7D", "application/x-www-form-urlencoded", 415),
        (b'{"query":"' + b" " * BODY_MAX_BYTES + b'{viewer{id}}"}', JSON, 413),
    ],
)
async def test_what_is_no_graphql_request_is_refused_by_its_status(
    http: httpx.AsyncClient, content: bytes, content_type: str, status: int
) -> None:
    answer = await http.post("/graphql", content=content, headers={"Content-Type": content_type})

    assert answer.status_code == status
    assert _codes(answer) == ["LIMIT_EXCEEDED" if status == 413 else "MALFORMED"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_nulls_for_what_may_be_left_out_are_fine(http: httpx.AsyncClient) -> None:
    nothing = {"operationName": None, "variables": None, "extensions": None}

    answer = await http.post("/graphql", json={**QUERY, **nothing, "unknown": 1})

    assert answer.json()["data"] == ADA


async def test_a_lone_surrogate_reaches_validation_and_comes_back_as_json(
    http: httpx.AsyncClient,
) -> None:
    sent = rb'{"query":"query ($s: Sequence!) { viewer { name } }","variables":{"s":"\ud800"}}'

    answer = await http.post("/graphql", content=sent, headers={"Content-Type": JSON})

    assert answer.status_code == 200
    assert set(_codes(answer)) == {"MALFORMED"}


@pytest.mark.parametrize(
    "query, status",
    [
        ("query=%7B%20viewer%20%7B%20name%20%7D%20%7D", 200),
        ("query=query%20Q%7Bviewer%7Bname%7D%7D&operationName=Q&variables=%7B%7D", 200),
        ("query=mutation%7BsignOut%7BuserErrors%7Bcode%7D%7D%7D", 405),
        ("query=%7Bviewer%7Bname%7D%7D&variables=%5B%5D", 400),
        ("query=%7Bviewer%7Bname%7D%7D&variables=x", 400),
        ("query=%FF", 200),
        ("variables=%7B%7D", 400),
        ("", 400),
        ("&".join(f"a{n}=1" for n in range(99)), 400),
    ],
)  # fmt: skip
async def test_get_is_for_queries(http: httpx.AsyncClient, query: str, status: int) -> None:
    answer = await http.get(f"/graphql?{query}")

    assert answer.status_code == status
    if status == 405:
        assert answer.headers["allow"] == "GET, POST"
    elif status == 200 and "viewer" in query:
        assert answer.json()["data"] == ADA


@pytest.mark.parametrize("accept", [JSON, RESPONSE, EVENTS])
async def test_get_changes_nothing_whatever_it_accepts(
    http: httpx.AsyncClient, world: World, accept: str
) -> None:
    mutation = f"""mutation {{ tagCreate(workspaceId: "{world.home}",
        input: {{name: "by GET", colour: "#ffffff"}}) {{ tag {{ id }} }} }}"""
    head = await world.head()

    answer = await http.get("/graphql", params={"query": mutation}, headers={"Accept": accept})

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"
    assert _codes(answer) == ["MALFORMED"]
    assert await world.head() == head


async def test_get_may_open_a_stream(http: httpx.AsyncClient, world: World) -> None:
    query = f'subscription {{ changes(workspaceId: "{world.home}") {{ seq }} }}'

    answer = await http.get("/graphql", params={"query": query}, headers={"Accept": EVENTS})

    assert answer.status_code == 200
    assert "ChangeStream" in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_other_methods_are_refused(http: httpx.AsyncClient, method: str) -> None:
    answer = await http.request(method, "/graphql")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"


async def test_what_we_do_not_speak_is_not_acceptable(http: httpx.AsyncClient) -> None:
    answer = await http.post("/graphql", json=QUERY, headers={"Accept": "image/png"})

    assert answer.status_code == 406
    assert answer.headers["content-type"] == f"{JSON}; charset=utf-8"


async def test_a_browser_gets_the_page_and_a_stream_goes_to_its_own(
    http: httpx.AsyncClient,
) -> None:
    browser = await http.get("/graphql", headers={"Accept": "text/html,*/*;q=0.8"})
    streamed = await http.post("/graphql", json=QUERY, headers={"Accept": EVENTS})

    assert browser.text == "<html>"
    assert streamed.headers["content-type"] == EVENTS
    assert streamed.json()["data"] == ADA


@pytest.mark.parametrize("header", ["Bearer bad", "Basic good", "bearer", "good"])
async def test_a_bad_token_is_an_error_only_where_somebody_is_needed(
    http: httpx.AsyncClient, header: str
) -> None:
    query = {"query": "{ __typename viewer { name } }"}

    bad = await http.post("/graphql", json=query, headers={"Authorization": header})
    del http.headers["Authorization"]
    none = await http.post("/graphql", json=query)

    assert bad.json()["data"] == none.json()["data"] == {"__typename": "Query", "viewer": None}
    assert _codes(bad) == ["UNAUTHENTICATED"]
    assert "errors" not in none.json()


@pytest.mark.parametrize(
    "traceparent, expected",
    [
        (f"00-{'ab' * 16}-{'cd' * 8}-01", "ab" * 16),
        ("00-nonsense", None),
        (f"00-{'AB' * 16}-{'cd' * 8}-01", None),
    ],
)
async def test_an_error_carries_the_requests_trace(
    http: httpx.AsyncClient, traceparent: str, expected: str | None
) -> None:
    answer = await http.post(
        "/graphql", json={"query": "{ nothing }"}, headers={"traceparent": traceparent}
    )

    (error,) = answer.json()["errors"]
    trace = error["extensions"]["traceId"]
    assert len(trace) == 32
    assert expected is None or trace == expected


Script = list[tuple[float, dict[str, Any]]]


async def _drive(endpoint: HttpEndpoint, script: Script) -> list[dict[str, Any]]:
    """Returns what was sent for messages that come after so many seconds."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        delay, message = script.pop(0)
        await asyncio.sleep(delay)
        return message

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    call = cast("Callable[..., Awaitable[None]]", endpoint)
    await call(scope, receive, send)
    return sent


def _part(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_may_come_in_parts(endpoint: HttpEndpoint) -> None:
    sent = await _drive(
        endpoint,
        [(0, _part(b'{"query":', more=True)), (0, _part(b'"{ __typename }"}', more=False))],
    )

    assert sent[0]["status"] == 200
    assert json.loads(sent[1]["body"])["data"] == {"__typename": "Query"}


async def test_a_client_that_leaves_is_not_answered(endpoint: HttpEndpoint) -> None:
    gone = {"type": "http.disconnect"}

    assert await _drive(endpoint, [(0, gone)]) == []
    assert await _drive(endpoint, [(0, _part(b"{", more=True)), (0, gone)]) == []


async def test_a_body_without_end_is_dropped_and_refused(endpoint: HttpEndpoint) -> None:
    part = _part(b" " * 1_000_000, more=True)

    sent = await _drive(endpoint, [(0, part)] * 40)

    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.parametrize(
    "_case, script",
    [
        ("nothing", [(9, _part(b"{}", more=False))]),
        ("a part", [(0, _part(b"{", more=True)), (9, _part(b"}", more=False))]),
        ("a late part", [(1, _part(b"{", more=True)), (9, _part(b"}", more=False))]),
        ("a trickle", [(0.3, _part(b" ", more=True))] * 30),
    ],
)
async def test_a_body_that_does_not_come_is_refused_in_time(
    endpoint: HttpEndpoint, _case: str, script: Script
) -> None:
    began = time.monotonic()

    sent = await _drive(endpoint, list(script))

    assert sent[0]["status"] == 408
    assert time.monotonic() - began < BODY_WAIT_S + 0.5
