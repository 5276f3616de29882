"""The server's end of one websocket: a door straight to the transport, for pre-built frames."""

from typing import Protocol

from resolvers.batches import Batch, text_frame
from resolvers.sender import Scope

# Where the server puts the door: `scope["extensions"]`.
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


class Pipe:
    """One order for all that a socket sends: acknowledgements, messages, errors, closing."""

    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def full(self) -> bool:
        return self._door.full

    def send(self, text: bytes) -> None:
        """Sends a message of the protocol; few of them may wait, so it is never refused."""
        self._door.push(text_frame(text))

    def push(self, id_json: bytes, batch: Batch) -> bool:
        """Sends messages of an operation, or none of them (False) while full or closed."""
        return not self._door.full and self._door.push(batch.frames(id_json))

    async def drained(self) -> bool:
        return await self._door.drained()

    def shut(self, code: int, reason: str) -> None:
        self._door.shut(code, reason)


def pipe(scope: Scope) -> Pipe:
    """Returns the way out of a socket; only `infra.wire` serves sockets of ours."""
    door: Door = scope["extensions"][EXTENSION]
    return Pipe(door)
