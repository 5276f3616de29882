"""uvicorn's HTTP protocol with an end to everything that a client may draw out.

Uvicorn bounds neither the size of a request's head, nor the time of a request, nor what waits for
a client that does not read; and it counts connections only once they have sent a request. Pass the
class as uvicorn's `http`, and the most connections as `limit_concurrency`.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from opentelemetry import metrics
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

_meter = metrics.get_meter("carillon.http")
_cut_off = _meter.create_counter(
    "carillon.http.cut_off", description="Connections that the server ended, by reason"
)
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: 20\r\n"
    b"connection: close\r\n\r\n"
    b"Send fewer headers.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What one connection may take; each bound is far beyond what a good client needs."""

    # Twice what nginx lets through; a token takes 1 kB, a document in a URL a few.
    head_max_bytes: int = 65_536
    headers_max: int = 128
    # From the connection, or from the next request's first byte, to the end of the head.
    head_wait_s: float = 10.0
    # From there to the end of the body; the endpoint answers 408 before that.
    body_wait_s: float = 40.0
    # Requests sent before their turn; nobody sends many.
    pipeline_max: int = 32
    # In so many seconds a client takes so much of what waits for it, or all of it: 9 kB/s.
    stall_s: float = 30.0
    stall_min_bytes: int = 262_144
    # Lets a client that is still sending read why it is refused: closing at once would reset.
    linger_s: float = 2.0


class Http(HttpToolsProtocol):
    """One connection.

    It is *heading* until a request's head is complete, and again once its body is; a request is
    *begun* from its first byte to the end of its body.
    """

    limits: ClassVar[HttpLimits] = HttpLimits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # Uvicorn itself would refuse requests of connections that were let in.
        self._connections_max, self.limit_concurrency = self.limit_concurrency, None
        self._begun = False
        self._heading = True
        self._head_bytes = 0
        self._is_over = False
        self._answering: RequestResponseCycle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Lets the client in, where there is room."""
        most = self._connections_max
        if most is not None and len(self.connections) >= most:
            self.transport = cast(asyncio.Transport, transport)
            self._end("connections")
            return
        super().connection_made(cast(asyncio.Transport, transport))
        self._give(self.limits.head_wait_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets go of the timers, and tells the request that is being answered.

        Uvicorn tells the one that came last, which with pipelining waits for its turn: a stream
        before it would go on for ever.
        """
        self._stop_timers()
        super().connection_lost(exc)
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and sees to it that the request gets on."""
        if self._is_over:
            return
        if self._heading:
            # The parser keeps an unfinished header however long, and tells only of its end.
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self._is_over:
            return
        limits = self.limits
        if self._heading and (
            self._head_bytes > limits.head_max_bytes or len(self.headers or ()) > limits.headers_max
        ):
            self._end("head", _TOO_LARGE)
        elif len(self.pipeline) > limits.pipeline_max:
            self._end("pipeline")
        elif not self._begun and self._is_answering():
            self._stop_deadline()
        elif self._deadline is None and self.timeout_keep_alive_task is None:
            self._give(limits.head_wait_s if self._heading else limits.body_wait_s)

    def on_message_begin(self) -> None:
        """See the class."""
        super().on_message_begin()
        self._begun = True

    def on_headers_complete(self) -> None:
        """Goes on with the request, unless its head is too large, though it came in one piece."""
        if self._is_too_large():
            self._end("head", _TOO_LARGE)
            raise ValueError("the head is too large")
        self._heading = False
        if self._deadline is not None:
            self._give(self.limits.body_wait_s)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """See the class."""
        super().on_message_complete()
        self._begun = False
        self._heading = True
        self._head_bytes = 0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Sees to it that the client takes the end of the answer too."""
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Answers what the parser refuses; what was refused inside of it has its answer."""
        if not self._is_over:
            super().send_400_response(msg)
            self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """Closes an idle connection, though its client may have left its last answer there."""
        super().timeout_keep_alive_handler()
        self._watch()

    def shutdown(self) -> None:
        """Closes for the end of the process."""
        super().shutdown()
        self._watch()

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection over: what comes of it is the socket's business."""
        self._stop_timers()
        # This very call came out of `data_received`, which must give it no deadline any more.
        self._is_over = True
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """Begins to watch whether the client takes what waits for it."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Ends that watch, but for a connection that closes: its last bytes matter too."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_watch()

    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _is_too_large(self) -> bool:
        if len(self.headers) > self.limits.headers_max:
            return True
        if self._head_bytes <= self.limits.head_max_bytes:
            return False
        # Some of what came may be the body.
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        return size > self.limits.head_max_bytes

    def _give(self, seconds: float) -> None:
        """Ends the connection unless the request gets on within the time."""
        self._stop_deadline()
        self._deadline = self.loop.call_later(seconds, self._end, "wait")

    def _watch(self) -> None:
        """Ends the connection where the client takes too little of what waits for it."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and self._stall is None:
            self._stall = self.loop.call_later(self.limits.stall_s, self._check, unsent)

    def _check(self, unsent: int) -> None:
        self._stall = None
        if unsent - self.transport.get_write_buffer_size() < self.limits.stall_min_bytes:
            self._end("stall")
        else:
            self._watch()

    def _end(self, reason: str, answer: bytes | None = None) -> None:
        """Ends the connection: with an answer, where none is on its way, or without a word."""
        self._is_over = True
        self._stop_timers()
        _cut_off.add(1, {"reason": reason})
        if answer is None or self._is_answering():
            self.transport.abort()
            return
        self.transport.write(answer)
        self._deadline = self.loop.call_later(self.limits.linger_s, self.transport.abort)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_watch(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _stop_timers(self) -> None:
        self._stop_deadline()
        self._stop_watch()
