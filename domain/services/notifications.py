"""What people do with their feed: read it, and put away what they have read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from domain import notifications
from domain.changes import Fact
from domain.errors import not_found
from domain.ids import DeliveryId, UserId
from domain.notifications import Notification, notification_state
from domain.ports import Clock
from domain.services.mutations import Outcome

# Of one commit.
TOGETHER_MAX = 1_000

# Returns an entry as it shall be with the change to it, None where it is so already.
Mark: TypeAlias = Callable[[Notification, datetime], tuple[Notification, Fact] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """The entries as they are now, how many of them changed, and where the person's stream ends."""

    entries: Sequence[Notification]
    changed: int
    seq: int


class Feed(Protocol):
    """The entries of people's feeds."""

    async def mark(self, user: UserId, id: DeliveryId, mark: Mark, at: datetime) -> Marked:
        """Marks one entry; there is none where it is not the person's."""
        ...

    async def mark_unread(
        self, user: UserId, through: int | None, mark: Mark, at: datetime, limit: int
    ) -> Marked:
        """Marks the oldest of the unread entries up to a seq of the person's stream."""
        ...


class NotificationService:
    """Reads and archives; doing it again changes nothing, so it needs no key."""

    def __init__(self, feed: Feed, clock: Clock) -> None:
        self._feed = feed
        self._clock = clock

    async def read(self, user: UserId, id: DeliveryId) -> Outcome:
        """Marks an entry as read.

        Raises:
            Refused: NOT_FOUND.
        """
        return await self._mark(user, id, notifications.read)

    async def archive(self, user: UserId, id: DeliveryId) -> Outcome:
        """Puts an entry away; it is read then.

        Raises:
            Refused: NOT_FOUND.
        """
        return await self._mark(user, id, notifications.archived)

    async def read_all(self, user: UserId, through: int | None) -> int:
        """Marks all entries as read, or those up to a seq; returns where the stream ends then."""
        while True:
            marked = await self._feed.mark_unread(
                user, through, notifications.read, self._clock.now(), TOGETHER_MAX
            )
            if marked.changed < TOGETHER_MAX:
                return marked.seq

    async def _mark(self, user: UserId, id: DeliveryId, mark: Mark) -> Outcome:
        marked = await self._feed.mark(user, id, mark, self._clock.now())
        if not marked.entries:
            raise not_found("There is no such notification.", "id")
        return Outcome(subject=id, state=notification_state(marked.entries[0]), seq=marked.seq)
