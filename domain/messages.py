"""What a live stream says: changes, and the two messages about the stream itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias
from uuid import UUID

from domain.changes import Change


class ResyncReason(Enum):
    """Why the log cannot continue a reader's position."""

    LOG_PRUNED = "LOG_PRUNED"
    LOG_RESTORED = "LOG_RESTORED"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp:
    """All up to `seq` has been sent; what follows is live."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResyncRequired:
    """The log does not reach back to `seq`, the last one sent; the stream goes on after `head`."""

    seq: int
    reason: ResyncReason
    head: int


Message: TypeAlias = Change | CaughtUp | ResyncRequired


class Sink(Protocol):
    """Where an event source delivers one stream's changes."""

    def append(self, changes: Sequence[Change]) -> None:
        """Takes the changes that follow the last ones: in order, without a gap, not empty."""
        ...

    def jump(self, head: int) -> None:
        """Learns that the log does not continue the last position; what follows is after `head`.

        It was restored from a backup (`head` is smaller), or pruned beyond the position.
        """
        ...


class EventSource(Protocol):
    """Brings committed changes of the streams that somebody listens to."""

    def follow(self, stream: UUID, after: int, sink: Sink) -> None:
        """Delivers to `sink` every change after `after`, from now until `unfollow`."""
        ...

    def unfollow(self, stream: UUID) -> None:
        """Stops delivering; what is on its way is dropped."""
        ...

    def hint(self, stream: UUID, seq: int) -> None:
        """Learns that `seq` is committed; a lost hint costs time, never a change."""
        ...
