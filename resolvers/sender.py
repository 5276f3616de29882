"""Plain ASGI without a task or a timer, as long as nothing has to wait."""

import asyncio
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
AsgiMessage: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Coroutine[Any, Any, AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Coroutine[Any, Any, None]]


def address(scope: Scope) -> str:
    """Returns where the client is; "" where the server does not know, as on a Unix socket."""
    client = scope.get("client")
    return str(client[0]) if client else ""


async def by(deadline: float, work: Coroutine[Any, Any, T]) -> T:
    """Returns what `work` returns; a timer is set only where it has to wait.

    Args:
        deadline: in the loop's time.
        work: has not been awaited yet.

    Raises:
        TimeoutError: it did not end in time.
    """
    try:
        awaited = work.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    async with asyncio.timeout_at(deadline):
        return await _resumed(work, awaited)


class Sender:
    """Sends messages in their order; `full` while the server makes the last one wait.

    `send` is run right here up to where it would wait, and only then does a task finish it: the
    usual message costs no task and no switch. It must not ask for the current task (as
    `asyncio.timeout` does); servers' own `send` wait on an event at most.
    """

    def __init__(self, send: Send) -> None:
        self.closed = False
        self._send = send
        self._backlog: deque[AsgiMessage] = deque()
        self._waiting: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        return self._waiting is not None

    def put(self, message: AsgiMessage) -> None:
        """Sends a message now, or in its turn; the caller minds `full`."""
        if self.closed:
            return
        if self._waiting is not None:
            self._backlog.append(message)
            return
        sending = self._send(message)
        try:
            awaited = sending.send(None)
        except StopIteration:
            return
        except OSError:
            self.close()
            return
        self._waiting = asyncio.create_task(self._finish(_resumed(sending, awaited)))

    async def drained(self) -> bool:
        """Waits until nothing waits; False: the connection is closed."""
        if self._waiting is not None:
            await asyncio.wait({self._waiting})
        return not self.closed

    def close(self) -> None:
        """Forgets what waits; nothing is sent any more."""
        self.closed = True
        self._backlog.clear()
        if self._waiting is not None:
            self._waiting.cancel()

    async def _finish(self, rest: Awaitable[None]) -> None:
        try:
            await rest
            while self._backlog:
                await self._send(self._backlog.popleft())
        except OSError:
            self.close()
        finally:
            self._waiting = None


@types.coroutine
def _resumed(coroutine: Coroutine[Any, Any, T], awaited: object) -> Generator[object, Any, T]:
    """Goes on with a coroutine that has been stepped to its first wait."""
    while True:
        thrown: BaseException | None = None
        value = None
        try:
            value = yield awaited
        except BaseException as error:  # noqa: BLE001 - what a task throws in, it gets
            thrown = error
        try:
            awaited = coroutine.send(value) if thrown is None else coroutine.throw(thrown)
        except StopIteration as done:
            found: T = done.value
            return found
