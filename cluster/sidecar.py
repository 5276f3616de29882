"""One daprd on the loopback, beside one app."""

from dataclasses import dataclass
from pathlib import Path

from cluster.documents import ROOT, read
from cluster.health import answering
from cluster.parts import DAPR
from cluster.processes import Program, free_ports
from cluster.resources import Resources
from cluster.sentry import TRUST_DOMAIN, Sentry
from workers.routes import HEALTH_PATH

# It begins within 2 s, or ends: it waits neither for a broker nor for a database that is away.
START_MAX_S = 60.0
# Longer than its own --dapr-graceful-shutdown-seconds.
STOP_MAX_S = 10.0
READY_MAX_S = 60.0
# Of every process on one machine, as access control calls it where no overlay says otherwise.
NAMESPACE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarPorts:
    """Where one daprd listens."""

    http: int
    grpc: int
    internal: int
    metrics: int

    @classmethod
    def free(cls) -> "SidecarPorts":
        """Returns ports that nobody listened on a moment ago."""
        http, grpc, internal, metrics = free_ports(4)
        return cls(http=http, grpc=grpc, internal=internal, metrics=metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """How a daprd asks whether its app is well; by default at a pace for tests."""

    interval_s: int = 1
    timeout_ms: int = 500
    threshold: int = 2

    @classmethod
    def of_the_cluster(cls) -> "Probes":
        """Returns what kustomize/components/dapr/sidecar.yaml says."""
        (patch,) = read(ROOT / "components" / "dapr" / "sidecar.yaml")
        notes = patch["spec"]["template"]["metadata"]["annotations"]
        return cls(
            interval_s=int(notes["dapr.io/app-health-probe-interval"]),
            timeout_ms=int(notes["dapr.io/app-health-probe-timeout"]),
            threshold=int(notes["dapr.io/app-health-threshold"]),
        )


_PROBES = Probes()


class Sidecar:
    """A daprd that can be stopped, killed and started again on the same ports.

    Args of the constructor:
        app_id: of `workers.routes`.
        app_port: where its app listens, sooner or later.
        folder: its own, for its log; made where missing.
        resources: what all sidecars of the machine share.
        sentry: who vouches for them; running when the sidecar is made and when it starts.
        probes: of the app's health.
    """

    def __init__(
        self,
        app_id: str,
        app_port: int,
        *,
        folder: Path,
        resources: Resources,
        sentry: Sentry,
        probes: Probes = _PROBES,
    ) -> None:
        self.app_id = app_id
        self.app_port = app_port
        self.ports = SidecarPorts.free()
        self.url = f"http://127.0.0.1:{self.ports.http}"
        self.api_token = resources.api_token
        folder.mkdir(parents=True, exist_ok=True)
        self._program = Program(
            f"daprd-{app_id}",
            self._command(resources, sentry, probes),
            folder=folder,
            env={
                # Else it looks for an address of another interface, and ends without one.
                "DAPR_HOST_IP": "127.0.0.1",
                "DAPR_API_TOKEN": resources.api_token,
                "APP_API_TOKEN": resources.app_token,
                "DAPR_TRUST_ANCHORS": sentry.anchors,
                "DAPR_CONTROLPLANE_NAMESPACE": NAMESPACE,
                "NAMESPACE": NAMESPACE,
            },
        )

    @property
    def pid(self) -> int:
        """Of the running daprd."""
        return self._program.pid

    @property
    def log(self) -> Path:
        """What it says."""
        return self._program.log

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._program.is_running()

    async def start(self) -> None:
        """Returns once an app can publish, read state and secrets; its app need not run yet.

        Raises:
            StartFailed: with its last words; as when broker or database do not answer.
        """
        async with answering(f"{self.url}/v1.0/healthz/outbound", 204) as answers:
            await self._program.start(answers, within=START_MAX_S)

    async def ready(self) -> None:
        """Returns once it delivers to its app, too.

        Raises:
            StartFailed: its app does not answer, or it ended; with its last words.
        """
        async with answering(f"{self.url}/v1.0/healthz", 204) as answers:
            await self._program.until(answers, within=READY_MAX_S)

    async def stop(self) -> None:
        """Ends it in good order; nothing, when it does not run."""
        await self._program.stop(within=STOP_MAX_S)

    async def kill(self) -> None:
        """Ends it as a power cut would; nothing, when it does not run."""
        await self._program.kill()

    def _command(self, resources: Resources, sentry: Sentry, probes: Probes) -> list[str]:
        ports = self.ports
        return [
            str(DAPR.found() / "daprd"),
            *("--app-id", self.app_id, "--app-port", str(self.app_port)),
            *("--dapr-http-port", str(ports.http), "--dapr-grpc-port", str(ports.grpc)),
            *("--dapr-internal-grpc-port", str(ports.internal)),
            *("--metrics-port", str(ports.metrics), "--metrics-listen-address", "127.0.0.1"),
            *("--dapr-listen-addresses", "127.0.0.1"),
            *("--dapr-internal-grpc-listen-address", "127.0.0.1"),
            *("--resources-path", str(resources.folder), "--config", str(resources.config)),
            *("--enable-mtls", "--sentry-address", sentry.address),
            *("--control-plane-trust-domain", TRUST_DOMAIN),
            *("--enable-app-health-check", "--app-health-check-path", HEALTH_PATH),
            *("--app-health-probe-interval", str(probes.interval_s)),
            *("--app-health-probe-timeout", str(probes.timeout_ms)),
            *("--app-health-threshold", str(probes.threshold)),
            *("--dapr-graceful-shutdown-seconds", "5"),
        ]
