"""From the body of a delivered event to the consumer that applies it."""

import logging
from collections.abc import Callable
from typing import Protocol

from domain.events import Delivered, Malformed
from workers.app import Event

log = logging.getLogger(__name__)


class DeadLetters(Protocol):
    """Where events go that nobody can read."""

    async def put(self, body: bytes, reason: str) -> None:
        """Keeps the event's body and why it could not be read.

        Raises:
            OSError: it is not known to be kept.
        """
        ...


class Taker(Protocol):
    """What applies changes: a consumer."""

    name: str

    async def take(self, delivered: Delivered) -> None:
        """See `workers.consumer.Consumer.take`."""
        ...


def deliveries(
    consumer: Taker, dead_letters: DeadLetters, read: Callable[[bytes], Delivered]
) -> Event:
    """Returns what takes the events of one topic for a consumer; `read` may raise Malformed."""

    async def take(body: bytes) -> None:
        try:
            await consumer.take(read(body))
        except Malformed as error:
            reason = str(error)
            log.warning("event.malformed", extra={"consumer": consumer.name, "reason": reason})
            await dead_letters.put(body, reason)

    return take
