"""The key by which push services know us: VAPID (RFC 8292), an ES256 token for each service."""

import base64
from collections import OrderedDict
from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from domain.ports import Clock

KEY_BYTES = 32
# RFC 8292, 2: at most 24 hours; some services refuse more than that by their own clock.
TOKEN_LIFE = timedelta(hours=12)
# One signature serves a service for so long.
TOKEN_USE = timedelta(hours=6)
# Known services are a handful; others are addresses that users made up.
TOKENS_MAX = 1_000


class VapidKey:
    """A private key, as 43 characters of base64url: the form that other tools write too."""

    def __init__(self, text: str) -> None:
        """Reads the key.

        Raises:
            ValueError: the text is no such key.
        """
        bare = text.rstrip("=")
        padded = bare + "=" * (-len(bare) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        if len(raw) != KEY_BYTES:
            raise ValueError("A VAPID key has 32 bytes.")
        self.private = ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())

    @property
    def public(self) -> str:
        """The `applicationServerKey` that browsers subscribe with, in base64url."""
        point = self.private.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        return _text(point)


def new_key() -> str:
    """Returns the text of a new private key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _text(key.private_numbers().private_value.to_bytes(KEY_BYTES, "big"))


class Vapid:
    """Makes the `Authorization` of requests to push services."""

    def __init__(self, key: VapidKey, contact: str, clock: Clock) -> None:
        """Takes whom services shall write to: a mailto: or https: address."""
        self._key = key
        self._contact = contact
        self._clock = clock
        self._made: OrderedDict[str, tuple[datetime, str]] = OrderedDict()

    def authorization(self, origin: str) -> str:
        """Returns the header's value for a service; each has a token of its own."""
        at = self._clock.now()
        since, made = self._made.get(origin, (None, ""))
        if since is None or not since <= at < since + TOKEN_USE:
            made = self._signed(origin, at)
            self._made[origin] = (at, made)
            if len(self._made) > TOKENS_MAX:
                self._made.popitem(last=False)
        return made

    def _signed(self, origin: str, at: datetime) -> str:
        claims = {
            "aud": origin,
            "exp": int((at + TOKEN_LIFE).timestamp()),
            "sub": self._contact,
        }
        token = jwt.encode(claims, self._key.private, "ES256")
        return f"vapid t={token}, k={self._key.public}"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
