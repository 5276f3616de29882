"""The sidecar's state store by plain HTTP and by the SDK's gRPC, in turns: CPU and latency.

The reason why `infra/dapr` speaks HTTP; the SDK is a dependency of this file only.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from bench.distributed import started
from infra.dapr.sidecar import Sidecar
from infra.dapr.state import DaprStateStore
from workers.routes import STATE_STORE

OPERATIONS = 500
ROUNDS = 3
VALUE = "v" * 500

Work = Callable[[str], Awaitable[object]]


async def main() -> None:
    """Prints the figures."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carillon-bench-")))
        os.chmod(folder, 0o711)  # noqa: S103 - for PostgreSQL's user, where we are root
        system, _, _ = await started(stack, folder)
        daprd = system.sidecars["api-1"]
        token = system.resources.api_token
        sidecar = await stack.enter_async_context(Sidecar(daprd.url, api_token=token))
        store = DaprStateStore(sidecar, STATE_STORE)
        sdk = await _sdk(stack, daprd.ports.http, daprd.ports.grpc, token)

        async def by_http(key: str) -> object:
            await store.put(key, VALUE, timedelta(hours=1))
            return await store.get(key)

        pairs = [(await cost(by_http), await cost(sdk)) for _ in range(ROUNDS)]
        for name, index in (("latency ms", 0), ("CPU ms", 1)):
            ours, theirs = (statistics.median(one[side][index] for one in pairs) for side in (0, 1))
            ratio = statistics.median(one[1][index] / one[0][index] for one in pairs)
            print(f"put and get, {name}: HTTP {ours:.2f}, SDK {theirs:.2f}, ratio {ratio:.2f}")


async def cost(work: Work) -> tuple[float, float]:
    """Returns the median latency and the CPU of one put and get, in milliseconds."""
    took = []
    cpu = time.process_time()
    for number in range(OPERATIONS):
        start = time.perf_counter()
        await work(f"bench-{number}")
        took.append(1_000 * (time.perf_counter() - start))
    return statistics.median(took), 1_000 * (time.process_time() - cpu) / OPERATIONS


async def _sdk(stack: AsyncExitStack, http: int, grpc: int, token: str) -> Work:
    environment = os.environ  # noqa: TID251 - where the SDK looks
    environment |= {"DAPR_API_TOKEN": token, "DAPR_HTTP_PORT": str(http)}
    from dapr.aio.clients import DaprClient  # noqa: PLC0415 - reads the environment

    client = DaprClient(f"127.0.0.1:{grpc}")
    stack.push_async_callback(client.close)

    async def work(key: str) -> object:
        await client.save_state(STATE_STORE, key, VALUE, state_metadata={"ttlInSeconds": "3600"})
        return (await client.get_state(STATE_STORE, key)).data

    return work


if __name__ == "__main__":
    asyncio.run(main())
