"""Channels: the ways to a person, what is sent over them, and what became of it."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Protocol, TypeAlias, TypeVar

from domain.errors import invalid
from domain.ids import DeliveryId, SubscriptionId

# RFC 8291, 2.1 and 3.2: an uncompressed point of P-256, and 16 octets of a shared secret.
P256DH_BYTES = 65
AUTH_BYTES = 16
# The longest endpoints of the known push services have some 500 characters.
ENDPOINT_MAX_CHARS = 2_000


class ChannelName(StrEnum):
    """A way to a person; the names are those of the public `NotificationChannel`."""

    IN_APP = "IN_APP"
    EMAIL = "EMAIL"
    PUSH = "PUSH"


class Category(StrEnum):
    """What a delivery is about; a person chooses the channels of those that are `CHOSEN`."""

    REMINDER = "REMINDER"
    ASSIGNMENT = "ASSIGNMENT"
    OVERDUE = "OVERDUE"
    DIGEST = "DIGEST"
    TEST = "TEST"
    VERIFICATION = "VERIFICATION"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One task in a list, such as a digest's."""

    title: str
    detail: str
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A list of tasks under a heading."""

    heading: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a person reads, in plain text; each channel gives it its form.

    `url` leads to what the title names; None where nobody has said where Carillon is served.
    """

    title: str
    lines: tuple[str, ...]
    sections: tuple[Section, ...] = ()
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One delivery on its way; `id` is the same at each attempt, and tells providers a repeat.

    `at` is when it is sent: the Date of a mail, the timestamp of a push notification.
    """

    id: DeliveryId
    category: Category
    content: Content
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """Where a mail goes; by one POST to `unsubscribe_url` no mail of the category comes again."""

    address: str
    name: str
    unsubscribe_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """A browser that takes push messages: its endpoint at a push service, and its keys."""

    id: SubscriptionId
    endpoint: str
    p256dh: bytes
    auth: bytes


class Scope(Enum):
    """Whom a temporary failure is about: this recipient, or the provider and so everybody."""

    RECIPIENT = "recipient"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider has taken it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Temporary:
    """It was not taken, and may be later; not before `retry_after`, where the provider says so.

    `is_unsure` tells that the answer was lost: the provider may have taken it all the same.
    """

    reason: str
    scope: Scope
    retry_after: timedelta | None = None
    is_unsure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Permanent:
    """It will never be taken; `gone` tells that nothing ever will be at this address."""

    reason: str
    gone: bool = False


Outcome: TypeAlias = Sent | Temporary | Permanent

To_contra = TypeVar("To_contra", contravariant=True)


class Channel(Protocol[To_contra]):
    """A way to one kind of recipients."""

    def provider(self, to: To_contra) -> str:
        """Returns who carries the message: those of one provider fail together."""
        ...

    async def send(self, message: Message, to: To_contra) -> Outcome:
        """Sends within a bounded time; whatever goes wrong outside is an outcome."""
        ...


class Endpoints(Protocol):
    """Tells addresses that users give, and that we shall call, from those we must not call."""

    async def check(self, url: str, *path: str) -> str:
        """Returns the address in its one form.

        Raises:
            Refused: INVALID; it is malformed, or leads into a network that is not public.
        """
        ...


def merged(outcomes: Iterable[Outcome]) -> Outcome:
    """Returns what became of a message to several recipients, at least one.

    What may still be taken by one is temporary, until the longest wait is over; what was taken by
    one and refused by others is sent.
    """
    found = tuple(outcomes)
    waiting = [one for one in found if isinstance(one, Temporary)]
    if waiting:
        waits = [one.retry_after for one in waiting if one.retry_after is not None]
        return Temporary(
            reason="; ".join(dict.fromkeys(one.reason for one in waiting)),
            # A provider's trouble is no reason to hold back what goes to another one.
            scope=Scope.RECIPIENT if len(found) > 1 else waiting[0].scope,
            retry_after=max(waits, default=None),
            is_unsure=any(one.is_unsure for one in waiting),
        )
    if any(isinstance(one, Sent) for one in found):
        return Sent()
    refused = [one for one in found if isinstance(one, Permanent)]
    return Permanent(
        reason="; ".join(dict.fromkeys(one.reason for one in refused)),
        gone=all(one.gone for one in refused),
    )


def browser(id: SubscriptionId, endpoint: str, p256dh: str, auth: str, *path: str) -> Browser:
    """Returns a browser's subscription as its `PushSubscription.toJSON()` tells it.

    Raises:
        Refused: INVALID; a key is not what RFC 8291 says, or the endpoint is too long.
    """
    if len(endpoint) > ENDPOINT_MAX_CHARS:
        raise invalid(f"Use at most {ENDPOINT_MAX_CHARS} characters.", *path, "endpoint")
    point = _base64url(p256dh)
    if point is None or len(point) != P256DH_BYTES or point[0] != 4:
        raise invalid("Send the subscription's key p256dh as it is.", *path, "p256dh")
    secret = _base64url(auth)
    if secret is None or len(secret) != AUTH_BYTES:
        raise invalid("Send the subscription's key auth as it is.", *path, "auth")
    return Browser(id=id, endpoint=endpoint, p256dh=point, auth=secret)


def _base64url(text: str) -> bytes | None:
    """Returns what the text encodes, with or without padding; None for anything else."""
    if len(text) > 2 * P256DH_BYTES or not text.isascii():
        return None
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
