"""Faults, as they come: drawn from a seed, so that a run that failed can be run again.

What is counted has hit something: a process that ran, connections that were open, a worker that
answered. A fault whose target is down at the time waits until it is up again.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeAlias

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer

from cluster.broker import Kafka
from cluster.proxy import Proxy
from cluster.system import System
from tests.distributed import scanner
from workers.app import TOKEN_HEADER
from workers.routes import RECURRENCE

# How long a fault lasts that does not end by itself.
LASTS_S = 0.6
# How long a fault's target may take to come up; a daprd and its app need some seconds.
TARGET_MAX_S = 90.0
# As long as a sidecar waits for an answer.
DELIVER_MAX_S = 5.0
# Does a fault, and tells whether it hit anything.
Fault: TypeAlias = Callable[[], Awaitable[bool]]


class Injector:
    """Does one fault after the other, each to the running system."""

    def __init__(
        self,
        random: Random,
        system: System,
        kafka: Kafka,
        proxies: dict[str, Proxy],
        connection: asyncpg.Connection,
    ) -> None:
        self.done: Counter[str] = Counter()
        self.junk = 0
        self._random = random
        self._system = system
        self._kafka = kafka
        self._proxies = proxies
        self._connection = connection
        self._kinds: dict[str, Fault] = {
            **{f"kill {name}": self._killer(name) for name in system.parts},
            **{f"ask {name} to stop": self._stopper(name) for name in system.processes},
            **{f"cut {name}": self._cutter(name) for name in proxies},
            **{f"slow {name}": self._slower(name) for name in proxies},
            **{f"refuse {name}": self._refuser(name) for name in proxies},
            "lose database connections": self._lose_connections,
            "deliver again, out of order": self._deliver_again,
            "publish junk": self._publish_junk,
            "kill kafka": self._kafka_restarter("kill"),
            "stop kafka": self._kafka_restarter("stop"),
        }

    def draw(self, count: int) -> list[str]:
        """Returns the kinds of a round: mostly those that take no time, each of them sometimes."""
        weights = [_WEIGHTS.get(kind.split()[0], 4) for kind in self._kinds]
        return self._random.choices(list(self._kinds), weights, k=count)

    async def inject(self, kind: str) -> None:
        """Does one, once there is something to hit; its end may lie later than this returns."""
        give_up = time.monotonic() + TARGET_MAX_S
        while not await self._kinds[kind]():
            assert time.monotonic() < give_up, f"{kind}: nothing to hit"
            await asyncio.sleep(0.1)
        self.done[kind] += 1

    def _killer(self, name: str) -> Fault:
        async def kill() -> bool:
            part = self._system.parts[name]
            hits = part.is_running()
            await part.kill()
            return hits

        return kill

    def _stopper(self, name: str) -> Fault:
        async def stop() -> bool:
            process = self._system.processes[name]
            hits = process.is_running()
            await process.stop()
            return hits

        return stop

    def _cutter(self, name: str) -> Fault:
        async def cut(proxy: Proxy) -> None:
            await proxy.cut()

        return self._between(name, cut)

    def _slower(self, name: str) -> Fault:
        async def slow(proxy: Proxy) -> None:
            proxy.slow(self._random.uniform(0.01, 0.2))
            await asyncio.sleep(LASTS_S)
            await proxy.restore()

        return self._between(name, slow)

    def _refuser(self, name: str) -> Fault:
        async def refuse(proxy: Proxy) -> None:
            await proxy.refuse()
            await asyncio.sleep(LASTS_S)
            await proxy.restore()

        return self._between(name, refuse)

    def _between(self, name: str, fault: Callable[[Proxy], Awaitable[None]]) -> Fault:
        """Returns the fault of open connections; nothing is done while there are none."""

        async def hit() -> bool:
            proxy = self._proxies[name]
            if not proxy.connections:
                return False
            await fault(proxy)
            return True

        return hit

    def _kafka_restarter(self, how: str) -> Fault:
        async def restart() -> bool:
            await (self._kafka.kill() if how == "kill" else self._kafka.stop())
            await asyncio.sleep(LASTS_S)
            await self._kafka.start()
            return True

        return restart

    async def _lose_connections(self) -> bool:
        lost = await self._connection.fetch(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5"""
        )
        return bool(lost)

    async def _deliver_again(self) -> bool:
        """Hands old events to the worker, shuffled, as a broker does that rebalances."""
        topic, path = next(iter(RECURRENCE.subscriptions.items()))
        bodies = await scanner.bodies(self._kafka.servers, topic, last=5)
        some = self._random.choices(bodies, k=min(20, len(bodies)))
        headers = {TOKEN_HEADER: self._system.resources.app_token}
        url = self._system.processes["recorder-1"].url + path
        reached = 0
        async with httpx.AsyncClient(timeout=DELIVER_MAX_S, trust_env=False) as http:
            for body in some:
                try:
                    await http.post(url, content=body, headers=headers)
                except httpx.ReadTimeout:
                    # It works on what comes before this one; its sidecar would not wait either.
                    return True
                except httpx.TransportError:
                    break
                reached += 1
        return reached > 0

    async def _publish_junk(self) -> bool:
        """Puts onto the topic what is no event of ours."""
        producer = AIOKafkaProducer(bootstrap_servers=self._kafka.servers)
        await producer.start()
        try:
            topic = next(iter(RECURRENCE.subscriptions))
            self.junk += 1
            body = b'{"specversion": "1.0", "id": "junk-%d", "source": "/x", "type": "x"}'
            await producer.send_and_wait(topic, body % self.junk)
            return True
        finally:
            await producer.stop()


# A restart takes seconds, a cut none: for 200 faults in minutes, most have to be of the latter.
_WEIGHTS = {
    "cut": 18,
    "lose": 24,
    "deliver": 24,
    "publish": 10,
    "slow": 6,
    "refuse": 6,
    "stop": 2,
    "ask": 1,
}
