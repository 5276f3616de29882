"""Addresses in mails, signed by us: to end mails of a kind (RFC 8058), to show whose a mailbox is.

Nothing happens by looking at them, for mail scanners follow every link: it takes a POST.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from domain.channels import Category
from domain.errors import Unauthenticated
from domain.ids import UserId
from domain.ports import Clock

ALGORITHM = "HS256"
# Other audiences than that of access tokens, which the same key signs: none works as another.
AUDIENCE = "carillon-unsubscribe"
VERIFY_AUDIENCE = "carillon-verify"
PATH = "/unsubscribe"
VERIFY_PATH = "/verify"
TOKEN_MAX_CHARS = 1_024
# Somebody else may get the mailbox one day.
VERIFY_WITHIN = timedelta(days=7)


class UnsubscribeLinks:
    """Makes and reads them. They do not expire: a mail may be read after years."""

    def __init__(self, key: bytes, public_url: str) -> None:
        self._key = key
        self._public_url = public_url

    def link(self, user: UserId, category: Category) -> str:
        """Returns the address for a person's mails of that category."""
        claims = {"aud": AUDIENCE, "sub": str(user), "cat": category.value}
        return f"{self._public_url}{PATH}?token={jwt.encode(claims, self._key, ALGORITHM)}"

    def read(self, token: str) -> tuple[UserId, Category]:
        """Returns whose mails, and which, shall end.

        Raises:
            Unauthenticated: the token is none of ours.
        """
        try:
            claims = _claims(token, self._key, AUDIENCE)
            return UserId(UUID(str(claims["sub"]))), Category(claims["cat"])
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError) as error:
            raise Unauthenticated("The link is not valid.") from error


class VerificationLinks:
    """Makes and reads links that show that a person reads what is sent to an address."""

    def __init__(self, key: bytes, public_url: str, clock: Clock) -> None:
        self._key = key
        self._public_url = public_url
        self._clock = clock

    def link(self, user: UserId, email: str) -> str:
        """Returns the address for a person's mailbox as it is written."""
        until: datetime = self._clock.now() + VERIFY_WITHIN
        claims = {
            "aud": VERIFY_AUDIENCE,
            "sub": str(user),
            "email": email,
            "exp": int(until.timestamp()),
        }
        return f"{self._public_url}{VERIFY_PATH}?token={jwt.encode(claims, self._key, ALGORITHM)}"

    def read(self, token: str) -> tuple[UserId, str]:
        """Returns whose mailbox it is.

        Raises:
            Unauthenticated: the token is none of ours, or too old.
        """
        try:
            claims = _claims(token, self._key, VERIFY_AUDIENCE)
            return UserId(UUID(str(claims["sub"]))), str(claims["email"])
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError) as error:
            raise Unauthenticated("The link is not valid, or too old.") from error


def _claims(token: str, key: bytes, audience: str) -> dict[str, Any]:
    # A longer text is cut, and so none of ours, before anything is computed.
    short = token[:TOKEN_MAX_CHARS]
    claims: dict[str, Any] = jwt.decode(short, key, algorithms=[ALGORITHM], audience=audience)
    return claims
