"""Access tokens: JWT (RFC 7519), signed by HS256. Implements domain.services.sessions.Tokens."""

import base64
import hmac
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from domain.access import Viewer
from domain.errors import Unauthenticated
from domain.ids import SessionId, UserId
from domain.services.sessions import AccessToken

ALGORITHM = "HS256"
ISSUER = "carillon"
AUDIENCE = "carillon-api"
# RFC 7518, 3.2: a key at least as long as the hash.
KEY_MIN_BYTES = 32
# Ours have 330 characters; a longer text is refused before anything is computed.
TOKEN_MAX_CHARS = 1_024
# How far the clocks of two replicas may lie apart.
SKEW = timedelta(seconds=30)

_CLAIMS = ["iss", "aud", "sub", "sid", "iat", "exp"]


class JwtTokens:
    """Issues and reads tokens with one key, which all replicas share."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_MIN_BYTES:
            raise ValueError(f"The key that signs tokens needs at least {KEY_MIN_BYTES} bytes.")
        self._key = key

    def issue(self, viewer: Viewer, at: datetime) -> AccessToken:
        """See `Tokens.issue`. Claims count whole seconds, so the end is rounded down."""
        expires_at = viewer.expires_at.replace(microsecond=0)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(viewer.user),
            "sid": str(viewer.session),
            "iat": int(at.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        return AccessToken(jwt.encode(claims, self._key, ALGORITHM), expires_at)

    def read(self, token: str, at: datetime) -> Viewer:
        """See `Tokens.read`."""
        if len(token) > TOKEN_MAX_CHARS:
            raise Unauthenticated("The access token is not valid: sign in.")
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                # PyJWT would read the machine's clock: the times are compared below.
                options={
                    "require": _CLAIMS,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            issued_at = datetime.fromtimestamp(claims["iat"], UTC)
            viewer = Viewer(
                user=UserId(UUID(str(claims["sub"]))),
                session=SessionId(UUID(str(claims["sid"]))),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            )
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, OSError) as error:
            # Whoever forged or cut it learns nothing about where it failed.
            raise Unauthenticated("The access token is not valid: sign in.") from error
        if issued_at > at + SKEW:
            raise Unauthenticated("The access token is not valid yet: set the clocks.")
        if viewer.expires_at <= at:
            raise Unauthenticated("The access token has expired: refresh the session.")
        return viewer

    def following(self, refresh_token: str) -> str:
        """See `Tokens.following`."""
        # No JWT begins so: what is signed here can be no access token.
        digest = hmac.digest(self._key, b"refresh:" + refresh_token.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
