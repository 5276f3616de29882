"""Who may see what, read fresh. Implements domain.ports.Access."""

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol

from domain.ids import SessionId, UserId, WorkspaceId
from domain.ports import Clock
from domain.workspaces import Role
from infra.postgres.lanes import Lanes

log = logging.getLogger(__name__)

# A stream ends within 1 s of a revocation: two polls and what they cost.
POLL_S = 0.5
# A statement that takes longer hangs on a connection that is gone.
READ_TIMEOUT_S = 5.0
# A revocation carries its writer's clock and becomes visible at its commit; both lie behind.
OVERLAP = timedelta(seconds=60)

_ROLE = "SELECT role FROM member WHERE user_id = $1 AND workspace_id = $2"
_REVOKED = "SELECT id, revoked_at FROM session WHERE revoked_at > $1"
_LOST = """
SELECT p.user_id, p.workspace_id FROM unnest($1::uuid[], $2::uuid[]) AS p(user_id, workspace_id)
WHERE NOT EXISTS (SELECT 1 FROM member m
                  WHERE m.user_id = p.user_id AND m.workspace_id = p.workspace_id)"""

Membership = tuple[UserId, WorkspaceId]


class PostgresAccess:
    """Reads memberships."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    async def role(self, user: UserId, workspace: WorkspaceId) -> Role | None:
        """See `Access.role`."""
        if user == workspace:
            # Their own stream, which is nobody else's.
            return Role.OWNER
        role = await self._lanes.fetchval(_ROLE, user, workspace)
        return None if role is None else Role(role)


class Watched(Protocol):
    """The open sockets and streams of this process."""

    def memberships(self) -> Collection[Membership]:
        """Returns who listens to which workspace."""
        ...

    def lost(self, memberships: Collection[Membership]) -> None:
        """Learns who is no member any more; their streams ask once more, then end."""
        ...

    def sweep(self, now: datetime, is_revoked: Callable[[SessionId], bool]) -> None:
        """Closes what belongs to an expired token or a revoked session."""
        ...


class AccessPoll:
    """Keeps the revoked sessions whose tokens are still unexpired, and tells who must leave."""

    def __init__(self, lanes: Lanes, clock: Clock, *, token_lifetime: timedelta) -> None:
        self._lanes = lanes
        self._clock = clock
        self._lifetime = token_lifetime
        self._revoked: dict[SessionId, datetime] = {}
        self._known_until: datetime | None = None

    def is_revoked(self, session: SessionId) -> bool:
        """Tells whether an unexpired token of this session must be refused."""
        return session in self._revoked

    def revoke(self, session: SessionId) -> None:
        """Learns of a revocation in this process without waiting for the next poll."""
        self._revoked[session] = self._clock.now()

    async def step(self, watched: Watched) -> None:
        """Reads what was revoked since the last step; await one before serving anybody."""
        await self._read_revoked()
        watched.sweep(self._clock.now(), self.is_revoked)
        memberships = [pair for pair in watched.memberships() if pair[0] != pair[1]]
        if memberships:
            users, workspaces = zip(*memberships, strict=True)
            rows = await self._lanes.fetch(_LOST, users, workspaces)
            watched.lost([(row["user_id"], row["workspace_id"]) for row in rows])

    async def run(self, watched: Watched) -> None:
        """Works until cancelled; an outage delays what needs the database, never expiry."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._expire(watched))
            group.create_task(self._poll(watched))

    async def _expire(self, watched: Watched) -> None:
        while True:
            watched.sweep(self._clock.now(), self.is_revoked)
            await asyncio.sleep(POLL_S)

    async def _poll(self, watched: Watched) -> None:
        away = False
        while True:
            try:  # the loop of a worker: whatever happens, it goes on
                async with asyncio.timeout(READ_TIMEOUT_S):
                    await self.step(watched)
            except Exception as error:
                if not away:
                    log.warning("access.poll_failed", exc_info=error)
                away = True
            else:
                if away:
                    log.info("access.poll_recovered")
                away = False
            await asyncio.sleep(POLL_S)

    async def _read_revoked(self) -> None:
        now = self._clock.now()
        oldest = now - self._lifetime - OVERLAP
        since = oldest if self._known_until is None else self._known_until - OVERLAP
        rows = await self._lanes.fetch(_REVOKED, since)
        self._known_until = now
        self._revoked.update((SessionId(row["id"]), row["revoked_at"]) for row in rows)
        for session in [s for s, at in self._revoked.items() if at < oldest]:
            del self._revoked[session]
