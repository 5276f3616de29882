"""GraphQL over HTTP, after its specification (github.com/graphql/graphql-over-http, 2025 draft)."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from graphql.language import OperationType

from domain.errors import OverLimit, Unauthenticated
from resolvers.execution import Answer, Caller, Operations, failed
from resolvers.failures import failure
from resolvers.sender import Receive, Scope, Send
from resolvers.sse import ServerSentEvents
from resolvers.streams import Authenticate

RESPONSE: Final = "application/graphql-response+json"
JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
PAGE: Final = "text/html"
_TYPES: Final = {
    RESPONSE: b"application/graphql-response+json; charset=utf-8",
    JSON: b"application/json; charset=utf-8",
}
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Bad(Exception):
    """The request is no GraphQL request: `args` are the status and the reason."""


class HttpEndpoint:
    """Answers POST, and GET for queries; hands browsers the page and subscribers their stream."""

    def __init__(
        self,
        *,
        operations: Operations,
        authenticate: Authenticate,
        events: ServerSentEvents,
        page: Asgi,
        body_max_bytes: int,
    ) -> None:
        self._operations = operations
        self._authenticate = authenticate
        self._events = events
        self._page = page
        self._body_max_bytes = body_max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        accepted = _accepted(headers.get(b"accept", b"").decode("latin-1"))
        method = scope["method"]
        if method == "GET" and accepted == PAGE:
            await self._page(scope, receive, send)
            return
        try:
            payload = await self._asked(scope, headers, receive, accepted)
        except _Bad as bad:
            status, reason = bad.args
            error = {"message": reason, "extensions": {"code": "MALFORMED"}}
            kind = RESPONSE if accepted == RESPONSE else JSON
            await _respond(send, status, kind, orjson.dumps({"errors": [error]}))
            return
        caller = await self._caller(scope, headers)
        accepted = accepted or JSON
        if accepted == EVENTS:
            await self._stream(scope, receive, send, caller, payload)
        else:
            await self._answer(send, accepted, caller, payload, is_get=method == "GET")

    async def _asked(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        accepted: str | None,
    ) -> Mapping[str, Any]:
        if accepted is None:
            raise _Bad(406, f"Accept {RESPONSE}, {JSON} or {EVENTS}.")
        if scope["method"] == "POST":
            return _payload(headers, await self._body(receive))
        if scope["method"] == "GET":
            return _from_query(scope["query_string"])
        raise _Bad(405, "Use POST, or GET for queries.")

    async def _answer(
        self,
        send: Send,
        accepted: str,
        caller: Caller,
        payload: Mapping[str, Any],
        *,
        is_get: bool,
    ) -> None:
        try:
            operation = self._operations.operation(payload)
        except OverLimit as error:
            answer = failed([error], caller.trace)
        else:
            if isinstance(operation, list):
                answer = failed(operation, caller.trace)
            elif operation.kind is OperationType.SUBSCRIPTION:
                answer = _refused(f"Subscribe by websocket, or accept {EVENTS}.")
            elif is_get and operation.kind is not OperationType.QUERY:
                await _respond(send, 405, accepted, _refused("Mutate by POST.").body)
                return
            else:
                answer = await self._operations.execute(caller, operation, payload)
        # The older media type answers 200 whatever became of a well-formed request.
        status = 200 if answer.has_data or accepted == JSON else 400
        await _respond(send, status, accepted, answer.body)

    async def _stream(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        caller: Caller,
        payload: Mapping[str, Any],
    ) -> None:
        opened = await self._operations.subscribe(caller, payload)
        if caller.refused is not None and not isinstance(opened, bytes):
            opened = [failure(caller.refused, caller.trace)]
        await self._events(scope, receive, send, opened, caller.viewer)

    async def _body(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Bad(400, "The body was cut off.")
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self._body_max_bytes:
                raise _Bad(413, f"Send at most {self._body_max_bytes} bytes.")
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _caller(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Caller:
        trace = _trace(headers.get(b"traceparent"))
        client = scope["client"][0] if scope.get("client") else ""
        sent = headers.get(b"authorization", b"").decode("latin-1")
        scheme, _, token = sent.partition(" ")
        if scheme.lower() != "bearer":
            return Caller(viewer=None, client=client, trace=trace)
        try:
            viewer = await self._authenticate(token.strip())
        except Unauthenticated as refused:
            return Caller(viewer=None, refused=refused, client=client, trace=trace)
        return Caller(viewer=viewer, client=client, trace=trace)


def _accepted(header: str) -> str | None:
    """Returns the media type to answer with, None where none is acceptable.

    The most wanted wins, the first of equals; an event stream only where nothing plainer is
    wanted as much, since clients list it beside JSON.
    """
    if not header:
        return JSON
    best: tuple[float, str] | None = None
    for part in header.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        wanted = {"*/*": JSON, "application/*": JSON, "text/*": EVENTS}.get(kind, kind)
        if wanted not in {RESPONSE, JSON, EVENTS, PAGE}:
            continue
        quality = _quality(parameters)
        if quality > 0 and (best is None or quality > best[0]):
            best = (quality, wanted)
    return None if best is None else best[1]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _payload(headers: Mapping[bytes, bytes], body: bytes) -> Mapping[str, Any]:
    kind, *parameters = headers.get(b"content-type", b"").decode("latin-1").lower().split(";")
    if kind.strip() != JSON:
        raise _Bad(415, f"Send a body of {JSON}.")
    for parameter in parameters:
        name, _, charset = parameter.strip().partition("=")
        if name == "charset" and charset.strip('"') not in {"utf-8", "utf8"}:
            raise _Bad(415, "Send the body in UTF-8.")
    return _checked(_parsed(body))


def _parsed(text: bytes | str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        # Lone surrogates, which orjson refuses, are for validation to name by their path.
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _Bad(400, "The body is no JSON.") from None


def _from_query(query_string: bytes) -> Mapping[str, Any]:
    try:
        given = dict(parse_qsl(query_string.decode("ascii"), keep_blank_values=True))
    except (ValueError, UnicodeDecodeError):
        raise _Bad(400, "The query string is malformed.") from None
    payload: dict[str, Any] = {"query": given.get("query")}
    if given.get("operationName"):
        payload["operationName"] = given["operationName"]
    for name in ("variables", "extensions"):
        if given.get(name):
            payload[name] = _parsed(given[name])
    return _checked(payload)


def _checked(payload: Any) -> Mapping[str, Any]:
    if not isinstance(payload, dict):
        raise _Bad(400, "Send one JSON object with `query`; batches are not served.")
    if not isinstance(payload.get("query"), str):
        raise _Bad(400, "`query` has to be a string.")
    if not isinstance(payload.get("operationName"), str | None):
        raise _Bad(400, "`operationName` has to be a string.")
    for name in ("variables", "extensions"):
        if not isinstance(payload.get(name), dict | None):
            raise _Bad(400, f"`{name}` has to be an object.")
    return payload


def _trace(header: bytes | None) -> str | None:
    """Returns the traceparent where it has the form of W3C Trace Context, version 00."""
    if header is None:
        return None
    text = header.decode("latin-1")
    parts = text.split("-")
    sizes = [len(part) for part in parts]
    is_hex = all(c in "0123456789abcdef-" for c in text)
    return text if sizes == [2, 32, 16, 2] and is_hex else None


def _refused(message: str) -> Answer:
    error = {"message": message, "extensions": {"code": "MALFORMED"}}
    return Answer(orjson.dumps({"errors": [error]}), has_data=False)


async def _respond(send: Send, status: int, kind: str, body: bytes) -> None:
    headers = [
        (b"content-type", _TYPES.get(kind, _TYPES[JSON])),
        (b"content-length", b"%d" % len(body)),
        (b"vary", b"Accept"),
    ]
    if status == 405:
        headers.append((b"allow", b"GET, POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
