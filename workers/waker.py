"""Wakes the notifier where an event tells of something that may ring before the next tick.

No positions are kept: the ledger knows what is due, and a lost wake costs one scan.
"""

from collections.abc import Callable
from datetime import datetime

import orjson

from domain.changes import Change
from domain.events import Delivered
from domain.ports import Clock
from workers.notifications import HORIZON


class Waker:
    """Takes the events of one topic."""

    def __init__(self, name: str, wake: Callable[[], None], clock: Clock) -> None:
        self.name = name
        self._wake = wake
        self._clock = clock

    async def take(self, delivered: Delivered) -> None:
        """Wakes, if the change tells of a delivery or a due that is near; knows no other."""
        change = delivered.change
        at = None if change is None else _rings_at(change)
        if at is not None and at <= self._clock.now() + HORIZON:
            self._wake()


def _rings_at(change: Change) -> datetime | None:
    """Returns when what the change tells of is due, None where that is nothing to ring."""
    if change.kind == "delivery.scheduled":
        return datetime.fromisoformat(orjson.loads(change.payload)["fire_at"])
    if change.kind.startswith("task.") and {"due", "assignee"} & set(change.fields):
        # Who is told of an assignment is told at once.
        return change.at
    return None
