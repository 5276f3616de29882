"""A GraphQL client over HTTP for our own commands: one connection, patient with restarts."""

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# Longer than the slowest page and the server's own patience with locks.
ANSWER_WAIT_S = 60.0
# A server that is started again, with its crash recovery, is back within these pauses.
PAUSES_S = (0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0)
_MEDIA = "application/graphql-response+json"


class Unanswered(Exception):
    """The server cannot be reached, or refused the request as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an operation answered: `failures` has the code of each root field that failed."""

    data: Mapping[str, Any]
    failures: Mapping[str, str]


class GraphQLClient:
    """Sends operations one after the other; repeats those whose answer was lost.

    So every mutation that it sends has to carry an idempotency key.
    """

    def __init__(self, url: str) -> None:
        """Takes the address of the server or its endpoint.

        Raises:
            Unanswered: the address is none of HTTP's.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unanswered(f"{url} is no address such as http://127.0.0.1:8000.")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.hostname, parts.port, timeout=ANSWER_WAIT_S)
        self._path = parts.path.rstrip("/") or "/graphql"
        self._url = url
        self.token: str | None = None

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def execute(self, query: str, variables: Mapping[str, object]) -> Answer:
        """Returns the answer; root fields that were UNAVAILABLE are asked for again.

        Raises:
            Unanswered: the server stayed away, or refused the whole operation.
        """
        body = json.dumps({"query": query, "variables": variables}).encode()
        for pause in PAUSES_S:
            answer = self._attempt(body)
            if answer is not None and "UNAVAILABLE" not in answer.failures.values():
                return answer
            time.sleep(pause)
        answer = self._attempt(body)
        if answer is None:
            raise Unanswered(f"{self._url} does not answer.")
        return answer

    def _attempt(self, body: bytes) -> Answer | None:
        headers = {"Content-Type": "application/json", "Accept": _MEDIA}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            self._connection.request("POST", self._path, body, headers)
            response = self._connection.getresponse()
            status, text = response.status, response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return None
        if status in (http.HTTPStatus.BAD_GATEWAY, http.HTTPStatus.SERVICE_UNAVAILABLE):
            return None
        return self._answer(status, text)

    def _answer(self, status: int, text: bytes) -> Answer:
        try:
            content = json.loads(text)
            errors = content.get("errors", [])
            data = content.get("data")
        except (ValueError, AttributeError) as error:
            raise Unanswered(f"{self._url} is no GraphQL endpoint (status {status}).") from error
        if data is None:
            raise Unanswered(" ".join(one["message"] for one in errors) or f"Status {status}.")
        failures = {
            str(one["path"][0]): str(one.get("extensions", {}).get("code", "")) for one in errors
        }
        return Answer(data=data, failures=failures)
