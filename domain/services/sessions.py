"""Sessions: the tokens that stand for one, and who it is that sends them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from domain.access import Viewer
from domain.accounts import Session
from domain.errors import Unauthenticated
from domain.ids import SessionId, UserId
from domain.ports import Clock


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What authenticates requests until `expires_at`."""

    text: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """An open session: its tokens, shown once."""

    user: UserId
    session: SessionId
    access: AccessToken
    refresh_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long an access token is valid, and a session that nobody refreshes."""

    access: timedelta
    session: timedelta


class Tokens(Protocol):
    """Signed access tokens."""

    def issue(self, viewer: Viewer, at: datetime) -> AccessToken:
        """Returns a token that says who the viewer is, valid until the viewer's `expires_at`."""
        ...

    def read(self, token: str, at: datetime) -> Viewer:
        """Returns who the token was issued to.

        Raises:
            Unauthenticated: the token was not signed by us, says too little, or is expired.
        """
        ...

    def following(self, refresh_token: str) -> str:
        """Returns a secret that nobody without our key can tell: for one token always the same."""
        ...


# Verifying a signature costs more than reading a task; a token comes thousands of times.
KNOWN_TOKENS_MAX = 10_000


class Authenticator:
    """Tells who sends a token, without asking the database, and verifies it only the first time."""

    def __init__(
        self, tokens: Tokens, clock: Clock, is_revoked: Callable[[SessionId], bool]
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._is_revoked = is_revoked
        self._known: dict[str, Viewer] = {}

    async def authenticate(self, token: str) -> Viewer:
        """Returns whom the token stands for.

        Raises:
            Unauthenticated: the token is not ours or expired, or its session was revoked.
        """
        now = self._clock.now()
        viewer = self._known.get(token)
        if viewer is None or viewer.expires_at <= now:
            viewer = self._tokens.read(token, now)
            self._remember(token, viewer)
        if self._is_revoked(viewer.session):
            raise Unauthenticated("The session was ended: sign in again.")
        return viewer

    def _remember(self, token: str, viewer: Viewer) -> None:
        if len(self._known) >= KNOWN_TOKENS_MAX:
            del self._known[next(iter(self._known))]
        self._known[token] = viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionIssuer:
    """Makes sessions and their tokens."""

    tokens: Tokens
    clock: Clock
    lifetimes: Lifetimes
    new_id: Callable[[], UUID]
    new_secret: Callable[[], str]

    def session(self, user: UserId, at: datetime) -> tuple[Session, str]:
        """Returns a new session of the user, and its refresh token."""
        secret = self.new_secret()
        session = Session(
            id=SessionId(self.new_id()),
            user_id=user,
            created_at=at,
            expires_at=at + self.lifetimes.session,
            refresh_digest=digest(secret),
        )
        return session, secret

    def following(self, refresh_token: str) -> str:
        """Returns the refresh token that replaces one; for tabs that ask at once, the same."""
        return f"{family(refresh_token)}.{self.tokens.following(refresh_token)}"

    def signed_in(self, session: Session, secret: str, at: datetime) -> SignedIn:
        """Returns the tokens of a session that is kept by now."""
        expires_at = min(at + self.lifetimes.access, session.expires_at)
        viewer = Viewer(user=session.user_id, session=session.id, expires_at=expires_at)
        return SignedIn(
            user=session.user_id,
            session=session.id,
            access=self.tokens.issue(viewer, at),
            refresh_token=secret,
        )


def family(refresh_token: str) -> str:
    """Returns the first refresh token of a session: it stands in front of those that follow it."""
    return refresh_token.partition(".")[0]


def digest(token: str) -> bytes:
    """Returns what is kept of a refresh token: SHA-256, for the token is random enough."""
    return hashlib.sha256(token.encode()).digest()
