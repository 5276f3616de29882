"""Slots: the scheduled local times of a series, each with its instant and its text."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid5

from domain.recurrence.local_text import slot_text


class Slot(NamedTuple):
    """One scheduled local time. A tuple, since a page of a list makes hundreds of them.

    `local` is naive and what the rule says, also where clocks skip it; `fold` says that it is
    the second of two equal ones; `instant` is when it happens, in UTC.
    """

    local: datetime
    fold: bool
    instant: datetime

    @property
    def text(self) -> str:
        """`YYYY-MM-DDTHH:MM[:SS]`, with a trailing `f` for the second of two equal times."""
        return slot_text(self.local, fold=self.fold)


def occurrence_id(series: UUID, slot: Slot, completed: UUID | None = None) -> UUID:
    """Returns the one id of a slot's occurrence; the same slot can never exist twice.

    Args:
        series: id of the series, the namespace.
        slot: the slot; its text holds the fold.
        completed: with a COMPLETION anchor, the occurrence whose completion led to this one.
    """
    name = slot.text if completed is None else f"{slot.text} {completed}"
    return uuid5(series, name)
