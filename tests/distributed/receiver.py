"""An app that takes what its sidecar delivers, and answers as a test wants."""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from workers.routes import HEALTH_PATH, INVOKE_PREFIX, NOTIFICATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One POST of a sidecar."""

    path: str
    token: str | None
    event: dict[str, Any]


@dataclass(slots=True)
class Receiver:
    """Listens on a port, within `async with`.

    Attributes:
        refused: ids of events that are answered with 500.
        deliveries: what came, in order, refused ones too.
    """

    port: int
    refused: set[str] = field(default_factory=set)
    deliveries: list[Delivery] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _server: uvicorn.Server | None = None
    _serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        app = Starlette(
            routes=[
                Route(HEALTH_PATH, self._healthy),
                Route(f"{INVOKE_PREFIX}echo", self._answer, methods=["POST"]),
                *(
                    Route(path, self._take, methods=["POST"])
                    for path in NOTIFICATIONS.subscriptions.values()
                ),
                *(
                    Route(path, self._answer, methods=["POST"])
                    for path in NOTIFICATIONS.bindings.values()
                ),
            ]
        )
        config = uvicorn.Config(app, port=self.port, lifespan="off", log_config=None)
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        assert self._serving is not None
        self._server.should_exit = True
        await self._serving

    async def until_delivered(self, id: str, *, times: int = 1) -> list[Delivery]:
        """Returns the deliveries of an event, once there are so many."""
        async with asyncio.timeout(60):
            while len(found := [d for d in self.deliveries if d.event.get("id") == id]) < times:
                await self._next()
        return found

    async def until_called(self, path: str) -> Delivery:
        """Returns the next delivery to a path."""
        seen = len(self.deliveries)
        async with asyncio.timeout(60):
            while not (found := [d for d in self.deliveries[seen:] if d.path == path]):
                await self._next()
        return found[0]

    async def _next(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    async def _healthy(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _take(self, request: Request) -> Response:
        event = await request.json()
        self._note(request, event)
        if event["id"] in self.refused:
            return PlainTextResponse("refused\n", 500)
        return JSONResponse({"status": "SUCCESS"})

    async def _answer(self, request: Request) -> Response:
        self._note(request, {})
        return PlainTextResponse("ok\n")

    def _note(self, request: Request, event: dict[str, Any]) -> None:
        token = request.headers.get("dapr-api-token")
        self.deliveries.append(Delivery(path=request.url.path, token=token, event=event))
        self._arrived.set()
