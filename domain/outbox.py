"""What leaves the log for other processes: topics, what is still to be published, and the ports.

A consumer of a kind of streams has a position in each of them: the relay publishes one topic from
its positions, a worker applies changes from its own. Streams are spread over shards, so that
several processes can share the work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Final, Protocol
from uuid import UUID

from domain.changes import Change

# A shard is leased as a whole: enough for as many relays as a broker ever needs, few enough that
# renewing all their leases is one small statement.
SHARDS: Final = 16


def shard_of(stream: UUID) -> int:
    """Returns the shard of a stream: by its last byte, for ids begin with the time."""
    return stream.bytes[15] % SHARDS


class Streams(Enum):
    """A kind of streams: those of workspaces, or those of users."""

    WORKSPACES = "workspaces"
    USERS = "users"


class Topic(StrEnum):
    """Where changes are published; the value is the topic's name at the broker."""

    TASK_EVENTS = "task-events"
    AUDIT_LOGS = "audit-logs"
    REMINDERS = "reminders"

    @property
    def streams(self) -> Streams:
        """The streams whose changes the topic carries."""
        return Streams.USERS if self is Topic.REMINDERS else Streams.WORKSPACES

    @property
    def consumer(self) -> str:
        """The name under which its positions are kept."""
        return f"topic:{self}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A change with what only the audit trail tells: the attributes before it, and its hash."""

    change: Change
    before: str
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A stream with changes after a consumer's position."""

    stream: UUID
    after: int
    head: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far a consumer is behind: changes it has not had, and when the oldest was made."""

    changes: int
    oldest_at: datetime | None


class Backlog(Protocol):
    """The log as consumers see it that have a position in every stream of a kind."""

    async def pending(
        self, consumer: str, streams: Streams, shards: Sequence[int], limit: int
    ) -> Sequence[Pending]:
        """Returns streams of those shards with changes after the consumer's position.

        A consumer without a position begins at the log's floor. Where there are more than `limit`,
        each call continues after the streams of the last one.
        """
        ...

    async def entries(self, pending: Sequence[Pending], limit: int) -> Sequence[Entry]:
        """Returns about `limit` of the next changes, at least one of some stream.

        Those of one stream follow each other without a gap. Large changes make a shorter answer.
        """
        ...

    async def move(self, consumer: str, positions: Mapping[UUID, int]) -> None:
        """Keeps the consumer's positions in these streams; none moves back."""
        ...

    async def lag(self, consumer: str, streams: Streams, shards: Sequence[int]) -> Lag:
        """Returns how far the consumer is behind, over the streams of those shards."""
        ...


class PublishFailed(Exception):
    """Nothing of the batch is known to be published; the message says why, `kind` what."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Publisher(Protocol):
    """A way to the broker."""

    async def publish(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Publishes in order, and returns those entries that were refused.

        Raises:
            PublishFailed: the broker or the way to it did not answer, or refused all of it.
        """
        ...


class Leases(Protocol):
    """Names that one owner holds at a time, by the database's clock."""

    async def hold(self, names: Sequence[str], owner: UUID, seconds: float) -> frozenset[str]:
        """Takes or renews what nobody else holds; returns what the owner now holds of `names`."""
        ...

    async def release(self, names: Sequence[str], owner: UUID) -> None:
        """Gives back what the owner holds of `names`."""
        ...

    async def held(self, prefix: str) -> Mapping[str, UUID]:
        """Returns the unexpired leases whose names begin so, and their owners."""
        ...
