"""One PostgreSQL per pytest run, started when a test first asks and ended with the run.

    python tests/postgres.py FOLDER    answers each connection to FOLDER/ask with the server's URL,
                                       ends when its standard input does

A process of its own, because the workers of pytest-xdist share it; bound to the run by a pipe, so
that it ends however the run does. The database `template` in it carries the newest schema.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from infra.postgres.embedded import embedded_postgres

TEMPLATE = "template"
# Nothing here outlives the run; several test processes share the connections.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "200"}


def database(url: str, name: str) -> str:
    """Returns the URL of another database on the same server."""
    return url.replace("@/carillon?", f"@/{name}?")


async def _start(folder: Path, stack: AsyncExitStack) -> str:
    # Slow to import, and a run of unit tests never asks.
    import asyncpg  # noqa: PLC0415

    from infra.postgres.migrate import upgrade  # noqa: PLC0415

    url = await stack.enter_async_context(embedded_postgres(folder / "data", settings=SETTINGS))
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {TEMPLATE}")
    await connection.close()
    await upgrade(database(url, TEMPLATE))
    return url


async def _hold(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        first = asyncio.Lock()
        urls: list[str] = []

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with first:
                if not urls:
                    urls.append(await _start(folder, stack))
            writer.write(urls[0].encode())
            await writer.drain()
            writer.close()

        asking = await asyncio.start_unix_server(answer, folder / "ask")
        os.close(sys.stdout.fileno())
        await asyncio.to_thread(sys.stdin.read)
        asking.close()


if __name__ == "__main__":
    asyncio.run(_hold(Path(sys.argv[1])))
