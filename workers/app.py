"""The web application of a worker: what its sidecar delivers, and what operators ask.

Answers mean to the sidecar: 200 is done, 500 is "deliver again". A 404 or a status DROP would
discard an event, so neither is ever an answer to one. A call that is refused is answered with 200
and its problems: daprd counts a 4xx as a failure, and lets no call through after some of them.
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from domain.errors import PASSING, Code, Refused, Unavailable
from workers.routes import HEALTH_PATH, INVOKE_PREFIX, METRICS_PATH, READINESS_PATH

log = logging.getLogger(__name__)

TOKEN_HEADER = "dapr-api-token"  # noqa: S105 - a header's name

# The threshold of kustomize/components/dapr/sidecar.yaml: after so many probes that were answered
# with no, the sidecar lets its subscriptions rest.
PROBES_ENOUGH = 3
# So many of its intervals, and time to spare. kustomize/base/lifecycle.yaml counts on it.
DRAIN_MAX_S = 10.0

# Gets the body of one event; whatever it raises has the event delivered again.
Event: TypeAlias = Callable[[bytes], Awaitable[None]]
# One tick of a cron binding. Ticks of replicas and slow ticks overlap.
Tick: TypeAlias = Callable[[], Awaitable[None]]
# Service invocation: the body's JSON in, the answer's `result` out.
Call: TypeAlias = Callable[[Any], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What a worker does, by path.

    `ready` tells why it is not ready, None when it is. `metrics` are in Prometheus' text format.
    `token` is what the sidecar shows; without it, whoever reaches the port may deliver.
    """

    events: Mapping[str, Event] = field(default_factory=dict)
    ticks: Mapping[str, Tick] = field(default_factory=dict)
    calls: Mapping[str, Call] = field(default_factory=dict)
    ready: Callable[[], Awaitable[str | None]]
    metrics: Callable[[], tuple[bytes, str]]
    token: str | None = None


class WorkerApplication:
    """Serves a worker's routes."""

    def __init__(self, worker: Worker) -> None:
        if worker.token is None:
            log.warning("worker.open_to_all", extra={"lacks": "CARILLON_APP_API_TOKEN"})
        self._worker = worker
        self._stopping = False
        self._probes = 0
        self._known = asyncio.Event()
        self._app = Starlette(routes=[*self._operations(), *self._deliveries()])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; workers take no sockets."""
        if scope["type"] == "http":
            await self._app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})

    async def stop(self) -> None:
        """Says no to probes and to what is new, and returns once the sidecar knows.

        The server finishes what is in flight, and listens no more.
        """
        self._stopping = True
        if self._worker.events:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_MAX_S):
                    await self._known.wait()

    def _operations(self) -> Sequence[Route]:
        return [
            Route(HEALTH_PATH, self._health),
            Route(READINESS_PATH, self._readiness),
            Route(METRICS_PATH, self._metrics),
            # Subscriptions are declared, not asked for; a sidecar asks all the same.
            Route("/dapr/subscribe", _no_subscriptions),
        ]

    def _deliveries(self) -> Sequence[Route]:
        worker = self._worker
        return [
            *(
                Route(path, self._event(path, take), methods=["POST"])
                for path, take in worker.events.items()
            ),
            *(
                Route(path, self._tick(path, tick), methods=["POST", "OPTIONS"])
                for path, tick in worker.ticks.items()
            ),
            *(
                Route(INVOKE_PREFIX + name, self._call(call), methods=["POST"])
                for name, call in worker.calls.items()
            ),
        ]

    def _event(self, path: str, take: Event) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            if not self._is_sidecar(request):
                return _NOT_THE_SIDECAR
            if self._stopping:
                return PlainTextResponse("Deliver it again: this replica stops.\n", 500)
            try:
                await take(await request.body())
            except Exception as error:
                # The sidecar delivers it again.
                log.warning(
                    "event.not_taken",
                    exc_info=None if isinstance(error, PASSING) else error,
                    extra={"path": path, "said": str(error)},
                )
                return PlainTextResponse("Deliver it again.\n", 500)
            return JSONResponse({"status": "SUCCESS"})

        return handle

    def _tick(self, path: str, tick: Tick) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            if request.method == "OPTIONS":
                # How the sidecar asks whether anybody wants the binding's ticks.
                return PlainTextResponse("")
            if not self._is_sidecar(request):
                return _NOT_THE_SIDECAR
            if self._stopping:
                return PlainTextResponse("The next tick does it: this replica stops.\n", 500)
            try:
                await tick()
            except Exception as error:
                # The next tick does what this one left.
                log.warning(
                    "tick.failed",
                    exc_info=None if isinstance(error, PASSING) else error,
                    extra={"path": path, "said": str(error)},
                )
                return PlainTextResponse("The next tick does it.\n", 500)
            return PlainTextResponse("")

        return handle

    def _call(self, call: Call) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            if not self._is_sidecar(request):
                return _NOT_THE_SIDECAR
            try:
                given = await request.json()
            except ValueError:
                return JSONResponse({"problems": [_problem("The body is not JSON.")]})
            try:
                return JSONResponse({"result": await call(given)})
            except Refused as refused:
                problems = [_problem(one.message, one.code, one.path) for one in refused.problems]
                return JSONResponse({"problems": problems})
            except (OSError, Unavailable) as error:
                return PlainTextResponse(f"{error}\n", 503)

        return handle

    async def _health(self, _request: Request) -> Response:
        if not self._stopping:
            return PlainTextResponse("ok\n")
        self._probes += 1
        if self._probes >= PROBES_ENOUGH:
            self._known.set()
        return PlainTextResponse("stopping\n", 503)

    async def _readiness(self, _request: Request) -> Response:
        why = "stopping" if self._stopping else await self._worker.ready()
        return PlainTextResponse("ready\n") if why is None else PlainTextResponse(f"{why}\n", 503)

    async def _metrics(self, _request: Request) -> Response:
        body, content_type = self._worker.metrics()
        return Response(body, media_type=content_type)

    def _is_sidecar(self, request: Request) -> bool:
        token = self._worker.token
        if token is None:
            return True
        return hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), token.encode())


_NOT_THE_SIDECAR = PlainTextResponse("Only the sidecar may.\n", 403)


def _problem(message: str, code: Code = Code.INVALID, path: Sequence[str] = ()) -> object:
    return {"code": code.value, "field": path, "message": message}


async def _no_subscriptions(_request: Request) -> Response:
    return JSONResponse([])
