"""The endpoint of `graphql-transport-ws`.

Every rule is of the protocol document (github.com/enisdenjo/graphql-ws, PROTOCOL.md). It knows
messages and operations by their ids; what an operation says is known to `Subscribe` alone.
"""

import asyncio
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import orjson

from domain.access import Viewer
from domain.errors import Unauthenticated
from resolvers.batches import Batch
from resolvers.live import Subscription
from resolvers.pipes import Pipe, pipe
from resolvers.sender import Receive, Scope, Send
from resolvers.sockets import FORBIDDEN, Sockets
from resolvers.streams import Authenticate, Error, Subscribe, problem

log = logging.getLogger(__name__)

SUBPROTOCOL = "graphql-transport-ws"
# What RFC 6455 leaves for the reason of a close frame.
REASON_MAX_BYTES = 123
SENT_BY_CLIENTS = {"connection_init", "subscribe", "complete", "ping", "pong"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """What one socket may do; each bound is far beyond what a good client needs."""

    # A slow network's TLS and a busy browser's start; an idle socket costs us little.
    init_wait_s: float = 10.0
    # A task's largest description (100,000 characters, 400 kB) fits, as it does in a POST. Give it
    # to the server as well (`ws_max_size`), which then refuses sooner.
    message_max_bytes: int = 524_288
    # Clients use UUIDs, ULIDs or counters.
    id_max_chars: int = 128
    # Live fields of one page. One more gets an error; the others go on.
    operations_max: int = 100
    # Beyond the rate a socket is not read from, so the client waits; a page that starts may burst.
    messages_a_second: float = 50.0
    messages_burst: int = 200


class WebSocketEndpoint:
    """The ASGI application behind `/graphql` for scopes of type websocket."""

    def __init__(
        self,
        *,
        sockets: Sockets,
        authenticate: Authenticate,
        subscribe: Subscribe,
        allowed_origins: Collection[str] = (),
        limits: SocketLimits | None = None,
    ) -> None:
        self.sockets = sockets
        self.authenticate = authenticate
        self.subscribe = subscribe
        self.limits = limits or SocketLimits()
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one socket until it is closed."""
        await receive()
        if not self._is_allowed(scope):
            await send({"type": "websocket.close"})
            return
        agreed = SUBPROTOCOL in scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if agreed else None})
        out = pipe(scope)
        refusal = self.sockets.refusal()
        if not agreed:
            out.shut(4406, "Subprotocol not acceptable")
        elif refusal is not None:
            out.shut(*refusal)
        else:
            await Socket(self, out).serve(receive)

    def _is_allowed(self, scope: Scope) -> bool:
        """Keeps other sites' pages out; programs send no Origin. RFC 6455, section 10.2."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is None:
            return True
        text = origin.decode("latin-1").lower()
        return text in self._origins or _host(text) == headers.get(b"host", b"").decode(
            "latin-1"
        ).lower().removesuffix(":80").removesuffix(":443")


class _Closing(Exception):
    """The client broke a rule: `args` are the close code and the reason."""


class Operation:
    """One id in use; also the outlet of its subscription."""

    def __init__(self, socket: "Socket", id: str, out: Pipe) -> None:
        self.id_json = json.dumps(id).encode()
        self.task: asyncio.Task[None] | None = None
        self.subscription: Subscription | None = None
        self._id = id
        self._socket = socket
        self._out = out

    def push(self, batch: Batch) -> bool:
        """See `Outlet.push`."""
        return self._out.push(self.id_json, batch)

    async def drained(self) -> bool:
        """See `Outlet.drained`."""
        return await self._out.drained()

    def end(self, error: Error) -> None:
        """See `Outlet.end`."""
        self.fail([error])

    def fail(self, errors: list[Error]) -> None:
        """Ends with an `error`, after which there is no `complete`."""
        if self._socket.release(self._id, self):
            self._out.send(_message(self.id_json, b"error", orjson.dumps(errors)))

    def answer(self, body: bytes) -> None:
        """Ends with one `next` and `complete`."""
        if self._socket.release(self._id, self):
            self._out.send(_message(self.id_json, b"next", body))
            self._out.send(b'{"id":' + self.id_json + b',"type":"complete"}')

    def stop(self) -> None:
        """Ends without a word."""
        if self.subscription is not None:
            self.subscription.close()
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()


class Socket:
    """The state of one connection."""

    def __init__(self, endpoint: WebSocketEndpoint, out: Pipe) -> None:
        self._endpoint = endpoint
        self._limits = endpoint.limits
        self._sockets = endpoint.sockets
        self._out = out
        self._viewer: Viewer | None = None
        self._has_init = False
        self._is_acknowledged = False
        self._is_shut = False
        self._operations: dict[str, Operation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._credit = float(endpoint.limits.messages_burst)
        self._credited_at = self._loop.time()
        self._init_timer = self._loop.call_later(
            endpoint.limits.init_wait_s, self.shut, 4408, "Connection initialisation timeout"
        )

    async def serve(self, receive: Receive) -> None:
        """Handles the client's messages one after another until either side closes."""
        self._sockets.enter(self)
        try:
            while not self._is_shut:
                event = await receive()
                if event["type"] == "websocket.disconnect" or self._is_shut:
                    return
                await self._handle(_parsed(event, self._limits.message_max_bytes))
                await self._pace()
        except _Closing as closing:
            self.shut(*closing.args)
        finally:
            self._stop()
            self._sockets.leave(self)
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def shut(self, code: int, reason: str) -> None:
        """See `Connection.shut`."""
        if not self._is_shut:
            self._stop()
            short = reason.encode()[:REASON_MAX_BYTES].decode(errors="ignore")
            self._out.shut(code, short)

    def release(self, id: str, operation: Operation) -> bool:
        """Frees the id; False: it was freed before, so nothing may be said about it any more."""
        if self._operations.get(id) is not operation:
            return False
        del self._operations[id]
        return True

    def _stop(self) -> None:
        self._is_shut = True
        self._init_timer.cancel()
        operations, self._operations = self._operations, {}
        for operation in operations.values():
            operation.stop()

    async def _pace(self) -> None:
        # Each message may cause an answer: a client that does not read is not read from either.
        if self._out.full:
            await self._out.drained()
        now = self._loop.time()
        earned = (now - self._credited_at) * self._limits.messages_a_second
        self._credit = min(self._credit + earned, self._limits.messages_burst) - 1
        self._credited_at = now
        if self._credit < 0:
            await asyncio.sleep(-self._credit / self._limits.messages_a_second)

    async def _handle(self, message: Mapping[str, object]) -> None:
        match message["type"]:
            case "connection_init":
                await self._init(_object(message, "payload"))
            case "ping":
                payload = _object(message, "payload")
                self._out.send(
                    b'{"type":"pong"}'
                    if payload is None
                    else b'{"type":"pong","payload":' + json.dumps(payload).encode() + b"}"
                )
            case "pong":
                _object(message, "payload")
            case "subscribe":
                self._subscribe(self._id(message), message)
            case _:
                operation = self._operations.pop(self._id(message), None)
                if operation is not None:
                    operation.stop()

    async def _init(self, payload: Mapping[str, object] | None) -> None:
        if self._has_init:
            raise _Closing(4429, "Too many initialisation requests")
        self._has_init = True
        self._init_timer.cancel()
        token = (payload or {}).get("token")
        if token is not None:
            if not isinstance(token, str):
                raise _Closing(4400, "The payload's token is a string")
            await self._sign_in(token)
        self._is_acknowledged = True
        self._out.send(b'{"type":"connection_ack"}')

    async def _sign_in(self, token: str) -> None:
        try:
            self._viewer = await self._endpoint.authenticate(token)
        except Unauthenticated as error:
            raise _Closing(*FORBIDDEN) from error
        refusal = self._sockets.identify(self, self._viewer)
        if refusal is not None:
            raise _Closing(*refusal)

    def _id(self, message: Mapping[str, object]) -> str:
        given = message.get("id")
        if not isinstance(given, str) or not 0 < len(given) <= self._limits.id_max_chars:
            most = self._limits.id_max_chars
            raise _Closing(4400, f"The id is a string of 1 to {most} characters")
        return given

    def _subscribe(self, id: str, message: Mapping[str, object]) -> None:
        payload = _operation(message)
        if not self._is_acknowledged:
            raise _Closing(4401, "Unauthorized")
        if id in self._operations:
            raise _Closing(4409, f"Subscriber for {id} already exists")
        operation = self._operations[id] = Operation(self, id, self._out)
        if len(self._operations) > self._limits.operations_max:
            most = self._limits.operations_max
            text = f"Complete another operation first: a socket holds {most}."
            operation.fail([problem("LIMIT_EXCEEDED", text)])
            return
        task = operation.task = asyncio.create_task(self._open(operation, payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, operation: Operation, payload: Mapping[str, object]) -> None:
        try:
            opened = await self._endpoint.subscribe(self._viewer, payload)
        except Exception:  # the last place that can say so to the client
            error = problem("INTERNAL", "Internal error; the trace id finds it in the log.")
            log.exception("websocket.operation_failed", extra={"error": error["extensions"]})
            operation.fail([error])
            return
        if isinstance(opened, list):
            operation.fail(opened)
        elif isinstance(opened, bytes):
            if await self._out.drained():
                operation.answer(opened)
        elif self._viewer is None:
            operation.fail([problem("UNAUTHENTICATED", "Sign in to follow changes.")])
        else:
            operation.subscription = self._sockets.hub.subscribe(
                opened, self._viewer, operation, after=opened.after
            )


def _message(id_json: bytes, type: bytes, payload: bytes) -> bytes:
    return b"".join((b'{"id":', id_json, b',"type":"', type, b'","payload":', payload, b"}"))


def _parsed(event: Mapping[str, object], max_bytes: int) -> Mapping[str, object]:
    text = event.get("text")
    if not isinstance(text, str):
        raise _Closing(4400, "Messages are text")
    if len(text) > max_bytes:
        raise _Closing(1009, "Message too big")
    try:
        message = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _Closing(4400, "Messages are JSON") from error
    kind = message.get("type") if isinstance(message, dict) else None
    if not isinstance(kind, str) or kind not in SENT_BY_CLIENTS:
        raise _Closing(4400, "Messages are objects whose type is one that clients send")
    return cast(Mapping[str, object], message)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _object(holder: Mapping[str, object], name: str) -> Mapping[str, object] | None:
    value = holder.get(name)
    if value is not None and not isinstance(value, dict):
        raise _Closing(4400, f"`{name}` is an object")
    return value


def _operation(message: Mapping[str, object]) -> Mapping[str, object]:
    """Returns the payload of `subscribe`, its known members in their known types."""
    payload = _object(message, "payload")
    if payload is None or not isinstance(payload.get("query"), str):
        raise _Closing(4400, "The payload's `query` is a string")
    if not isinstance(payload.get("operationName"), str | None):
        raise _Closing(4400, "`operationName` is a string")
    _object(payload, "variables")
    _object(payload, "extensions")
    return payload


def _host(origin: str) -> str:
    return urlsplit(origin).netloc.removesuffix(":80").removesuffix(":443")
