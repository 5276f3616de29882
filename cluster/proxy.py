"""A TCP proxy for faults: cuts, refuses, stalls and slows what passes between two real parts."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

# A port of the loopback, or a Unix socket.
Target: TypeAlias = int | Path
CHUNK_BYTES = 65_536


class Proxy:
    """Leads connections of its port to a target; bound to the event loop that starts it.

    Args of the constructor:
        target: where to; it need not listen yet.
        port: where from; a free one by default, known once started.
    """

    def __init__(self, target: Target, *, port: int = 0) -> None:
        self.port = port
        self._target = target
        self._delay = 0.0
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Starts it."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends it, as `refuse`."""
        await self.refuse()

    @property
    def connections(self) -> int:
        """How many are open through it."""
        return len(self._tasks)

    def lead(self, target: Target) -> None:
        """Leads new connections to another target."""
        self._target = target

    async def start(self) -> None:
        """Listens; returns once it does."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Resets every open connection; new ones are let through."""
        open_now = list(self._tasks)
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)

    async def refuse(self) -> None:
        """Resets every open connection and refuses new ones, until `restore`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    def stall(self) -> None:
        """Lets nothing pass and closes nothing, as a lost route does, until `restore`."""
        self._flows.clear()

    def slow(self, delay: float) -> None:
        """Holds up every chunk of both directions by so many seconds, until `restore`."""
        self._delay = delay

    async def restore(self) -> None:
        """Lets everything pass again; what was stalled goes on."""
        self._delay = 0.0
        self._flows.set()
        if self._server is None:
            await self.start()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            # One side is gone, or cut: the other side is told the hard way.
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self._target, Path):
            far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        else:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._pump(reader, far_writer))
                directions.create_task(self._pump(far_reader, writer))
        except* OSError:
            pass
        finally:
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await asyncio.sleep(self._delay)
            await self._flows.wait()
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
