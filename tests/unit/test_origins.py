"""Pages of listed origins may use the API, others may not, and programs do not care."""

from typing import Any

import httpx
import pytest

from carillon.proxies import BehindProxies
from resolvers.origins import CrossOrigin, Origins
from resolvers.sender import Receive, Scope, Send

LISTED = "https://tasks.example"


class Endpoint:
    """Answers 200, and counts how often it is reached."""

    def __init__(self) -> None:
        self.reached = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached += 1
        headers = [(b"content-type", b"text/plain"), (b"vary", b"Origin")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


async def ask(
    app: Any, method: str = "POST", *, peer: str = "203.0.113.7", **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx.ASGITransport(app=app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://inner:8000") as client:
        return await client.request(method, "/graphql", headers=named)


def guarded(endpoint: Endpoint, *listed: str) -> Any:
    return CrossOrigin(endpoint, Origins(listed))


async def test_programs_and_our_own_pages_are_served_as_ever(endpoint: Endpoint) -> None:
    for headers in ({}, {"Origin": "http://inner:8000"}, {"Origin": "https://INNER:8000"}):
        answer = await ask(guarded(endpoint), **headers)

        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


async def test_a_listed_page_may_read_the_answer(endpoint: Endpoint) -> None:
    answer = await ask(guarded(endpoint, LISTED), Origin=LISTED)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == LISTED
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_listed_page_may_ask_first(endpoint: Endpoint) -> None:
    answer = await ask(
        guarded(endpoint, LISTED),
        "OPTIONS",
        Origin=LISTED,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization,content-type,x-anything",
    )

    assert (answer.status_code, answer.content, endpoint.reached) == (204, b"", 0)
    assert answer.headers["access-control-allow-origin"] == LISTED
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    allowed = answer.headers["access-control-allow-headers"]
    assert allowed == "authorization,content-type,x-anything"
    assert answer.headers["access-control-max-age"] == "7200"
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://tasks.example", "https://tasks.example.evil", "", "x"],
)
async def test_pages_of_other_origins_are_refused_before_anything_is_done(
    endpoint: Endpoint, method: str, origin: str
) -> None:
    answer = await ask(
        guarded(endpoint, LISTED), method, Origin=origin, Access_Control_Request_Method="POST"
    )

    assert (answer.status_code, endpoint.reached) == (403, 0)
    assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Origin"


async def test_an_answer_to_nobody_we_know_by_name_is_no_page_of_ours(endpoint: Endpoint) -> None:
    answer = await ask(guarded(endpoint), Origin="null", Host="")

    assert (answer.status_code, endpoint.reached) == (403, 0)


@pytest.mark.parametrize(
    "peer, forwarded, status",
    [
        ("10.0.0.1", "app.example", 200),
        ("10.0.0.1", "evil.example, app.example", 200),
        ("10.0.0.1", "evil.example", 403),
        ("203.0.113.7", "app.example", 403),
    ],
)
async def test_only_a_trusted_proxy_says_by_which_name_we_are_known(
    endpoint: Endpoint, peer: str, forwarded: str, status: int
) -> None:
    app = BehindProxies(guarded(endpoint), ["10.0.0.0/8"])

    answer = await ask(app, peer=peer, Origin="https://app.example", X_Forwarded_Host=forwarded)

    assert answer.status_code == status


async def test_a_trusted_proxy_says_who_asks() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["client"][0], scope["scheme"], dict(scope["headers"])[b"host"]))
        await Endpoint()(scope, receive, send)

    for peer in ("10.0.0.1", "203.0.113.7"):
        forwarded = {"X_Forwarded_For": "198.51.100.9", "X_Forwarded_Proto": "https"}
        await ask(BehindProxies(app, ["10.0.0.1"]), peer=peer, **forwarded)

    assert seen == [
        ("198.51.100.9", "https", b"inner:8000"),
        ("203.0.113.7", "http", b"inner:8000"),
    ]
