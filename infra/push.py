"""Push messages to browsers: RFC 8030, encrypted by RFC 8291. Implements domain.channels.Channel.

The primitives are those of `cryptography`; how RFC 8291 puts them together is in `encrypted`, and a
test holds it to the RFC's own example, octet by octet.
"""

import os
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from domain.channels import (
    Browser,
    Category,
    Message,
    Outcome,
    Permanent,
    Scope,
    Sent,
    Temporary,
)
from domain.ports import Clock
from infra.mail_body import one_line
from infra.outbound import Answer, NotAllowed, Outbound, Unreachable
from infra.vapid import Vapid

# RFC 8291, 4: one record of at most 4,096 octets: header 86, delimiter 1, authentication tag 16.
RECORD_BYTES = 4_096
PLAIN_MAX_BYTES = RECORD_BYTES - 86 - 1 - 16
# A browser shows less.
TITLE_MAX_CHARS = 200
# Of a service's words, what goes into a row of the ledger.
REASON_MAX_CHARS = 200

# How long a service keeps a message for a browser that is away, and how much it may wake a device.
_TTL_S: Final = {
    Category.REMINDER: 24 * 3_600,
    Category.ASSIGNMENT: 7 * 24 * 3_600,
    Category.OVERDUE: 24 * 3_600,
    Category.DIGEST: 12 * 3_600,
    Category.TEST: 3_600,
    Category.VERIFICATION: 3_600,
}
_URGENCY: Final = {
    Category.REMINDER: "high",
    Category.ASSIGNMENT: "normal",
    Category.OVERDUE: "normal",
    Category.DIGEST: "low",
    Category.TEST: "high",
    Category.VERIFICATION: "normal",
}


class InvalidKey(Exception):
    """The subscription's key is no point of its curve: nothing can be encrypted for it."""


class WebPush:
    """Sends to one browser at a time."""

    def __init__(self, outbound: Outbound, vapid: Vapid, clock: Clock) -> None:
        self._outbound = outbound
        self._vapid = vapid
        self._clock = clock

    def provider(self, to: Browser) -> str:
        """See `Channel.provider`: the push service, by its origin."""
        try:
            return self._outbound.target(to.endpoint).origin
        except NotAllowed:
            return "push"

    async def send(self, message: Message, to: Browser) -> Outcome:
        """See `Channel.send`."""
        try:
            body = encrypted(payload(message), to.p256dh, to.auth)
            origin = self._outbound.target(to.endpoint).origin
            headers = {
                "Authorization": self._vapid.authorization(origin),
                "Content-Encoding": "aes128gcm",
                "Content-Type": "application/octet-stream",
                "TTL": str(_TTL_S[message.category]),
                # Of a message that waits, the next one with this topic takes the place (RFC 8030,
                # 5.4): sending again is no second message. 32 characters are the longest.
                "Topic": message.id.hex,
                "Urgency": _URGENCY[message.category],
            }
            answer = await self._outbound.post(to.endpoint, headers=headers, content=body)
        except NotAllowed as error:
            # Not gone: it is the look-up that may have gone wrong, and for all at once.
            return Permanent(reason=str(error))
        except InvalidKey as error:
            return Permanent(reason=str(error), gone=True)
        except OSError as error:
            sure = isinstance(error, Unreachable)
            return Temporary(reason=str(error), scope=Scope.PROVIDER, is_unsure=not sure)
        return self._outcome(answer)

    def _outcome(self, answer: Answer) -> Outcome:
        status = answer.status
        said = one_line(answer.body.decode(errors="replace"))
        reason = f"{status} {said}"[:REASON_MAX_CHARS].strip()
        if status in {200, 201, 202}:
            return Sent()
        if status in {404, 410}:
            return Permanent(reason=reason, gone=True)
        wait = retry_after(answer.headers.get("retry-after"), self._clock.now())
        if status == 429:
            # RFC 8030, 8.4: too many for this subscription; others are not concerned.
            return Temporary(reason=reason, scope=Scope.RECIPIENT, retry_after=wait)
        if status >= 500:
            return Temporary(reason=reason, scope=Scope.PROVIDER, retry_after=wait)
        return Permanent(reason=reason)


def payload(message: Message) -> bytes:
    """Returns what the service worker gets, as JSON; a text that is too long is cut."""
    content = message.content
    counts = (f"{section.heading}: {len(section.entries)}" for section in content.sections)
    text = "\n".join(map(one_line, (*content.lines, *counts)))
    fixed = {
        "id": str(message.id),
        "category": message.category.name,
        "title": one_line(content.title)[:TITLE_MAX_CHARS],
        "url": content.url,
        "at": int(message.at.timestamp() * 1_000),
    }
    while len(made := orjson.dumps({**fixed, "body": text})) > PLAIN_MAX_BYTES and text:
        # A character has at most four octets: so many must go at least, and maybe more.
        text = text[: -((len(made) - PLAIN_MAX_BYTES) // 4 + 1)]
    return made


def encrypted(
    data: bytes,
    p256dh: bytes,
    auth: bytes,
    *,
    key: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """Returns the body that only the browser reads: RFC 8291, 3.4, in one record of RFC 8188.

    Args:
        data: at most `PLAIN_MAX_BYTES`.
        p256dh: the browser's public key.
        auth: the browser's authentication secret.
        key: new for each message; given only by the test of the RFC's example.
        salt: likewise.

    Raises:
        InvalidKey: `p256dh` is none.
    """
    ours = key or ec.generate_private_key(ec.SECP256R1())
    salt = salt or os.urandom(16)
    point = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    try:
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), p256dh)
    except ValueError as error:
        raise InvalidKey("The subscription's key is no point of P-256.") from error
    shared = ours.exchange(ec.ECDH(), theirs)
    secret = _derived(shared, auth, b"WebPush: info\0" + p256dh + point, 32)
    cipher = AESGCM(_derived(secret, salt, b"Content-Encoding: aes128gcm\0", 16))
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\0", 12)
    # The delimiter of the last record, and no padding.
    sealed = cipher.encrypt(nonce, data + b"\2", None)
    return salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(point)]) + point + sealed


def retry_after(value: str | None, at: datetime) -> timedelta | None:
    """Returns the wait that the header asks for, in seconds or until a date; else None."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value[:9]), 10**8))
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    # HTTP's dates are in GMT; without a zone they are read so.
    aware = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max(timedelta(), aware - at)


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)
