"""What trusted proxies say about who asks, and under which name we are known to them."""

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class BehindProxies:
    """Takes client, scheme and host from X-Forwarded-For, -Proto and -Host of trusted proxies.

    Uvicorn's own middleware leaves the host alone, without which a page of ours looks like one of
    another site wherever a proxy asks us by an inner name.
    """

    def __init__(self, app: ASGIApp, trusted: list[str]) -> None:
        uvicorns: Any = app
        self._proxied = ProxyHeadersMiddleware(uvicorns, trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or socket."""
        client = scope.get("client")
        if client and client[0] in self._proxied.trusted_hosts:
            scope = {**scope, "headers": _with_host(scope["headers"])}
        proxied: Any = self._proxied
        await proxied(scope, receive, send)


def _with_host(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Returns the headers with the forwarded host; of several, the word of the nearest proxy."""
    forwarded = [value for name, value in headers if name == b"x-forwarded-host"]
    if not forwarded:
        return headers
    host = forwarded[-1].rpartition(b",")[2].strip()
    return [*((name, value) for name, value in headers if name != b"host"), (b"host", host)]
