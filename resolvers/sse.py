"""Server-sent events: the streams of the websocket over a plain response, one operation each.

The rules are those of graphql-sse's protocol document, distinct connections mode. Each event's id
is its cursor, so that a client that comes back with Last-Event-ID misses nothing.
"""

import asyncio

import orjson

from domain.access import Viewer
from domain.errors import OverLimit
from resolvers.batches import Batch
from resolvers.live import Subscription
from resolvers.origins import VARY
from resolvers.sender import Receive, Scope, Send, Sender, address
from resolvers.sockets import Sockets
from resolvers.streams import Error, Opened, Stream, problem

# Below the idle timeout of common proxies (30 to 60 s).
HEARTBEAT_S = 15.0
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    VARY,
    # nginx would hold the events back.
    (b"x-accel-buffering", b"no"),
]
# With `data`, though it is empty: a browser's EventSource drops events without it.
COMPLETE = b"event: complete\ndata:\n\n"


class ServerSentEvents:
    """Answers an opened operation as an event stream; the request's body has been read."""

    def __init__(self, sockets: Sockets, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._sockets = sockets
        self._heartbeat_s = heartbeat_s

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, opened: Opened, viewer: Viewer | None
    ) -> None:
        """Serves one response until the client leaves or the stream ends."""
        stream = EventStream(self._sockets, send, self._heartbeat_s)
        if isinstance(opened, bytes):
            stream.finish(opened)
        elif isinstance(opened, list):
            stream.fail(opened)
        elif viewer is None:
            stream.end(problem("UNAUTHENTICATED", "Sign in to follow changes."))
        else:
            stream.enter(viewer, address(scope))
            if not stream.is_over:
                after = _later(opened.after, _last_event_id(scope))
                self._follow(stream, opened, viewer, after)
        await stream.serve(receive)

    def _follow(
        self, outlet: "EventStream", stream: Stream, viewer: Viewer, after: int | None
    ) -> None:
        try:
            outlet.subscription = self._sockets.hub.subscribe(stream, viewer, outlet, after=after)
        except OverLimit as fault:
            outlet.end(problem("LIMIT_EXCEEDED", str(fault)))


class EventStream:
    """One open response; also the outlet of its subscription."""

    def __init__(self, sockets: Sockets, send: Send, heartbeat_s: float) -> None:
        self._heartbeat_s = heartbeat_s
        self.subscription: Subscription | None = None
        self.is_over = False
        self._sockets = sockets
        self._sender = Sender(send)
        self._loop = asyncio.get_running_loop()
        self._heartbeat: asyncio.TimerHandle | None = None
        self._sender.put({"type": "http.response.start", "status": 200, "headers": HEADERS})
        # The headers leave with the first bytes of the body.
        self._beat()

    def enter(self, viewer: Viewer, address: str) -> None:
        """Counts the stream among the open sockets, or ends it where there are too many."""
        refusal = self._sockets.refusal(address)
        if refusal is None:
            self._sockets.enter(self, address)
            refusal = self._sockets.identify(self, viewer)
        if refusal is not None:
            self.shut(*refusal)

    async def serve(self, receive: Receive) -> None:
        """Waits for the end."""
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._stop()
            self._sender.close()
            self._sockets.leave(self)

    def push(self, batch: Batch) -> bool:
        """See `Outlet.push`."""
        if self.is_over or self._sender.closed or self._sender.full:
            return False
        self._put(batch.events())
        return True

    async def drained(self) -> bool:
        """See `Outlet.drained`."""
        return await self._sender.drained() and not self.is_over

    def end(self, error: Error) -> None:
        """See `Outlet.end`."""
        self.fail([error])

    def fail(self, errors: list[Error]) -> None:
        """Ends with errors; the protocol has no event of their own."""
        self.finish(orjson.dumps({"errors": errors}))

    def finish(self, body: bytes) -> None:
        """Ends with one more result."""
        if not self.is_over:
            self._stop()
            self._put(b"event: next\ndata: " + body + b"\n\n" + COMPLETE, is_last=True)

    def shut(self, code: int, reason: str) -> None:
        """See `Connection.shut`; a websocket's close codes as the contract's error codes."""
        codes = {4403: "UNAUTHENTICATED", 4429: "LIMIT_EXCEEDED"}
        self.end(problem(codes.get(code, "UNAVAILABLE"), reason))

    def _stop(self) -> None:
        self.is_over = True
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self.subscription is not None:
            self.subscription.close()

    def _put(self, body: bytes, *, is_last: bool = False) -> None:
        self._sender.put({"type": "http.response.body", "body": body, "more_body": not is_last})

    def _beat(self) -> None:
        if not self._sender.full:
            self._put(b":\n\n")
        self._heartbeat = self._loop.call_later(self._heartbeat_s, self._beat)


def _last_event_id(scope: Scope) -> int | None:
    value = dict(scope["headers"]).get(b"last-event-id", b"")
    return int(value) if value.isdigit() and len(value) < 19 else None


def _later(asked: int | None, seen: int | None) -> int | None:
    return asked if seen is None else seen if asked is None else max(asked, seen)
