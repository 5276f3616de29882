"""The server's end of one websocket: by the door for pre-built frames, or by plain ASGI."""

from typing import Protocol

from resolvers.batches import Batch, text_frame
from resolvers.sender import Scope, Send, Sender

# Where a server that has such a door puts it: `scope["extensions"]`.
EXTENSION = "carillon.wire"


class Door(Protocol):
    """Straight to the transport; what is pushed is written at once, in that order."""

    @property
    def full(self) -> bool:
        """Tells whether the client is behind."""
        ...

    def push(self, frames: bytes) -> bool:
        """Writes whole frames, also while full; False: the socket is closing."""
        ...

    async def drained(self) -> bool:
        """Waits until it is not full; False: the socket is closing."""
        ...

    def shut(self, code: int, reason: str) -> None:
        """Sends the close frame behind what was pushed, and cuts off who does not answer it."""
        ...


class Pipe(Protocol):
    """One order for all that a socket sends: acknowledgements, messages, errors, closing."""

    @property
    def full(self) -> bool: ...

    def send(self, text: bytes) -> None:
        """Sends a message of the protocol; few of them may wait, so it is never refused."""
        ...

    def push(self, id_json: bytes, batch: Batch) -> bool:
        """Sends messages of an operation, or none of them (False) while full or closed."""
        ...

    async def drained(self) -> bool: ...

    def shut(self, code: int, reason: str) -> None: ...


class WirePipe:
    """By the door."""

    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def full(self) -> bool:
        return self._door.full

    def send(self, text: bytes) -> None:
        self._door.push(text_frame(text))

    def push(self, id_json: bytes, batch: Batch) -> bool:
        return not self._door.full and self._door.push(batch.frames(id_json))

    async def drained(self) -> bool:
        return await self._door.drained()

    def shut(self, code: int, reason: str) -> None:
        self._door.shut(code, reason)


class AsgiPipe:
    """By `send`, on any server."""

    def __init__(self, send: Send) -> None:
        self._sender = Sender(send)
        self._shut = False

    @property
    def full(self) -> bool:
        return self._sender.full

    def send(self, text: bytes) -> None:
        if not self._shut:
            self._sender.put({"type": "websocket.send", "text": text.decode()})

    def push(self, id_json: bytes, batch: Batch) -> bool:
        if self._shut or self._sender.closed or self._sender.full:
            return False
        for text in batch.texts(id_json):
            self.send(text)
        return True

    async def drained(self) -> bool:
        return await self._sender.drained() and not self._shut

    def shut(self, code: int, reason: str) -> None:
        if not self._shut:
            self._shut = True
            self._sender.put({"type": "websocket.close", "code": code, "reason": reason})


def pipe(scope: Scope, send: Send) -> Pipe:
    """Returns the best way out that the server offers."""
    door: Door | None = scope.get("extensions", {}).get(EXTENSION)
    return AsgiPipe(send) if door is None else WirePipe(door)
