"""What a consumer of the log needs: a turn at a stream, in which work and position commit together.

A change that a consumer cannot apply is parked: a row that says why, in the transaction that moves
the position past it. Parked changes are tried again from the log.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.changes import Change
from domain.ports import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A change that a consumer went past without applying it."""

    consumer: str
    stream: UUID
    seq: int
    reason: str
    at: datetime


class Turn(Protocol):
    """One transaction at one stream; no other process has one for this consumer and stream.

    What is flushed by `store` commits with the position, or not at all.
    """

    @property
    def position(self) -> int:
        """The last seq that the consumer has had; before the first, the log's floor."""
        ...

    @property
    def store(self) -> Store:
        """Where decisions are looked up and flushed."""
        ...

    async def following(self, seq: int) -> Change | None:
        """Returns the first change of the stream's log after `seq`, None where there is none."""
        ...

    async def move(self, seq: int) -> None:
        """Moves the position to `seq`."""
        ...

    async def park(self, seq: int, reason: str) -> None:
        """Keeps that the change was not applied, and why; the position moves by `move`."""
        ...


class Inbox(Protocol):
    """The positions and parked changes of consumers."""

    def turn(self, consumer: str, stream: UUID) -> AbstractAsyncContextManager[Turn]:
        """Waits for the stream's turn, and commits at the end of the block.

        Raises:
            Unavailable: the turn did not come in time, or the commit's outcome is not known.
        """
        ...

    def again(self, parked: Parked) -> AbstractAsyncContextManager[Turn | None]:
        """Waits for its stream's turn, and takes a parked change out at the end of the block.

        Gives None where it is gone by now. An exception in the block leaves it parked.

        Raises:
            Unavailable: as by `turn`.
        """
        ...

    async def parked(self, consumer: str | None = None) -> Sequence[Parked]:
        """Returns what is parked, oldest first: of one consumer, or of all."""
        ...
