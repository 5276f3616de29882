"""A cache folder of whole things: what is in it was finished, by whichever checkout came first."""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import platformdirs

# 12 hex digits: no two versions of a lock file will meet in one user's cache.
KEY_DIGITS = 12


def cached(name: str, keyed_by: Iterable[Path]) -> Path:
    """Returns the folder of a thing whose content follows from these files; it need not exist."""
    digest = hashlib.sha256()
    for path in keyed_by:
        digest.update(path.read_bytes())
    key = digest.hexdigest()[:KEY_DIGITS]
    return platformdirs.user_cache_path("carillon") / f"{name}-{key}"


def once(folder: Path, make: Callable[[Path], None]) -> None:
    """Makes the folder where it is missing.

    Two that come at once make it one time: the second waits. One that is killed half-way leaves
    only a folder of another name, which the next removes.

    Args:
        folder: of `cached`.
        make: fills an empty folder, or raises.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return
        for left in folder.parent.glob(f"{folder.name}.new-*"):
            shutil.rmtree(left)
        new = Path(tempfile.mkdtemp(prefix=f"{folder.name}.new-", dir=folder.parent))
        make(new)
        new.rename(folder)
