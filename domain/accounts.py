"""Accounts and their sessions: what an address and a password may be."""

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from domain import text
from domain.errors import Refused, invalid
from domain.ids import SessionId, UserId

# The workspace made at sign-up is named after the person and stays below its own limit.
NAME_MAX_CHARS = 100
# RFC 5321, 4.5.3.1: 64 octets before the @, 254 in all.
EMAIL_MAX_BYTES = 254
LOCAL_PART_MAX_BYTES = 64
LABEL_MAX_BYTES = 63
# NIST SP 800-63B asks for at least 8; the upper bound keeps the hashing's input small.
PASSWORD_MIN_CHARS = 8
PASSWORD_MAX_CHARS = 1_024

# How long a used refresh token still gets the one that followed it: tabs refresh at once, and a
# client that waited for a lost answer asks again. Meanwhile the new one is not replaced.
REFRESH_GRACE = timedelta(seconds=30)

# What pasted mailbox lists hold (RFC 5322, 3.4) and a bare address does not.
_NOT_IN_LOCAL_PART = frozenset('()<>[]:;,\\"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who can sign in; `email_key` is what addresses are compared by."""

    id: UserId
    email: str
    email_key: str
    name: str
    time_zone: str
    password_hash: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One signed-in device.

    Of refresh tokens only the SHA-256 is known: of the one in force, of the one before it, and of
    the first, which names their family and stands in front of all that follow it.
    """

    id: SessionId
    user_id: UserId
    created_at: datetime
    expires_at: datetime
    refresh_digest: bytes
    previous_digest: bytes | None = None
    family_digest: bytes | None = None
    rotated_at: datetime | None = None


class Presented(Enum):
    """What a refresh token of a session's family is, when somebody shows it.

    CURRENT: the one in force. RECENT: the one in force or the one before it, where the change is
    a moment ago. REPLAYED: used up longer ago, so somebody has a copy (RFC 9700, 4.14.2).
    """

    CURRENT = "current"
    RECENT = "recent"
    REPLAYED = "replayed"


def presented(session: Session, digest: bytes, at: datetime) -> Presented:
    """Tells what a token with this digest is, of one that begins as the session's tokens do."""
    just_rotated = session.rotated_at is not None and at - session.rotated_at <= REFRESH_GRACE
    if just_rotated and digest in {session.refresh_digest, session.previous_digest}:
        return Presented.RECENT
    return Presented.CURRENT if digest == session.refresh_digest else Presented.REPLAYED


def rotated(session: Session, digest: bytes, *, at: datetime, expires_at: datetime) -> Session:
    """Returns the session with another token in force, prolonged."""
    return replace(
        session,
        refresh_digest=digest,
        previous_digest=session.refresh_digest,
        family_digest=session.family_digest or session.refresh_digest,
        rotated_at=at,
        expires_at=expires_at,
    )


@dataclass(frozen=True, slots=True)
class Email:
    """An address as its owner writes it, and the form in which it is compared."""

    text: str
    key: str


def email(value: str, *path: str) -> Email:
    """Returns the address, trimmed, with its key: case-folded, the domain in its ASCII form.

    Servers may tell apart local parts by case (RFC 5321, 2.4); people do not.

    Raises:
        Refused: INVALID; the text is no single bare address.
    """
    trimmed = value.strip()
    # Bounded first: the mapping below takes time that grows with the square of the length.
    bounded = text.storable(trimmed) and len(trimmed.encode()) <= EMAIL_MAX_BYTES
    written = unicodedata.normalize("NFC", trimmed) if bounded else ""
    local, _, domain = written.rpartition("@")
    key_of_domain = _ascii_domain(domain)
    if key_of_domain is None or not _is_local_part(local):
        raise invalid("Write one e-mail address, such as ada@example.com.", *path)
    key_of_local = unicodedata.normalize("NFC", local.casefold())
    return Email(text=written, key=f"{key_of_local}@{key_of_domain}")


def password(value: str) -> str | None:
    """Returns the form in which a password is hashed, None where it can be nobody's.

    RFC 8265, 4.2 (OpaqueString): other spaces become the ASCII one, then NFC, so that two
    keyboards which compose differently open the same account.
    """
    if not text.storable(value) or len(value) > PASSWORD_MAX_CHARS:
        return None
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in value)
    prepared = unicodedata.normalize("NFC", spaced)
    return prepared if PASSWORD_MIN_CHARS <= len(prepared) <= PASSWORD_MAX_CHARS else None


def new_password(value: str, *path: str) -> str:
    """Returns the form in which a new password is hashed.

    Raises:
        Refused: INVALID; it is too short, too long, or holds what no keyboard can repeat.
    """
    prepared = password(value)
    if prepared is None or any(unicodedata.category(char) == "Cc" for char in prepared):
        bounds = f"{PASSWORD_MIN_CHARS} to {PASSWORD_MAX_CHARS:,}"
        raise invalid(f"Choose a password of {bounds} characters, none a control character.", *path)
    return prepared


def person_name(value: str, *path: str) -> str:
    """Returns a person's name, trimmed.

    Raises:
        Refused: INVALID; it is blank, too long, or holds control characters.
    """
    return text.line(value, path, longest=NAME_MAX_CHARS)


def personal_workspace_name(name: str) -> str:
    """Returns the name of the workspace that everyone gets at sign-up."""
    return f"{name}'s tasks"


def wrong_credentials() -> Refused:
    """Returns the one answer for an unknown address and a wrong password."""
    return invalid("The address or the password is wrong.", "input")


def _is_local_part(local: str) -> bool:
    # Controls, separators, unassigned and private characters: categories C* and Z*.
    return 0 < len(local.encode()) <= LOCAL_PART_MAX_BYTES and not any(
        char in _NOT_IN_LOCAL_PART or char == "@" or unicodedata.category(char)[0] in "CZ"
        for char in local
    )


def _ascii_domain(domain: str) -> str | None:
    """Returns the domain by which addresses are compared, None for what can be no domain.

    The mapping follows UTS 46 (non-transitional): lower case and compatibility forms, with the
    letters that IDNA 2003 lost kept, so that two domains that resolve differently stay two.
    """
    mapped = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", domain).lower())
    labels = [_ascii_label(label) for label in mapped.replace("\u3002", ".").split(".")]
    known = [label for label in labels if label is not None]
    return ".".join(known) if len(known) == len(labels) else None


def _ascii_label(label: str) -> str | None:
    if not label.isascii():
        if any(char != "-" and unicodedata.category(char)[0] not in "LMN" for char in label):
            return None
        label = "xn--" + label.encode("punycode").decode()
    if len(label) > LABEL_MAX_BYTES or not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", label):
        return None
    return label
