"""The authority that tells sidecars apart: by its certificates they know who calls."""

from pathlib import Path

from cluster.health import answering
from cluster.parts import DAPR
from cluster.processes import Program, free_ports

START_MAX_S = 30.0
STOP_MAX_S = 5.0
# What access control in kustomize/components/dapr/config.yaml calls the callers' domain.
TRUST_DOMAIN = "public"


class Sentry:
    """Dapr's certificate authority on the loopback; sidecars need it when they start.

    Args of the constructor:
        folder: its own, which keeps its keys over a restart; made where missing.
        config: the Configuration that sidecars load, too.
    """

    def __init__(self, folder: Path, *, config: Path) -> None:
        port, health, metrics = free_ports(3)
        self.address = f"127.0.0.1:{port}"
        self._health = f"http://127.0.0.1:{health}/healthz"
        self._credentials = folder / "credentials"
        self._credentials.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [
            *(str(DAPR.found() / "sentry"), "--config", str(config)),
            *("--port", str(port), "--listen-address", "127.0.0.1"),
            *("--healthz-port", str(health), "--healthz-listen-address", "127.0.0.1"),
            *("--metrics-port", str(metrics), "--metrics-listen-address", "127.0.0.1"),
            *("--issuer-credentials", str(self._credentials), "--trust-domain", TRUST_DOMAIN),
        ]
        self._program = Program("sentry", command, folder=folder, env={})

    @property
    def anchors(self) -> str:
        """The certificates that sidecars trust, once it has started."""
        return (self._credentials / "ca.crt").read_text()

    @property
    def pid(self) -> int:
        """Of the running authority."""
        return self._program.pid

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._program.is_running()

    async def start(self) -> None:
        """Returns once it signs.

        Raises:
            StartFailed: with its last words.
        """
        async with answering(self._health, 200) as answers:
            await self._program.start(answers, within=START_MAX_S)

    async def stop(self) -> None:
        """Ends it in good order; nothing, when it does not run."""
        await self._program.stop(within=STOP_MAX_S)
