"""Servers that operators have instead of ours: PostgreSQL of a distribution, PgBouncer before it.

Both refuse to run as root; then they run as the account that our own PostgreSQL has.
"""

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.parts import PGBOUNCER, PartMissing
from cluster.processes import Program, StartFailed, free_ports
from infra.postgres.data_folder import pid_file
from infra.postgres.system_user import system_user

# Where Debian and its kin keep each release's programs.
RELEASES = Path("/usr/lib/postgresql")
OLDEST = 15
NAME = "carillon"
START_MAX_S = 30.0
STOP_MAX_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """An authority, and a server's certificate for the loopback with its key; PEM files."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def made(cls, folder: Path) -> "Certificates":
        """Makes them by openssl; the folder is theirs.

        Raises:
            PartMissing: there is no openssl.
        """
        new = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        made = cls(
            authority=folder / "ca.pem",
            certificate=folder / "server.pem",
            key=folder / "server.key",
        )
        ours, its = ("-keyout", "ca.key", "-out", "ca.pem"), ("-keyout", "server.key")
        try:
            for words in (
                (*ours, "-subj", "/CN=tests", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
                (
                    *(*its, "-out", "server.pem", "-subj", "/CN=localhost"),
                    *("-CA", "ca.pem", "-CAkey", "ca.key"),
                    *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
                ),
            ):
                command = [*new, "-nodes", "-days", "2", *words]
                subprocess.run(command, cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            raise PartMissing("Certificates for tests need openssl") from None
        return made


class Postgres:
    """A server of the oldest supported release that the machine has, by TLS and password only."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self._programs = _oldest()
        self._folder = folder
        self._certificates = certificates
        (self.port,) = free_ports(1)
        self.release = int(self._programs.parent.name)
        self.password = "a?b/c d"  # noqa: S105 - a URL has to quote it
        folder.mkdir(mode=0o711, parents=True)
        command = [
            *(str(self._programs / "postgres"), "-D", str(folder / "cluster")),
            *(word for pair in self._settings().items() for word in ("-c", "=".join(pair))),
        ]
        self._program = Program(
            "postgres", _as_servers_user(command), folder=folder, env={"LC_ALL": "C"}
        )

    async def start(self) -> None:
        """Returns once it lets people in.

        Raises:
            StartFailed: with its last words.
        """
        await asyncio.to_thread(self._create)
        await self._program.start(self._is_ready, within=START_MAX_S)

    async def stop(self) -> None:
        """Ends it."""
        await self._program.stop(within=STOP_MAX_S)

    async def _is_ready(self) -> bool:
        # As pg_ctl does: it listens before it lets anybody in.
        return pid_file(self._folder / "cluster")[7:8] == ["ready"]

    def _create(self) -> None:
        password = self._folder / "password"
        password.write_text(self.password)
        for path in (self._folder, password, self._certificates.key):
            _give(path)
        self._certificates.key.chmod(0o600)
        command = [
            *(str(self._programs / "initdb"), "-D", str(self._folder / "cluster"), "-U", NAME),
            *("--auth-local=reject", "--auth-host=scram-sha-256", f"--pwfile={password}"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
        ]
        done = subprocess.run(
            _as_servers_user(command), cwd=self._folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise StartFailed(f"initdb failed:\n{done.stdout}{done.stderr}")
        # Whoever comes without TLS is refused, as by providers.
        (self._folder / "cluster/pg_hba.conf").write_text(
            "hostssl all all 127.0.0.1/32 scram-sha-256\n"
        )

    def _settings(self) -> Mapping[str, str]:
        return {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": str(self._certificates.certificate),
            "ssl_key_file": str(self._certificates.key),
            "fsync": "off",
        }


class Pooler:
    """PgBouncer in transaction mode on the loopback.

    Args of the constructor:
        folder: its own.
        to: where each database is, in its words: `host=... port=... user=...`.
        settings: beside or instead of ours.
    """

    def __init__(self, folder: Path, to: str, settings: Mapping[str, str] | None = None) -> None:
        programs = PGBOUNCER.found()
        (self.port,) = free_ports(1)
        folder.mkdir(mode=0o711, parents=True)
        ini = folder / "pgbouncer.ini"
        merged = {**self._settings(), **(settings or {})}
        ini.write_text(
            "\n".join(
                [
                    f"[databases]\n* = {to}\n[pgbouncer]",
                    *(" = ".join(one) for one in merged.items()),
                ]
            )
        )
        _give(ini)
        self._program = Program(
            "pgbouncer",
            _as_servers_user([str(programs / "pgbouncer"), str(ini)]),
            folder=folder,
            env={"LD_LIBRARY_PATH": str(programs / "lib")},
        )

    async def start(self) -> None:
        """Returns once it listens.

        Raises:
            StartFailed: with its last words.
        """
        await self._program.start(lambda: _listens(self.port), within=START_MAX_S)

    async def stop(self) -> None:
        """Ends it."""
        await self._program.stop(within=STOP_MAX_S)

    def _settings(self) -> Mapping[str, str]:
        return {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            # Fewer than our lanes: a transaction seldom gets the connection that the last one had.
            "default_pool_size": "4",
            "max_client_conn": "200",
        }


def _oldest() -> Path:
    releases = sorted(int(one.name) for one in RELEASES.glob("*") if one.name.isdecimal())
    for release in releases:
        if release >= OLDEST and (RELEASES / f"{release}/bin/initdb").exists():
            return RELEASES / f"{release}/bin"
    raise PartMissing(f"There is no PostgreSQL {OLDEST} or newer in {RELEASES}")


def _as_servers_user(command: Sequence[str]) -> list[str]:
    user = system_user(Path("none"))
    if user is None:
        return list(command)
    # With the uid the kernel forgets that it shall end with its parent.
    change = ("setpriv", "--reuid", str(user.uid), "--regid", str(user.gid), "--clear-groups")
    return [*change, "--pdeathsig", "KILL", *command]


def _give(path: Path) -> None:
    user = system_user(Path("none"))
    if user is not None:
        os.chown(path, user.uid, user.gid)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
