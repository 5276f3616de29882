"""GraphQL over HTTP (https://graphql.github.io/graphql-over-http/draft/), on plain ASGI.

Strawberry's own view costs three times what a planned read does, so operations come here first
and reach its executor from `resolvers.execution`.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn, TypeAlias
from urllib.parse import parse_qs

import orjson
from graphql import GraphQLError

from domain.access import Viewer
from domain.errors import DomainError, OverLimit, Unauthenticated
from resolvers.execution import Caller, NotByGet, Operations
from resolvers.failures import failure
from resolvers.negotiation import EVENTS, HTML, JSON, RESPONSE, is_json, preferred
from resolvers.origins import VARY
from resolvers.persisted import asks
from resolvers.responses import Rejected, encoded
from resolvers.sender import Receive, Scope, Send, address, by
from resolvers.streams import Authenticate, Opened

Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
# Answers an opened operation as an event stream; the request's body has been read.
Events: TypeAlias = Callable[[Scope, Receive, Send, Opened, Viewer | None], Awaitable[None]]

# A body of the largest size over a slow mobile network.
BODY_WAIT_S = 30.0
# A client that is still sending does not see the answer: so much is read to no purpose.
DROPPED_MAX_BYTES = 16_777_216
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TYPES: Final = {
    JSON: b"application/json; charset=utf-8",
    RESPONSE: b"application/graphql-response+json; charset=utf-8",
}


class _Refusal(Exception):
    """A request that is no GraphQL request; `status` is HTTP's."""

    def __init__(self, status: int, message: str, kind: type[DomainError] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.fault = kind(message) if kind else GraphQLError(message)


class _Gone(Exception):
    """The client left before its request was complete."""


class HttpEndpoint:
    """The ASGI application behind `/graphql` for scopes of type http."""

    def __init__(
        self,
        *,
        operations: Operations,
        authenticate: Authenticate,
        events: Events,
        page: Application,
        body_max_bytes: int,
        body_wait_s: float = BODY_WAIT_S,
    ) -> None:
        self._operations = operations
        self._authenticate = authenticate
        self._events = events
        self._page = page
        self._body_max_bytes = body_max_bytes
        self._body_wait_s = body_wait_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        headers = dict(scope["headers"])
        media = preferred(_text(headers, b"accept"))
        if media == HTML and scope["method"] in ("GET", "HEAD") and not scope["query_string"]:
            await self._page(scope, receive, send)
            return
        try:
            payload = await self._payload(scope, receive, headers, media)
            caller = await self._caller(scope, headers)
            only_reads = scope["method"] == "GET"
            if media == EVENTS:
                opened = await self._operations.subscribe(caller, payload, only_reads=only_reads)
                await self._events(scope, receive, send, opened, caller.viewer)
                return
            body = await self._operations.execute(caller, payload, only_reads=only_reads)
            await _respond(send, 200, media, body)
        except Rejected as rejected:
            # The response is well formed, so the older media type calls it a success.
            status = 200 if media == JSON else 400
            await _respond(send, status, media, rejected.response())
        except _Refusal as refusal:
            await _refuse(send, refusal, media, headers)
        except NotByGet:
            await _refuse(send, _Refusal(405, "Send this by POST."), media, headers)
        except _Gone:
            return

    async def _payload(
        self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes], media: str | None
    ) -> Mapping[str, Any]:
        method = scope["method"]
        if method not in ("GET", "POST"):
            raise _Refusal(405, "GraphQL takes GET and POST.")
        if media is None or (media == HTML and method == "POST"):
            raise _Refusal(406, f"Accept {RESPONSE} or {JSON}.")
        if method == "GET":
            return _checked(_from_query(scope["query_string"]))
        if not is_json(_text(headers, b"content-type") or ""):
            raise _Refusal(415, f"Send the request as {JSON}, in UTF-8.")
        return _checked(_from_json(await self._body(receive)))

    async def _body(self, receive: Receive) -> bytes:
        deadline = asyncio.get_running_loop().time() + self._body_wait_s
        try:
            message = await by(deadline, receive())
            body: bytes = message.get("body", b"")
            if message["type"] == "http.disconnect":
                raise _Gone
            if message.get("more_body"):
                async with asyncio.timeout_at(deadline):
                    body = await self._rest(receive, body)
        except TimeoutError as fault:
            raise _Refusal(408, "The request did not arrive in time.") from fault
        if len(body) > self._body_max_bytes:
            words = f"Send at most {self._body_max_bytes} bytes."
            raise _Refusal(413, words, OverLimit)
        return body

    async def _rest(self, receive: Receive, first: bytes) -> bytes:
        """Returns the body, or more than it may have; the excess is read and dropped."""
        parts, size, more = [first], len(first), True
        while more and size <= DROPPED_MAX_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            part = message.get("body", b"")
            if size <= self._body_max_bytes:
                parts.append(part)
            size += len(part)
            more = message.get("more_body", False)
        return b"".join(parts)

    async def _caller(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Caller:
        viewer, refused = None, None
        scheme, _, token = (_text(headers, b"authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            try:
                viewer = await self._authenticate(token.strip())
            except Unauthenticated as fault:
                refused = fault
        elif scheme:
            refused = Unauthenticated("Send the access token as Authorization: Bearer.")
        return Caller(viewer=viewer, refused=refused, client=address(scope), trace=_trace(headers))


def _trace(headers: Mapping[bytes, bytes]) -> str | None:
    """Returns the traceparent where it has the form of W3C Trace Context, 3.2."""
    given = _text(headers, b"traceparent")
    return given if given and _TRACEPARENT.fullmatch(given) else None


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def _from_json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _from_odd_json(body)


def _from_odd_json(body: bytes) -> object:
    """Returns what orjson refuses and RFC 8259 does not: lone surrogates, very large numbers.

    They reach validation this way, which names the place.
    """
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as fault:
        raise _Refusal(400, "The body is not JSON in UTF-8.") from fault


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _from_query(text: bytes) -> object:
    try:
        given = parse_qs(text.decode("ascii"), strict_parsing=bool(text), max_num_fields=16)
        single = {name: values[-1] for name, values in given.items()}
        for name in ("variables", "extensions"):
            if name in single:
                single[name] = json.loads(single[name], parse_constant=_no_constant)
    except (ValueError, RecursionError) as fault:
        raise _Refusal(400, "The parameters are not well formed.") from fault
    return single


def _checked(payload: object) -> Mapping[str, Any]:
    """Returns the payload; its parts have the types of the specification."""
    if isinstance(payload, list):
        raise _Refusal(400, "Send one operation a request.")
    if not isinstance(payload, dict):
        raise _Refusal(400, "Send an object with `query`.")
    # A text may be left out where its hash stands in for it.
    named = asks(payload.get("extensions")) and payload.get("query") is None
    if not named and not isinstance(payload.get("query"), str):
        raise _Refusal(400, "Send the document as the text `query`.")
    if not isinstance(payload.get("operationName"), str | None):
        raise _Refusal(400, "`operationName` is a text.")
    for name in ("variables", "extensions"):
        if not isinstance(payload.get(name), dict | None):
            raise _Refusal(400, f"`{name}` is an object.")
    return payload


async def _refuse(
    send: Send, refusal: _Refusal, media: str | None, headers: Mapping[bytes, bytes]
) -> None:
    body = encoded({"errors": [failure(refusal.fault, _trace(headers))]})
    extra = [(b"allow", b"GET, POST")] if refusal.status == 405 else []
    # What is left of a body that was not read must not be taken for the next request.
    extra += [(b"connection", b"close")] if refusal.status in (408, 413) else []
    await _respond(send, refusal.status, media, body, extra)


async def _respond(
    send: Send,
    status: int,
    media: str | None,
    body: bytes,
    extra: list[tuple[bytes, bytes]] | None = None,
) -> None:
    headers = [
        (b"content-type", _TYPES.get(media or "", _TYPES[JSON])),
        (b"content-length", b"%d" % len(body)),
        # What is visible depends on who asks.
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        VARY,
        *(extra or ()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
