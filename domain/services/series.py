"""What series do by themselves and on request: previews, turns, and what completions lead to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from domain.ids import UserId
from domain.ports import Clock, Command, Needs, Store
from domain.recurrence.slots import Slot
from domain.recurrence_draft import RecurrenceDraft, recurrence_of, within

# The path of what a preview is refused for.
_PREVIEW = ("recurrence",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a recurrence would be."""

    slots: Sequence[Slot]
    summary: str


class SeriesService:
    """Shows what recurrences would be."""

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[], UUID]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def preview(
        self, viewer: UserId, draft: RecurrenceDraft, first: int, after: datetime | None
    ) -> Preview:
        """Returns the first slots after an instant; from the start on where none is given.

        Raises:
            Refused: INVALID; see `recurrence_of`.
        """
        own_zone = "UTC"
        if draft.zone is None:
            command = Command(actor=viewer, field="recurrencePreview", key=None, arguments=b"")
            own_zone = (await self._store.load(command, Needs())).actor_zone
        now = self._clock.now()
        recurrence, _ = recurrence_of(draft, due=None, own_zone=own_zone, now=now, path=_PREVIEW)
        slots = recurrence.schedule.after(after)
        found = within(_PREVIEW, lambda: list(islice(slots, first)))
        return Preview(slots=found, summary=recurrence.summary)
