"""Addresses that end mails of a kind by one click (RFC 8058), signed by us."""

from uuid import UUID

import jwt

from domain.channels import Category
from domain.errors import Unauthenticated
from domain.ids import UserId

ALGORITHM = "HS256"
# Another audience than that of access tokens, which the same key signs: neither works as the other.
AUDIENCE = "carillon-unsubscribe"
PATH = "/unsubscribe"
TOKEN_MAX_CHARS = 512


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
            # A longer text is cut, and so none of ours, before anything is computed.
            short = token[:TOKEN_MAX_CHARS]
            claims = jwt.decode(short, self._key, algorithms=[ALGORITHM], audience=AUDIENCE)
            return UserId(UUID(str(claims["sub"]))), Category(claims["cat"])
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError) as error:
            raise Unauthenticated("The link is not valid.") from error
