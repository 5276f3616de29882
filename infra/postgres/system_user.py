"""The system user that PostgreSQL runs as when Carillon runs as root, which PostgreSQL refuses."""

import logging
import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

log = logging.getLogger(__name__)

NAME = "carillon"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemUser:
    """An account of the machine with its primary group; PostgreSQL gets no other."""

    name: str
    uid: int
    gid: int


class ChildOptions(TypedDict):
    """What `subprocess` is told about the account that a child runs as."""

    env: dict[str, str]
    umask: int
    user: NotRequired[int]
    group: NotRequired[int]
    extra_groups: NotRequired[list[int]]


def as_user(user: SystemUser | None) -> ChildOptions:
    """Returns the options that run a child as `user`, or as the caller where that is None."""
    # No PG* variable of the caller may reach the server.
    options: ChildOptions = {"env": {"LC_ALL": "C", "TZ": "UTC"}, "umask": 0o077}
    if user is not None:
        options |= {"user": user.uid, "group": user.gid, "extra_groups": []}
    return options


def system_user(cluster: Path) -> SystemUser | None:
    """Returns who must run PostgreSQL, or None where that is the caller itself.

    An existing cluster belongs to its owner; a new one to `carillon`, else to an existing
    `postgres`; where there is neither, `carillon` is created.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat().st_uid) != 0:
        return _described(pwd.getpwuid(owner))
    entry = _find(NAME) or _find("postgres") or _create()
    return _described(entry)


def barrier(user: SystemUser, path: Path) -> Path | None:
    """Returns the outermost folder above `path` that `user` may not pass through, if any."""
    for folder in reversed(path.parents):
        if not folder.exists():
            break
        mode = folder.stat()
        if mode.st_uid == user.uid:
            bit = stat.S_IXUSR
        elif mode.st_gid == user.gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not mode.st_mode & bit:
            return folder
    return None


def can_run(user: SystemUser, program: Path) -> bool:
    """Tells whether `user` can run the program, which takes `--version`."""
    try:
        done = subprocess.run(  # noqa: S603 - our own binary
            [str(program), "--version"], capture_output=True, check=False, **as_user(user)
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create() -> pwd.struct_passwd:
    subprocess.run(  # noqa: S603 - constant arguments
        ["/usr/sbin/useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME],
        check=True,
        capture_output=True,
    )
    log.info("postgres.user_created", extra={"user": NAME})
    return pwd.getpwnam(NAME)


def _described(entry: pwd.struct_passwd) -> SystemUser:
    return SystemUser(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
