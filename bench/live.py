"""The live path of the real server: time to ready, from commit to subscriber, memory of sockets.

Latency is counted from the change's `at`, the instant of the decision just before the commit, to
the reader's receipt of the message: an upper bound of commit to subscriber, on one clock.
"""

import asyncio
import json
import os
import resource
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx

from tests.api import Person, Socket
from tests.processes import Server

READERS = 10
CHANGES_PER_S = 200
# Below it the machine was busy with something else, and latencies tell about that.
RATE_MIN_SHARE = 0.95
SECONDS = 10
SOCKETS = 1_000
FOLLOW = """
subscription ($workspaceId: ID!) {
  changes(workspaceId: $workspaceId) { seq ... on Change { at } }
}"""
UPDATE = """
mutation ($id: ID!, $title: String!) { taskUpdate(id: $id, input: {title: $title}) { seq } }"""


async def main() -> None:
    """Prints the figures."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8_192, 8_192))
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: S103 - for PostgreSQL's user, where we are root
        server = Server(Path(folder))
        first = await asyncio.to_thread(started, server)
        server.stop()
        again = await asyncio.to_thread(started, server)
        print(f"ready after: {first:.2f} s on an empty folder, {again:.2f} s the next time")
        try:
            async with httpx.AsyncClient(timeout=30) as http:
                person = await Person.sign_up(server.url, http)
                await latency(person)
                await memory(person, server)
        finally:
            server.close()


def started(server: Server) -> float:
    """Returns the seconds until /readyz answers 200."""
    start = time.perf_counter()
    server.start()
    return time.perf_counter() - start


async def latency(person: Person) -> None:
    """Prints percentiles over all readers at a steady rate of changes."""
    task = (await person.create("Buy milk"))["id"]
    lags: list[float] = []
    total = CHANGES_PER_S * SECONDS

    async def read(socket: Socket) -> None:
        for _ in range(total):
            message = await socket.hear()
            now = datetime.now(UTC)
            change = message["payload"]["data"]["changes"]
            lags.append(1_000 * (now - datetime.fromisoformat(change["at"])).total_seconds())

    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(person.socket()) for _ in range(READERS)]
        for socket in sockets:
            await subscribe(socket, person.workspace)
        readers = [asyncio.create_task(read(socket)) for socket in sockets]
        start = time.perf_counter()
        writes = set()
        for number in range(total):
            await asyncio.sleep(max(0.0, start + number / CHANGES_PER_S - time.perf_counter()))
            writes.add(asyncio.create_task(person.ask(UPDATE, id=task, title=str(number))))
        await asyncio.gather(*writes)
        took = time.perf_counter() - start
        await asyncio.gather(*readers)
    print(figure(lags, total / took))


def figure(lags: list[float], reached_per_s: float) -> str:
    """Returns the line that tells the latency, or why there is none to tell."""
    if reached_per_s < RATE_MIN_SHARE * CHANGES_PER_S:
        return (
            f"commit to subscriber: no figure, for only {reached_per_s:.0f} of {CHANGES_PER_S}"
            " changes/s were reached; run it on a quiet machine"
        )
    p50, p99 = (statistics.quantiles(lags, n=100)[at] for at in (49, 98))
    return (
        f"commit to subscriber, {reached_per_s:.0f} changes/s to {READERS} readers:"
        f" p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )


async def memory(person: Person, server: Server) -> None:
    """Prints what an idle socket with a subscription costs the server."""
    async with AsyncExitStack() as stack:
        before = resident_kib(server.pid)
        # One person may hold a hundred.
        people = [await Person.sign_up(person.url, person.http) for _ in range(SOCKETS // 50)]
        base = resident_kib(server.pid)
        for somebody in people:
            for _ in range(50):
                socket = await stack.enter_async_context(somebody.socket())
                await subscribe(socket, somebody.workspace)
        now = resident_kib(server.pid)
    print(
        f"{SOCKETS} idle sockets: {(now - base) / SOCKETS:.0f} KiB each,"
        f" {now / 1_024:.0f} MiB in all (before: {before / 1_024:.0f} MiB)"
    )


async def subscribe(socket: Socket, workspace: str) -> None:
    """Follows from now on; returns once the stream is live."""
    payload = {"query": FOLLOW, "variables": {"workspaceId": workspace}}
    await socket.say(type="subscribe", id="1", payload=payload)
    message = await socket.hear()
    assert "seq" in message["payload"]["data"]["changes"], json.dumps(message)


def resident_kib(pid: int) -> int:
    """Returns the process's resident memory."""
    for row in Path(f"/proc/{pid}/status").read_text().splitlines():
        if row.startswith("VmRSS:"):
            return int(row.split()[1])
    raise LookupError(pid)


if __name__ == "__main__":
    asyncio.run(main())
