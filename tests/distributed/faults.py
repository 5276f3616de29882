"""Faults, as they come: drawn from a seed, so that a run that failed can be run again."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

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
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            **{f"kill {name}": self._killer(name) for name in system.parts},
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
        """Does one; its end may lie later than this returns."""
        await self._kinds[kind]()
        self.done[kind] += 1

    def _killer(self, name: str) -> Callable[[], Awaitable[None]]:
        async def kill() -> None:
            part = self._system.parts[name]
            if part.is_running():
                await part.kill()

        return kill

    def _cutter(self, name: str) -> Callable[[], Awaitable[None]]:
        return self._proxies[name].cut

    def _slower(self, name: str) -> Callable[[], Awaitable[None]]:
        async def slow() -> None:
            self._proxies[name].slow(self._random.uniform(0.01, 0.2))
            await asyncio.sleep(LASTS_S)
            await self._proxies[name].restore()

        return slow

    def _refuser(self, name: str) -> Callable[[], Awaitable[None]]:
        async def refuse() -> None:
            await self._proxies[name].refuse()
            await asyncio.sleep(LASTS_S)
            await self._proxies[name].restore()

        return refuse

    def _kafka_restarter(self, how: str) -> Callable[[], Awaitable[None]]:
        async def restart() -> None:
            await (self._kafka.kill() if how == "kill" else self._kafka.stop())
            await asyncio.sleep(LASTS_S)
            await self._kafka.start()

        return restart

    async def _lose_connections(self) -> None:
        await self._connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5"""
        )

    async def _deliver_again(self) -> None:
        """Hands old events to the worker, shuffled, as a broker does that rebalances."""
        topic, path = next(iter(RECURRENCE.subscriptions.items()))
        bodies = (await scanner.bodies(self._kafka.servers, topic))[-60:]
        some = self._random.choices(bodies, k=min(20, len(bodies)))
        headers = {TOKEN_HEADER: self._system.resources.app_token}
        url = self._system.processes["recorder-1"].url + path
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            for body in some:
                try:
                    await http.post(url, content=body, headers=headers)
                except httpx.TransportError:
                    # The worker is down: such deliveries come to nothing.
                    return

    async def _publish_junk(self) -> None:
        """Puts onto the topic what is no event of ours."""
        producer = AIOKafkaProducer(bootstrap_servers=self._kafka.servers)
        await producer.start()
        try:
            topic = next(iter(RECURRENCE.subscriptions))
            self.junk += 1
            body = b'{"specversion": "1.0", "id": "junk-%d", "source": "/x", "type": "x"}'
            await producer.send_and_wait(topic, body % self.junk)
        finally:
            await producer.stop()


# A restart takes seconds, a cut none: for 200 faults in minutes, most have to be of the latter.
_WEIGHTS = {"cut": 24, "slow": 6, "refuse": 6, "lose": 24, "deliver": 24, "publish": 10, "stop": 2}
