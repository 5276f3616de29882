"""The parts that are not Python: Dapr from Go modules, Kafka by Maven, PgBouncer from Debian.

`make parts` gets them once into the cache; whoever only uses them asks `found`.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster.cache import cached, once
from cluster.processes import guarded

HERE = Path(__file__).parent


class PartMissing(Exception):
    """The part is not there; the message says what to install or to run."""


class PartFailed(Exception):
    """The tools are there, and yet could not make the part; the message ends with their words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something real that is made once from its lock files.

    Attributes:
        name: as people call it, with its version.
        cache_name: its folder's, in front of the key; another one, when `make` does something else.
        keyed_by: the files that decide its content.
        build_tools: programs that make it.
        run_tools: programs it cannot run without.
        installed: a program that, where the machine has it, makes the part needless.
        duration: how long making it takes, for whoever waits.
        make: fills the folder.
    """

    name: str
    cache_name: str
    keyed_by: tuple[Path, ...]
    build_tools: tuple[str, ...]
    run_tools: tuple[str, ...] = ()
    installed: str | None = None
    duration: str
    make: Callable[[Path], None]

    @property
    def folder(self) -> Path:
        """Where it is, or will be."""
        return cached(self.cache_name, self.keyed_by)

    def to_be_made(self) -> bool:
        """Returns whether it is not there yet.

        Raises:
            PartMissing: a tool that makes it or that it runs by is missing.
        """
        missing = self._on_machine() is None and not self.folder.exists()
        for tool in (*self.run_tools, *(self.build_tools if missing else ())):
            if shutil.which(tool) is None:
                raise PartMissing(f"{self.name} needs {TOOLS[tool]}")
        return missing

    def found(self) -> Path:
        """Returns its folder.

        Raises:
            PartMissing: it was not made yet, or cannot run here.
        """
        if self.to_be_made():
            raise PartMissing(f"{self.name} is not there yet: make parts")
        return self._on_machine() or self.folder

    def get(self) -> Path:
        """Returns its folder, made now where it is missing.

        Raises:
            PartMissing: a tool is missing.
            PartFailed: a tool failed.
        """
        if self.to_be_made():
            once(self.folder, self.make)
        return self._on_machine() or self.folder

    def _on_machine(self) -> Path | None:
        if self.installed is None:
            return None
        # Servers lie where not everybody looks.
        place = shutil.which(self.installed) or shutil.which(self.installed, path=SERVERS_PATH)
        return None if place is None else Path(place).parent


DPKG_STATUS = "/var/lib/dpkg/status"
SERVERS_PATH = "/usr/sbin:/usr/local/sbin"
TOOLS = {
    "apt-get": "to be installed, or Debian's apt-get, which fetches it",
    "dpkg": "to be installed, or Debian's dpkg, which unpacks it",
    "go": "Go 1.26 or newer (go.dev)",
    "mvn": "Maven (on Debian: apt-get install maven)",
    "java": "a Java runtime, 17 or newer (on Debian: apt-get install default-jre-headless)",
}
GO_MOD = HERE / "dapr" / "go.mod"
POM = HERE / "kafka" / "pom.xml"


def _version(path: Path, pattern: str) -> str:
    found = re.search(pattern, path.read_text())
    assert found is not None, f"{path} names no version"
    return found[1]


DAPR_VERSION = _version(GO_MOD, r"github\.com/dapr/dapr v(\S+)")
KAFKA_VERSION = _version(POM, r"<kafka>(.+)</kafka>")


def _build_dapr(folder: Path) -> None:
    """Dapr's own go.mod has `replace` lines, which `go install` refuses: ours repeats them."""
    _run(
        GO_MOD.parent,
        *("env", "CGO_ENABLED=0", "go", "build"),
        *("-trimpath", "-buildvcs=false", "-o", str(folder)),
        # `stablecomponents` lacks name resolution by sqlite, which one machine needs.
        *("-tags", "allcomponents"),
        *("-ldflags", f"-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={DAPR_VERSION}"),
        "github.com/dapr/dapr/cmd/daprd",
        "github.com/dapr/dapr/cmd/sentry",
    )


def _fetch_kafka(folder: Path) -> None:
    _run(
        folder,
        *("mvn", "--quiet", "--batch-mode", "--file", str(POM), "dependency:copy-dependencies"),
        *("-DincludeScope=runtime", f"-DoutputDirectory={folder}"),
    )


def _fetch_pgbouncer(folder: Path) -> None:
    """Unpacks Debian's package, and those of libraries that are missing; nobody's rights needed."""
    lists, packages, root = folder / "lists", folder / "packages", folder / "root"
    for made in (lists / "lists/partial", lists / "archives/partial", packages):
        made.mkdir(parents=True)
    # Lists of its own: a fresh machine has none, and old ones name packages that are gone.
    places = {"State": lists, "Cache": lists, "State::status": DPKG_STATUS}
    apt = ("apt-get", *(f"--option=Dir::{name}={place}" for name, place in places.items()))
    _run(folder, *apt, "update")
    simulated = _run(folder, *apt, "--simulate", "--no-install-recommends", "install", "pgbouncer")
    libraries = re.findall(r"^Inst (lib\S+) \(", simulated, re.MULTILINE)
    _run(packages, *apt, "download", "pgbouncer", *libraries)
    for package in packages.iterdir():
        _run(folder, "dpkg", "--extract", str(package), str(root))
    (root / "usr/sbin/pgbouncer").rename(folder / "pgbouncer")
    (folder / "lib").mkdir()
    for library in root.glob("**/lib/**/*.so.*"):
        library.rename(folder / "lib" / library.name)
    for made in (lists, packages, root):
        shutil.rmtree(made)


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(guarded(command), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-5:]
        raise PartFailed(
            "\n".join([f"not made, for its tool ended with {done.returncode}:", *words])
        )
    return done.stdout


DAPR = Part(
    name=f"Dapr {DAPR_VERSION}",
    cache_name="dapr",
    keyed_by=(GO_MOD, GO_MOD.with_name("go.sum")),
    build_tools=("go",),
    duration="about 10 minutes on two cores",
    make=_build_dapr,
)
KAFKA = Part(
    name=f"Kafka {KAFKA_VERSION}",
    cache_name="kafka",
    keyed_by=(POM,),
    build_tools=("mvn",),
    run_tools=("java",),
    duration="half a minute",
    make=_fetch_kafka,
)
# Libraries fit the release of the system that they were fetched for.
SYSTEM = Path("/etc/os-release")
PGBOUNCER = Part(
    name="PgBouncer",
    cache_name="pgbouncer",
    keyed_by=(SYSTEM,) if SYSTEM.exists() else (),
    build_tools=("apt-get", "dpkg"),
    installed="pgbouncer",
    duration="half a minute",
    make=_fetch_pgbouncer,
)
# What the distributed profile is made of.
PARTS = (DAPR, KAFKA)
