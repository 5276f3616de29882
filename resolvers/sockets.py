"""Every open socket and event stream of this process: how many, whose, and when they must close."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.access import Viewer
from domain.ids import SessionId, UserId, WorkspaceId
from resolvers.hub import Hub

# Close codes beyond the protocol's own: RFC 6455, section 7.4, and its registry.
RESTART = (1012, "Service restart")
FULL = (1013, "Try again later")
FORBIDDEN = (4403, "Forbidden")
# Not 1013: a program that leaks sockets must stop, and clients take 4429 for final.
TOO_MANY = (4429, "Too many sockets of this user")

# How long a stop waits for sockets to be gone; what is left then is cut off by the server.
STOP_WAIT_S = 5.0


class Connection(Protocol):
    """An open socket or event stream."""

    def shut(self, code: int, reason: str) -> None:
        """Closes it and ends its streams; the second time nothing happens."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process and one user may hold open."""

    # About 22 kB each while idle: 10,000 are 220 MB.
    sockets: int = 10_000
    # Tabs and programs of one person; each replica counts its own.
    sockets_a_user: int = 100

    @property
    def anonymous(self) -> int:
        """A tenth is for those without a token, and one address has no more before it signs in."""
        return max(1, self.sockets // 10)


class Sockets:
    """The open connections; also what the poll of revocations watches.

    One that nobody has signed in on is counted by its address, since nobody answers for it.
    """

    def __init__(self, hub: Hub, limits: Limits) -> None:
        self.hub = hub
        self._limits = limits
        self._open: dict[Connection, Viewer | None] = {}
        self._users: Counter[UserId] = Counter()
        self._addresses: dict[Connection, str] = {}
        self._unknown: Counter[str] = Counter()
        self._anonymous: set[Connection] = set()
        self._stopping = False
        self._empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def refusal(self, address: str) -> tuple[int, str] | None:
        """Returns why that address may open no connection now."""
        if self._stopping:
            return RESTART
        full = len(self._open) >= self._limits.sockets
        return FULL if full or self._unknown[address] >= self._limits.anonymous else None

    def enter(self, connection: Connection, address: str) -> None:
        """Counts a connection whose user is not known yet."""
        self._open[connection] = None
        self._addresses[connection] = address
        self._unknown[address] += 1

    def identify(self, connection: Connection, viewer: Viewer) -> tuple[int, str] | None:
        """Learns whose connection it is; returns why it must be closed."""
        if self._users[viewer.user] >= self._limits.sockets_a_user:
            return TOO_MANY
        self._users[viewer.user] += 1
        self._open[connection] = viewer
        self._known(connection)
        return None

    def stay_unknown(self, connection: Connection) -> tuple[int, str] | None:
        """Learns that nobody signs in on a connection; returns why it must be closed."""
        if len(self._anonymous) >= self._limits.anonymous:
            return FULL
        self._anonymous.add(connection)
        return None

    def leave(self, connection: Connection) -> None:
        """Forgets a connection."""
        self._known(connection)
        self._anonymous.discard(connection)
        viewer = self._open.pop(connection, None)
        if viewer is not None:
            self._users[viewer.user] -= 1
            if not self._users[viewer.user]:
                del self._users[viewer.user]
        if not self._open:
            self._empty.set()

    def _known(self, connection: Connection) -> None:
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._unknown[address] -= 1
            if not self._unknown[address]:
                del self._unknown[address]

    def memberships(self) -> Collection[tuple[UserId, WorkspaceId]]:
        """Returns who listens to which workspace."""
        return self.hub.memberships()

    def lost(self, memberships: Collection[tuple[UserId, WorkspaceId]]) -> None:
        """Ends the streams of those who are no members any more."""
        self.hub.lost(memberships)

    def sweep(self, now: datetime, is_revoked: Callable[[SessionId], bool]) -> None:
        """Closes what belongs to an expired token or a revoked session."""
        for connection, viewer in list(self._open.items()):
            if viewer is not None and (viewer.expires_at <= now or is_revoked(viewer.session)):
                connection.shut(*FORBIDDEN)

    async def stop(self) -> None:
        """Closes everything and ends all streams; call it before the server stops serving."""
        self._stopping = True
        for connection in list(self._open):
            connection.shut(*RESTART)
        await self.hub.stop()
        if self._open:
            self._empty.clear()
            try:
                async with asyncio.timeout(STOP_WAIT_S):
                    await self._empty.wait()
            except TimeoutError:
                return
