"""Which sites' pages may use the API: the rules of CORS (https://fetch.spec.whatwg.org/#http-cors-protocol).

Programs send no Origin. Tokens travel in a header that a page sets itself, never in a cookie, so
nothing here says `Allow-Credentials`, and no request header needs to be kept out.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, TypeAlias

import orjson

from resolvers.sender import AsgiMessage, Receive, Scope, Send
from resolvers.streams import problem

Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

# The longest that browsers keep a preflight's answer (Chromium: two hours).
PREFLIGHT_MAX_AGE_S = 7_200
# Every answer of a resource that looks at Origin has it, so that no cache mixes them up.
VARY: Final = (b"vary", b"Origin")
_ALLOW: Final = b"access-control-allow-origin"


class Origins:
    """The service's own origin, and those that an operator lists."""

    def __init__(self, listed: Collection[str]) -> None:
        self._listed = frozenset(origin.rstrip("/").lower() for origin in listed)

    def admit(self, scope: Scope) -> bool:
        """Tells whether the request comes from a program, our own page or a listed one."""
        origin = origin_of(scope)
        return origin is None or is_own(scope, origin) or self.list(origin)

    def list(self, origin: bytes) -> bool:
        """Tells whether the operator lists the origin."""
        return origin.decode("latin-1").lower() in self._listed


def origin_of(scope: Scope) -> bytes | None:
    """Returns where the page comes from that asks; programs do not say."""
    return _header(scope, b"origin")


def is_own(scope: Scope, origin: bytes) -> bool:
    """Tells whether the origin is the one that the client knows us by.

    The scheme may differ: behind a proxy that ends TLS we are reached by plain HTTP.
    """
    host = _header(scope, b"host")
    theirs = origin.partition(b"://")[2]
    return bool(host) and _without_port(theirs) == _without_port(host or b"")


class CrossOrigin:
    """The HTTP endpoint, for pages of those origins; others are refused before anything is done."""

    def __init__(self, endpoint: Application, origins: Origins) -> None:
        self._endpoint = endpoint
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        origin = origin_of(scope)
        if origin is None or is_own(scope, origin):
            await self._endpoint(scope, receive, send)
        elif not self._origins.list(origin):
            await _refuse(send)
        elif scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method"):
            await _preflight(scope, origin, send)
        else:
            await self._endpoint(scope, receive, _shown_to(origin, send))


def _shown_to(origin: bytes, send: Send) -> Send:
    """Returns a `send` whose answers pages of the origin may read."""

    async def with_origin(message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (_ALLOW, origin)]}
        await send(message)

    return with_origin


async def _preflight(scope: Scope, origin: bytes, send: Send) -> None:
    wanted = _header(scope, b"access-control-request-headers") or b""
    headers = [
        (_ALLOW, origin),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", wanted),
        (b"access-control-max-age", b"%d" % PREFLIGHT_MAX_AGE_S),
        (b"vary", b"Origin, Access-Control-Request-Headers"),
    ]
    await _answer(send, 204, headers)


async def _refuse(send: Send) -> None:
    error = problem("FORBIDDEN", "Pages of this origin may not use the API.")
    body = orjson.dumps({"errors": [error]})
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        # The body was not read: it must not be taken for the next request.
        (b"connection", b"close"),
        VARY,
    ]
    await _answer(send, 403, headers, body)


async def _answer(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _without_port(host: bytes) -> bytes:
    return host.lower().removesuffix(b":80").removesuffix(b":443")


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)
