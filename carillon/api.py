"""The ASGI application of the API: GraphQL over HTTP and websockets, playground, health."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from carillon.pages import Pages

PLAYGROUND = Path(__file__).parents[1] / "playground" / "dist"
# The editor writes its styles inline; everything else comes from files of ours.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'"
    " 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; connect-src 'self';"
    " worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
NOT_BUILT = """The playground is not built. With Node.js installed:

    cd playground && npm ci && npm run build

The API itself works: send GraphQL by POST to this address.
"""

# Its `receive` and `send` are the server's own coroutine functions, which ours drive by hand.
Endpoint: TypeAlias = Callable[[Scope, Any, Any], Awaitable[None]]
# Tells why requests cannot be served now, None when they can.
Ready: TypeAlias = Callable[[], Awaitable[str | None]]


class Api:
    """Sends each request where it belongs; the path of GraphQL comes first and costs nothing."""

    def __init__(
        self,
        *,
        graphql: Endpoint,
        sockets: Endpoint,
        ready: Ready,
        metrics: Callable[[], tuple[bytes, str]],
        pages: Pages,
    ) -> None:
        self._graphql = graphql
        self._metrics = metrics
        self._pages = pages
        self._sockets = sockets
        self._ready = ready
        self._files = _Playground(PLAYGROUND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or socket."""
        kind = scope["type"]
        if scope["path"] == "/graphql":
            await (self._graphql if kind == "http" else self._sockets)(scope, receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            await self._other(scope, receive, send)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith("/playground/"):
            await self._files(scope, receive, send)
            return
        if self._pages.serves(path):
            await self._pages(scope, receive, send)
            return
        response: Response
        if path == "/healthz":
            response = PlainTextResponse("ok\n")
        elif path == "/readyz":
            response = await self._readiness()
        elif path == "/metrics":
            body, media_type = self._metrics()
            response = Response(body, media_type=media_type)
        elif path == "/":
            response = Response(status_code=307, headers={"Location": "/graphql"})
        else:
            response = PlainTextResponse("Not found. GraphQL is at /graphql.\n", 404)
        await response(scope, receive, send)

    async def _readiness(self) -> Response:
        why = await self._ready()
        return PlainTextResponse("ready\n") if why is None else PlainTextResponse(f"{why}\n", 503)


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a browser's GET of /graphql with the playground, or says how to build it."""
    index = PLAYGROUND / "index.html"
    headers = {**PAGE_HEADERS, "Cache-Control": "no-cache", "Vary": "Accept, Origin"}
    response: Response
    if index.is_file():
        response = FileResponse(index, headers=headers)
    else:
        response = PlainTextResponse(NOT_BUILT, 503, headers)
    await response(scope, receive, send)


class _Playground:
    """The bundle's files; those under assets/ carry their hash in the name."""

    def __init__(self, folder: Path) -> None:
        self._files = StaticFiles(directory=folder, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix("/playground")
        cache = "max-age=31536000, immutable" if path.startswith("/assets/") else "no-cache"

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = {**PAGE_HEADERS, "Cache-Control": cache}
                pairs = [(k.lower().encode(), v.encode()) for k, v in extra.items()]
                message = {**message, "headers": [*message["headers"], *pairs]}
            await send(message)

        if not PLAYGROUND.is_dir():
            await PlainTextResponse(NOT_BUILT, 404)(scope, receive, send)
            return
        try:
            await self._files({**scope, "path": path, "root_path": ""}, receive, with_headers)
        except HTTPException as error:
            await PlainTextResponse(f"{error.detail}\n", error.status_code)(scope, receive, send)
