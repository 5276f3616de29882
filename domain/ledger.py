"""The ledger as workers use it: they claim what is due, begin it, and record what became of it.

What is claimed is a worker's while its lease lasts; then others take it over. Everything between
is conditional on that hold, so that whoever lost it without noticing changes nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

from domain.channels import Browser, Content, Mailbox
from domain.deliveries import Delivery
from domain.ids import SubscriptionId
from domain.lateness import LatePolicy
from domain.notifications import Notification
from domain.preferences import Preferences
from domain.reminders import Nag


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A hold on a delivery; `late` is its person's wish for what could not be sent in time.

    `nag` is its reminder's, where it has one: what follows when this one is over.
    """

    delivery: Delivery
    token: UUID
    late: LatePolicy
    nag: Nag | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InFeed:
    """The feed of the delivery's person."""


Recipient: TypeAlias = InFeed | Mailbox | Browser


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A delivery in the last moment before it is sent, with all that was true in this moment.

    `begun` is the row as it is now, `before` as it was. `content` tells also about those that were
    collapsed into it. `to` leaves out the browsers that an earlier attempt `reached`.
    """

    before: Delivery
    begun: Delivery
    content: Content
    preferences: Preferences
    to: tuple[Recipient, ...]
    reached: frozenset[SubscriptionId] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a delivery, and all that follows from it; one transaction.

    Attributes:
        claimed: by which hold it was this worker's to say.
        delivery: the row as it is now.
        follow: new rows, such as its next nag.
        notification: what the feed shows, where it was delivered there.
        reached: browsers that have it, and need it no more should it be sent again.
        gone: browsers that take nothing any more.
    """

    claimed: Claimed
    delivery: Delivery
    follow: tuple[Delivery, ...] = ()
    notification: Notification | None = None
    reached: frozenset[SubscriptionId] = field(default_factory=frozenset)
    gone: frozenset[SubscriptionId] = field(default_factory=frozenset)


class Ledger(Protocol):
    """One worker's way to the ledger; its calls raise Unavailable where the database is away."""

    async def claim(
        self, until: datetime, limit: int, known: Collection[UUID]
    ) -> Sequence[Claimed]:
        """Takes what is due up to that instant and nobody's, oldest first, at most `limit`.

        What others claimed and left is taken over, and so is what this worker has by a token that
        is not among the `known`: the answer to its claim was lost, or it gave up on it. All late
        ones of a person are taken by one worker, also beyond the limit, so that they can become
        one.
        """
        ...

    async def begin(self, claimed: Claimed) -> Ready | None:
        """Notes that a send begins; None where it was taken back, put off, or taken over.

        Where the answer was lost, the same call brings it again.
        """
        ...

    async def end(self, ended: Sequence[Ended]) -> None:
        """Records what became of them, of each that is still this worker's, or was taken back.

        What was sent stays sent, also where it was cancelled meanwhile. Of the rows that follow,
        those that are there already stay as they are, unless they are cancelled.
        """
        ...

    async def release(self, claimed: Sequence[Claimed]) -> None:
        """Gives back what was not begun, so that others need not wait for the lease's end."""
        ...
