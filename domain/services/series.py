"""What people do with series: see what they would be, pause, resume and end them, skip a slot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import islice, takewhile

from domain import series as rules
from domain.errors import conflict, invalid, not_found, over_limit
from domain.ids import SeriesId, UserId
from domain.ports import Clock, Command, Needs, Seen, SeenSeries, Store
from domain.recurrence.local_text import local_time
from domain.recurrence.policies import Anchor
from domain.recurrence.slots import Slot
from domain.recurrence_draft import RecurrenceDraft, recurrence_of, within
from domain.series import NO_ORIGIN, SKIPPED_MAX, LedgerSlot, Series, SlotState
from domain.services.collector import Collector
from domain.services.mutations import Decision, Mutations, Outcome
from domain.services.tasks import require_editor

# The path of what a preview is refused for.
_PREVIEW = ("recurrence",)
# No instant is farther from its local time.
_OFFSET_MAX = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a recurrence would be."""

    slots: Sequence[Slot]
    summary: str


class SeriesService:
    """Shows what recurrences would be; pauses, resumes and ends series, and skips slots."""

    def __init__(self, mutations: Mutations, store: Store, clock: Clock) -> None:
        self._mutations = mutations
        self._store = store
        self._clock = clock

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

    async def pause(self, command: Command, id: SeriesId, expected: int | None) -> Outcome:
        """Stops making occurrences; pausing again is no change.

        Raises:
            Refused: NOT_FOUND, FORBIDDEN, STALE_VERSION; CONFLICT, the series has ended.
        """

        def paused(one: SeenSeries, _at: datetime) -> Series:
            rules.require_going_on(one.series)
            return replace(one.series, is_paused=True, next_at=None)

        return await self._change(command, id, expected, "series.paused", paused)

    async def resume(self, command: Command, id: SeriesId, expected: int | None) -> Outcome:
        """Goes on with the next slot: those that passed meanwhile are passed over.

        Raises:
            Refused: as `pause`.
        """

        def resumed(one: SeenSeries, at: datetime) -> Series:
            rules.require_going_on(one.series)
            return _resumed(one.series, at) if one.series.is_paused else one.series

        return await self._change(command, id, expected, "series.resumed", resumed)

    async def end(self, command: Command, id: SeriesId, expected: int | None) -> Outcome:
        """Makes no occurrence any more; those that are open stay. Ending again is no change.

        Raises:
            Refused: NOT_FOUND, FORBIDDEN, STALE_VERSION.
        """

        def ended(one: SeenSeries, at: datetime) -> Series:
            return replace(one.series, ended_at=one.series.ended_at or at, next_at=None)

        return await self._change(command, id, expected, "series.ended", ended)

    async def skip(
        self, command: Command, id: SeriesId, slot: str, expected: int | None
    ) -> Outcome:
        """Leaves out a slot that is still to come; doing so again is no change.

        Raises:
            Refused: as `pause`; INVALID or NOT_FOUND, there is no such slot to come; CONFLICT, it
                has its occurrence already; LIMIT_EXCEEDED.
        """

        def decide(seen: Seen, at: datetime) -> Decision:
            one = _visible(seen, id, expected)
            rules.require_going_on(one.series)
            found = _to_come(one.series, slot)
            every = Collector(workspace=one.series.workspace_id, seen=seen, at=at)
            if found.text not in one.series.skipped:
                skipped = _still_to_come(one.series) | {found.text}
                if len(skipped) > SKIPPED_MAX:
                    raise over_limit(
                        f"A series skips at most {SKIPPED_MAX} slots to come.", "input", "slot"
                    )
                new = replace(one.series, skipped=skipped)
                every.change_series("series.updated", one.series, new)
                every.slots_new.append(_left_out(one.series, found))
            return _decision(one.series, every)

        return await self._mutations.run(command, Needs(series=(id,)), decide)

    async def _change(
        self,
        command: Command,
        id: SeriesId,
        expected: int | None,
        kind: str,
        change: Callable[[SeenSeries, datetime], Series],
    ) -> Outcome:
        def decide(seen: Seen, at: datetime) -> Decision:
            one = _visible(seen, id, expected)
            every = Collector(workspace=one.series.workspace_id, seen=seen, at=at)
            new = change(one, at)
            if new != one.series:
                every.change_series(kind, one.series, new)
            return _decision(one.series, every)

        return await self._mutations.run(command, Needs(series=(id,)), decide)


def _visible(seen: Seen, id: SeriesId, expected: int | None) -> SeenSeries:
    one = (seen.series or {}).get(id)
    if one is None:
        raise not_found("There is no such series.", "id")
    require_editor(seen, "id", "There is no such series.")
    rules.require_version(one.series, expected)
    return one


def _resumed(series: Series, at: datetime) -> Series:
    """Returns the series with its next turn: now, or when the latest occurrence is due."""
    going = replace(series, is_paused=False)
    if series.recurrence.policies.anchor is Anchor.COMPLETION:
        return replace(going, next_at=at)
    until = max(series.done_until, at)
    return replace(going, done_until=until, next_at=until)


def _to_come(series: Series, text: str) -> Slot:
    """Returns the slot of that text, which is still to come."""
    local = local_time(text)
    if local is None:
        raise invalid(
            "Write a slot as 2027-03-28T09:30, with an f for a second one.", "input", "slot"
        )
    if series.recurrence.policies.anchor is Anchor.COMPLETION:
        message = "Its slots depend on completions: skip the occurrence once it is there."
        raise conflict(message, "input", "slot")
    about = datetime.combine(local.day, local.at or time(), UTC)
    near = takewhile(
        lambda slot: slot.instant <= about + _OFFSET_MAX,
        series.recurrence.schedule.after(about - _OFFSET_MAX),
    )
    found = next((slot for slot in near if slot.text == text), None)
    if found is None:
        raise not_found("The series has no such slot.", "input", "slot")
    if found.instant <= series.done_until:
        raise conflict("This slot has come: skip its occurrence instead.", "input", "slot")
    return found


def _still_to_come(series: Series) -> frozenset[str]:
    """Returns the skipped slots without those of days that have passed."""
    today = series.done_until.astimezone(series.recurrence.zone).date().isoformat()
    return frozenset(text for text in series.skipped if text[:10] >= today)


def _left_out(series: Series, slot: Slot) -> LedgerSlot:
    return LedgerSlot(
        series_id=series.id,
        slot=slot.text,
        origin=NO_ORIGIN,
        instant=slot.instant,
        state=SlotState.SKIPPED,
        task_id=None,
    )


def _decision(series: Series, every: Collector) -> Decision:
    state = every.facts[-1].state if every.facts else rules.series_state(series)
    return Decision(writes=every.writes(series.id), state=state)
