"""The client of our commands meets what a real server will not do on demand."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from infra import graphql_client
from infra.graphql_client import GraphQLClient, Unanswered


class Script(ThreadingHTTPServer):
    """Answers each request with the next of `answers`: a status and a body, or a hang-up."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, bytes] | None] = []
        self.requests: list[tuple[str | None, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Script

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.headers["Authorization"], json.loads(body)))
        answer = self.server.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        status, text = answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the test looks at what was asked."""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setattr(graphql_client, "PAUSES_S", (0.0,) * 3)
    with Script() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(script: Script) -> Iterator[GraphQLClient]:
    client = GraphQLClient(script.url)
    yield client
    client.close()


DONE = (200, b'{"data": {"a": 1}}')
BUSY = (
    b'{"data": {"a": null, "b": 2}, "errors": [{"message": "", "path": ["a"], "extensions": %b}]}'
)


def test_an_answer_that_was_lost_is_asked_for_again(script: Script, client: GraphQLClient) -> None:
    client.token = "secret"
    script.answers = [None, (503, b"stopping"), (502, b""), DONE]

    answer = client.execute("{ a }", {"n": 1})

    assert (answer.data, answer.failures) == ({"a": 1}, {})
    assert script.requests == [("Bearer secret", {"query": "{ a }", "variables": {"n": 1}})] * 4


def test_what_was_unavailable_is_asked_for_again(script: Script, client: GraphQLClient) -> None:
    script.answers = [(200, BUSY % b'{"code": "UNAVAILABLE"}'), DONE]

    assert client.execute("{ a }", {}).data == {"a": 1}


def test_what_failed_for_another_reason_is_told(script: Script, client: GraphQLClient) -> None:
    script.answers = [(200, BUSY % b'{"code": "INTERNAL"}')]

    answer = client.execute("{ a b }", {})

    assert (answer.data, answer.failures) == ({"a": None, "b": 2}, {"a": "INTERNAL"})


@pytest.mark.parametrize(
    "_case,answers,told",
    [
        ("nobody there", [None] * 4, "does not answer"),
        ("no GraphQL", [(200, b"<html>")], "no GraphQL endpoint"),
        ("no object", [(404, b"[]")], "no GraphQL endpoint"),
        ("refused", [(401, b'{"errors": [{"message": "Sign in."}]}')], "Sign in."),
        ("empty", [(500, b"{}")], "Status 500"),
    ],
)
def test_a_refused_operation_says_why(
    script: Script,
    client: GraphQLClient,
    _case: str,
    answers: list[tuple[int, bytes] | None],
    told: str,
) -> None:
    script.answers = answers

    with pytest.raises(Unanswered, match=told):
        client.execute("{ a }", {})


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://127.0.0.1", "http://"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(Unanswered, match=r"no address such as http://127\.0\.0\.1:8000"):
        GraphQLClient(url)
