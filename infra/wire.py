"""uvicorn's websocket protocol with one door more: pre-built frames go straight to the transport.

`scope["extensions"]["carillon.wire"]` is the door. It skips two state machines, a task switch and a
copy for each message; that is most of what a message costs. Pass the class as uvicorn's `ws`.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request

EXTENSION = "carillon.wire"
# For the answer to our close frame, and for what a closed connection still has to send.
CLOSE_WAIT_S = 3.0


class Wire(WebSocketsSansIOProtocol):
    """Frames pushed and messages sent by ASGI leave in the order of their calls.

    It also ends what uvicorn leaves open: a client that reads nothing keeps its transport, and
    so its buffers, for as long as its kernel acknowledges probes.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.close_timeout = CLOSE_WAIT_S
        self._pong: bytes | None = None
        self._cut: asyncio.TimerHandle | None = None

    def handle_connect(self, event: Request) -> None:
        """Puts the door where the application finds it."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, object] = self.scope["extensions"]  # type: ignore[assignment]
            extensions[EXTENSION] = self

    @property
    def full(self) -> bool:
        """See `Door.full`."""
        return not self.writable.is_set()

    def push(self, frames: bytes) -> bool:
        """See `Door.push`."""
        if self._closing:
            return False
        self.transport.write(frames)
        return True

    async def drained(self) -> bool:
        """See `Door.drained`."""
        await self.writable.wait()
        return not self._closing

    def shut(self, code: int, reason: str) -> None:
        """See `Door.shut`; unlike ASGI's close it does not wait for a client that reads nothing."""
        if self._closing:
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.writable.set()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def handle_ping(self) -> None:
        """Answers only the latest pings of a client that is behind; RFC 6455, section 5.5.3."""
        if not self.full:
            super().handle_ping()
            return
        # The first of the pings that arrived together finds the answers to all of them.
        pongs = b"".join(self.conn.data_to_send())
        if pongs:
            self._pong = pongs

    def resume_writing(self) -> None:
        """Sends the pong that waited."""
        super().resume_writing()
        if self._pong is not None and not self._closing:
            self.transport.write(self._pong)
        self._pong = None

    def keepalive_timeout(self) -> None:
        """Cuts off a half-open connection; its last words may wait, but not for ever."""
        super().keepalive_timeout()
        self._abandon()

    def handle_parser_exception(self) -> None:
        """Cuts off who breaks the protocol, also if they read nothing."""
        super().handle_parser_exception()
        self._abandon()

    def handle_close(self, event: object) -> None:
        """Cuts off who closes without reading what was on its way."""
        super().handle_close(event)  # type: ignore[arg-type]
        self._abandon()

    def shutdown(self) -> None:
        """Closes for the end of the process, which does not wait for a client that hangs."""
        super().shutdown()
        self._abandon()

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets go of the timer."""
        super().connection_lost(exc)
        if self._cut is not None:
            self._cut.cancel()

    @property
    def _closing(self) -> bool:
        return self.close_sent or self.disconnected or self.transport.is_closing()

    def _abandon(self) -> None:
        self.writable.set()
        if self._cut is None and not self.disconnected:
            self._cut = self.loop.call_later(self.close_timeout, self.transport.abort)
