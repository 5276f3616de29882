"""A Kafka of one node, KRaft, on the loopback, small enough to stand beside everything else."""

import asyncio
import base64
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError, for_code

from cluster.parts import KAFKA
from cluster.processes import Program, StartFailed, free_ports, guarded

HERE = Path(__file__).parent / "kafka"
# Two cores start it in 3 to 10 s; the rest is patience with a busy machine.
START_MAX_S = 90.0
STOP_MAX_S = 20.0
REQUEST_MAX_MS = 3_000
JAVA = (
    *("java", "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC"),
    # The second compiler costs more start than a test run ever wins back.
    *("-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"),
    # Counters for jps and jstat, in a folder that all JVMs of a user share.
    "-XX:-UsePerfData",
    f"-Dlog4j2.configurationFile={(HERE / 'log4j2.xml').as_uri()}",
)


class Kafka:
    """One broker on a folder, which keeps its data over stop, kill and start.

    Its ports are the object's: another object on the same folder has others, and the same data.

    Args of the constructor:
        folder: its own; made where missing.
        port: where clients reach it; a free one by default.
        doors: ports of proxies that lead to it. Kafka tells its clients where to connect to, so
            each proxy needs a listener of its own that names the proxy: `behind(door)`.
    """

    def __init__(self, folder: Path, port: int | None = None, *, doors: Sequence[int] = ()) -> None:
        own, controller, *behind = free_ports(2 + len(doors))
        self.port = port or own
        self.servers = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._controller = controller
        self._behind = dict(zip(doors, behind, strict=True))
        self._java = (*JAVA, f"-Djava.io.tmpdir={folder}", "-cp", f"{KAFKA.found()}/*")
        self._properties = folder / "server.properties"
        folder.mkdir(parents=True, exist_ok=True)
        command = [*self._java, "kafka.Kafka", str(self._properties)]
        self._program = Program("kafka", command, folder=folder, env={})

    def behind(self, door: int) -> int:
        """Returns the port that the proxy listening on `door` has to lead to."""
        return self._behind[door]

    @property
    def pid(self) -> int:
        """Of the running broker."""
        return self._program.pid

    @property
    def log(self) -> Path:
        """What it says."""
        return self._program.log

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._program.is_running()

    async def start(self) -> None:
        """Returns once it takes orders.

        Raises:
            StartFailed: with its last words.
        """
        if self._properties.exists():
            # Written by another object, which had other ports; they may be somebody else's by now.
            self._write().rename(self._properties)
        else:
            await self._format()
        await self._program.start(self._is_ready, within=START_MAX_S)

    async def stop(self) -> None:
        """Ends it in good order; nothing, when it does not run."""
        await self._program.stop(within=STOP_MAX_S)

    async def kill(self) -> None:
        """Ends it as a power cut would; nothing, when it does not run."""
        await self._program.kill()

    async def restart(self) -> None:
        """Ends it in good order and starts it again on the same port."""
        await self.stop()
        await self.start()

    async def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Makes the topics of these names, with so many partitions each.

        Raises:
            KafkaError: one exists already, or is refused.
        """
        wanted = [NewTopic(name, count, 1) for name, count in partitions.items()]
        async with self._admin() as admin:
            made = await admin.create_topics(wanted, timeout_ms=REQUEST_MAX_MS)
            _refuse(made.topic_errors)
            while not set(partitions) <= set(await admin.list_topics()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def grow(self, topic: str, partitions: int) -> None:
        """Gives a topic more partitions, `partitions` in all.

        Raises:
            KafkaError: it has as many already, or does not exist.
        """
        async with self._admin() as admin:
            grown = await admin.create_partitions(
                {topic: NewPartitions(partitions)}, timeout_ms=REQUEST_MAX_MS
            )
            _refuse(grown.topic_errors)

    async def topics(self) -> set[str]:
        """Returns the names of all topics."""
        async with self._admin() as admin:
            return set(await admin.list_topics())

    async def partitions(self, topic: str) -> int:
        """Returns how many partitions a topic has; 0 where there is none of the name."""
        async with self._admin() as admin:
            (found,) = await admin.describe_topics([topic])
            return len(found["partitions"])

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self.servers, request_timeout_ms=REQUEST_MAX_MS
        )
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()

    async def _is_ready(self) -> bool:
        # The port opens before the controller has a leader: only an answer counts.
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            async with self._admin() as admin:
                await admin.list_topics()
        except (KafkaError, OSError):
            return False
        return True

    async def _format(self) -> None:
        properties = self._write()
        # 16 random bytes; an id that began with a minus would be read as an option.
        cluster = "C" + base64.urlsafe_b64encode(uuid4().bytes).decode()[1:22]
        words = ("format", "--standalone", "--cluster-id", cluster, "--config", str(properties))
        done = await asyncio.to_thread(
            subprocess.run,
            guarded([*self._java, "kafka.tools.StorageTool", *words]),
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StartFailed(f"Kafka's storage could not be made:\n{done.stdout}{done.stderr}")
        properties.rename(self._properties)

    def _write(self) -> Path:
        properties = self._folder / "server.properties.new"
        properties.write_text(self._instance() + (HERE / "server.properties").read_text())
        return properties

    def _instance(self) -> str:
        named = {"PLAIN": self.port}
        named |= {f"BEHIND{door}": port for door, port in self._behind.items()}
        heard = ",".join(f"{name}://127.0.0.1:{port}" for name, port in named.items())
        told = [f"PLAIN://127.0.0.1:{self.port}"]
        told += [f"BEHIND{door}://127.0.0.1:{door}" for door in self._behind]
        protocols = ",".join(f"{name}:PLAINTEXT" for name in (*named, "CONTROLLER"))
        return (
            f"log.dirs={self._folder / 'data'}\n"
            f"controller.quorum.bootstrap.servers=127.0.0.1:{self._controller}\n"
            f"listeners={heard},CONTROLLER://127.0.0.1:{self._controller}\n"
            f"advertised.listeners={','.join(told)}\n"
            f"listener.security.protocol.map={protocols}\n\n"
        )


def _refuse(errors: Sequence[tuple[str, int, str | None]]) -> None:
    for topic, code, message in errors:
        if code != 0:
            raise for_code(code)(f"{topic}: {message}")
