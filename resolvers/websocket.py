"""The endpoint of `graphql-transport-ws`.

Every rule is of the protocol document (github.com/enisdenjo/graphql-ws, PROTOCOL.md). It knows
messages and operations by their ids; what an operation says is known to `Subscribe` alone.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from domain.access import Viewer
from domain.errors import OverLimit, Unauthenticated
from resolvers.batches import Batch
from resolvers.live import Subscription
from resolvers.origins import Origins
from resolvers.pipes import Pipe, pipe
from resolvers.sender import Receive, Scope, Send, address
from resolvers.socket_messages import Closing, member, operation_payload, parsed
from resolvers.sockets import FORBIDDEN, Sockets
from resolvers.streams import Authenticate, Error, Stream, Subscribe, problem

log = logging.getLogger(__name__)

SUBPROTOCOL = "graphql-transport-ws"
# What RFC 6455 leaves for the reason of a close frame.
REASON_MAX_BYTES = 123


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """What one socket may do; each bound is far beyond what a good client needs."""

    # A slow network's TLS and a busy browser's start; an idle socket costs us little.
    init_wait_s: float = 10.0
    # Without a token there are no streams: whoever wants to sign in does so.
    anonymous_idle_s: float = 60.0
    # A task's longest description fits, as it does in a POST, also where a client escapes each of
    # its 100,000 characters in 12. Give it to the server too (`ws_max_size`), which refuses sooner.
    message_max_bytes: int = 1_572_864
    # Clients use UUIDs, ULIDs or counters.
    id_max_chars: int = 128
    # Live fields of one page. One more gets an error; the others go on.
    operations_max: int = 100
    # Queries and mutations at work, or whose answers the client has not taken; the others wait.
    answers_max: int = 4
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
        origins: Origins,
        limits: SocketLimits | None = None,
    ) -> None:
        self.sockets = sockets
        self.authenticate = authenticate
        self.subscribe = subscribe
        self.limits = limits or SocketLimits()
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one socket until it is closed."""
        await receive()
        # Browsers ask nobody before they open a socket; RFC 6455, section 10.2.
        if not self._origins.admit(scope):
            await send({"type": "websocket.close"})
            return
        agreed = SUBPROTOCOL in scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if agreed else None})
        out = pipe(scope)
        refusal = self.sockets.refusal(address(scope))
        if not agreed:
            out.shut(4406, "Subprotocol not acceptable")
        elif refusal is not None:
            out.shut(*refusal)
        else:
            await Socket(self, out, address(scope)).serve(receive)


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

    def __init__(self, endpoint: WebSocketEndpoint, out: Pipe, address: str) -> None:
        self._endpoint = endpoint
        self._address = address
        self._limits = endpoint.limits
        self._sockets = endpoint.sockets
        self._out = out
        self._viewer: Viewer | None = None
        self._has_init = False
        self._is_acknowledged = False
        self._is_shut = False
        self._operations: dict[str, Operation] = {}
        self._turns = asyncio.Semaphore(endpoint.limits.answers_max)
        # Answers leave one by one, each when the client has taken the one before.
        self._delivery = asyncio.Lock()
        # Of messages whose operations are at work or wait for their turn.
        self._held_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._credit = float(endpoint.limits.messages_burst)
        self._credited_at = self._loop.time()
        self._timer = self._loop.call_later(
            endpoint.limits.init_wait_s, self.shut, 4408, "Connection initialisation timeout"
        )

    async def serve(self, receive: Receive) -> None:
        """Handles the client's messages one after another until either side closes."""
        self._sockets.enter(self, self._address)
        try:
            while not self._is_shut:
                event = await receive()
                if event["type"] == "websocket.disconnect" or self._is_shut:
                    return
                text = event.get("text")
                message = parsed(text, self._limits.message_max_bytes)
                await self._handle(message, len(text or ""))
                await self._pace()
        except Closing as closing:
            self.shut(*closing.args)
        finally:
            self._stop()
            self._sockets.leave(self)
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def shut(self, code: int, reason: str) -> None:
        """See `Connection.shut`."""
        if not self._is_shut:
            self._stop()
            # A reason may quote what the client sent, lone surrogates too.
            short = reason.encode(errors="replace")[:REASON_MAX_BYTES].decode(errors="ignore")
            self._out.shut(code, short)

    def release(self, id: str, operation: Operation) -> bool:
        """Frees the id; False: it was freed before, so nothing may be said about it any more."""
        if self._operations.get(id) is not operation:
            return False
        del self._operations[id]
        self._watch_idleness()
        return True

    def _stop(self) -> None:
        self._is_shut = True
        self._timer.cancel()
        operations, self._operations = self._operations, {}
        for operation in operations.values():
            operation.stop()

    async def _pace(self) -> None:
        # Each message may cause an answer: a client that does not read is not read from either, nor
        # is one that has asked for much at once.
        if self._out.full:
            await self._out.drained()
        while self._held_bytes > self._limits.message_max_bytes:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        now = self._loop.time()
        earned = (now - self._credited_at) * self._limits.messages_a_second
        self._credit = min(self._credit + earned, self._limits.messages_burst) - 1
        self._credited_at = now
        if self._credit < 0:
            await asyncio.sleep(-self._credit / self._limits.messages_a_second)

    async def _handle(self, message: Mapping[str, object], size: int) -> None:
        match message["type"]:
            case "connection_init":
                await self._init(member(message, "payload"))
            case "ping":
                payload = member(message, "payload")
                self._out.send(
                    b'{"type":"pong"}'
                    if payload is None
                    else b'{"type":"pong","payload":' + json.dumps(payload).encode() + b"}"
                )
            case "pong":
                member(message, "payload")
            case "subscribe":
                self._subscribe(self._id(message), message, size)
            case _:
                operation = self._operations.pop(self._id(message), None)
                if operation is not None:
                    operation.stop()
                    self._watch_idleness()

    async def _init(self, payload: Mapping[str, object] | None) -> None:
        if self._has_init:
            raise Closing(4429, "Too many initialisation requests")
        self._has_init = True
        self._timer.cancel()
        token = (payload or {}).get("token")
        if token is not None and not isinstance(token, str):
            raise Closing(4400, "The payload's token is a string")
        refusal = self._sockets.stay_unknown(self) if token is None else await self._sign_in(token)
        if refusal is not None:
            raise Closing(*refusal)
        self._is_acknowledged = True
        self._watch_idleness()
        self._out.send(b'{"type":"connection_ack"}')

    async def _sign_in(self, token: str) -> tuple[int, str] | None:
        try:
            self._viewer = await self._endpoint.authenticate(token)
        except Unauthenticated as error:
            raise Closing(*FORBIDDEN) from error
        return self._sockets.identify(self, self._viewer)

    def _watch_idleness(self) -> None:
        """Closes a socket without a token that no operation has needed for a while."""
        self._timer.cancel()
        if self._viewer is None and not self._operations and not self._is_shut:
            self._timer = self._loop.call_later(
                self._limits.anonymous_idle_s, self.shut, 4408, "Idle without a token"
            )

    def _id(self, message: Mapping[str, object]) -> str:
        given = message.get("id")
        if not isinstance(given, str) or not 0 < len(given) <= self._limits.id_max_chars:
            most = self._limits.id_max_chars
            raise Closing(4400, f"The id is a string of 1 to {most} characters")
        return given

    def _subscribe(self, id: str, message: Mapping[str, object], size: int) -> None:
        payload = operation_payload(message)
        if not self._is_acknowledged:
            raise Closing(4401, "Unauthorized")
        if id in self._operations:
            raise Closing(4409, f"Subscriber for {id} already exists")
        operation = self._operations[id] = Operation(self, id, self._out)
        self._timer.cancel()
        if len(self._operations) > self._limits.operations_max:
            most = self._limits.operations_max
            text = f"Complete another operation first: a socket holds {most}."
            operation.fail([problem("LIMIT_EXCEEDED", text)])
            return
        self._held_bytes += size
        task = operation.task = asyncio.create_task(self._in_turn(operation, payload))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._release(task, size))

    def _release(self, task: asyncio.Task[None], size: int) -> None:
        self._tasks.discard(task)
        self._held_bytes -= size

    async def _in_turn(self, operation: Operation, payload: Mapping[str, object]) -> None:
        """Opens the operation, and keeps its turn until the client has taken an answer."""
        async with self._turns:
            await self._open(operation, payload)

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
            async with self._delivery:
                if await self._out.drained():
                    operation.answer(opened)
                    await self._out.drained()
        elif self._viewer is None:
            operation.fail([problem("UNAUTHENTICATED", "Sign in to follow changes.")])
        else:
            self._follow(operation, opened, self._viewer)

    def _follow(self, operation: Operation, stream: Stream, viewer: Viewer) -> None:
        try:
            operation.subscription = self._sockets.hub.subscribe(
                stream, viewer, operation, after=stream.after
            )
        except OverLimit as fault:
            operation.fail([problem("LIMIT_EXCEEDED", str(fault))])


def _message(id_json: bytes, type: bytes, payload: bytes) -> bytes:
    return b"".join((b'{"id":', id_json, b',"type":"', type, b'","payload":', payload, b"}"))
