"""Whatever rule and zone: order, jumps, counts, identity, and clocks as zoneinfo has them."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.errors import Refused
from domain.recurrence.policies import Choices, Gap, MonthEnd, Overlap, policies_for
from domain.recurrence.rrule_text import parse_rrule
from domain.recurrence.rule import LocalStart, Rule
from domain.recurrence.schedule import occurrences
from domain.recurrence.slots import Slot, occurrence_id
from tests.recurrences import cron_lines, local_times, places, rrules, rule_of

DAYS = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
TIMES = ("HOURLY", "MINUTELY", "SECONDLY")
PAGE = 40
choices = st.builds(
    Choices,
    gap=st.sampled_from(Gap),
    overlap=st.sampled_from(Overlap),
    month_end=st.sampled_from(MonthEnd),
)
lines = cron_lines() | rrules(DAYS) | rrules(TIMES)


class Series:
    """A series of a random rule; a rule that never fires has no page."""

    def __init__(self, text: str, place: tuple[ZoneInfo, datetime], chosen: Choices | None) -> None:
        self.zone, start = place
        self.start = LocalStart(start.date(), start.time())
        try:
            self.rule = rule_of(text)
            self.policies = policies_for(self.rule, chosen)
            self.page = self.after(None)
        except Refused:
            self.page = []

    def after(self, moment: datetime | None, count: int = PAGE) -> list[Slot]:
        return list(
            islice(occurrences(self.rule, self.start, self.zone, self.policies, moment), count)
        )

    def shows(self, slot: Slot, locals: set[datetime]) -> bool:
        """Whether the rule or the clock says one of these times at the slot."""
        shown = slot.instant.astimezone(self.zone).replace(tzinfo=None, fold=0)
        return slot.local in locals or shown in locals


series = st.builds(Series, lines, places(), st.none() | choices)


@settings(max_examples=150, deadline=None)
@given(series=series)
def test_instants_rise_and_every_slot_has_its_own_text(series: Series) -> None:
    instants = [slot.instant for slot in series.page]

    assert instants == sorted(set(instants))
    assert len({slot.text for slot in series.page}) == len(series.page)


@settings(max_examples=150, deadline=None)
@given(series=series, place=st.integers(0, PAGE - 1), before=st.integers(0, 1))
def test_a_jump_lands_where_a_walk_arrives(series: Series, place: int, before: int) -> None:
    assume(place < len(series.page))
    moment = series.page[place].instant - timedelta(microseconds=before)

    jumped = series.after(moment, PAGE - place - 1 + before)

    assert jumped == series.page[place + 1 - before :]


@settings(max_examples=120, deadline=None)
@given(series=series, minutes=st.integers(-60 * 24 * 40, 60 * 24 * 400))
def test_a_jump_to_any_moment_loses_nothing(series: Series, minutes: int) -> None:
    assume(series.page)
    moment = series.page[0].instant + timedelta(minutes=minutes)
    assume(moment < series.page[-1].instant)

    jumped = series.after(moment)

    expected = [slot for slot in series.page if slot.instant > moment]
    assert jumped[: len(expected)] == expected


@settings(max_examples=120, deadline=None)
@given(
    text=rrules(DAYS) | rrules(TIMES),
    where=places(),
    chosen=st.none() | choices,
    count=st.integers(1, PAGE - 1),
    place=st.integers(0, PAGE - 1),
)
def test_count_is_the_same_wherever_one_looks_from(
    text: str, where: tuple[ZoneInfo, datetime], chosen: Choices | None, count: int, place: int
) -> None:
    endless = Series(text, where, chosen)
    assume(endless.page)
    counted = Series(f"{text};COUNT={count}", where, chosen)

    assert counted.page == endless.page[:count]
    assume(place < len(endless.page))
    assert counted.after(endless.page[place].instant) == endless.page[place + 1 : count]


@settings(max_examples=120, deadline=None)
@given(series=series)
def test_a_slot_happens_when_clocks_show_it_or_its_policy_says_otherwise(series: Series) -> None:
    for slot in series.page:
        shown = slot.instant.astimezone(series.zone)
        if shown.replace(tzinfo=None, fold=0) == slot.local:
            assert slot.fold is bool(shown.fold)
        else:
            # It is in a gap: its local time does not survive the way to UTC and back.
            local = slot.local.replace(tzinfo=series.zone)
            back = local.astimezone(UTC).astimezone(series.zone)
            assert back.replace(tzinfo=None, fold=0) != slot.local
            assert series.policies.gap is not Gap.SKIP


@settings(max_examples=100, deadline=None)
@given(
    series=series,
    out=st.sets(st.integers(0, PAGE - 1), max_size=5),
    extra=st.lists(local_times, max_size=3),
)
def test_dates_join_and_leave_without_disturbing_the_rest(
    series: Series, out: set[int], extra: list[datetime]
) -> None:
    assume(series.page)
    gone = [series.page[place] for place in out if place < len(series.page)]
    without = {slot.local for slot in gone}
    listed = "FREQ=DAILY\n" + "".join(f"EXDATE:{local:%Y%m%dT%H%M%S}\n" for local in without)
    listed += "".join(f"RDATE:{local:%Y%m%dT%H%M%S}\n" for local in extra)
    dates = parse_rrule(listed)
    changed = Rule(
        pattern=series.rule.pattern,
        with_dates=dates.with_dates,
        without_dates=dates.without_dates,
    )

    found = list(islice(occurrences(changed, series.start, series.zone, series.policies), PAGE))

    own, end = set(series.page), min(found[-1:] + series.page[-1:], key=lambda it: it.instant)
    kept = [slot for slot in series.page if not series.shows(slot, without)]
    assert [slot for slot in found if slot in own] == [
        it for it in kept if it.instant <= end.instant
    ]
    joined = [slot for slot in found if slot not in own and slot.instant <= end.instant]
    assert all(slot.local in extra and not series.shows(slot, without) for slot in joined)


@settings(max_examples=100, deadline=None)
@given(series=series, own=st.uuids(version=4), other=st.uuids(version=4))
def test_ids_are_stable_and_never_shared(series: Series, own: UUID, other: UUID) -> None:
    ids = [occurrence_id(own, slot) for slot in series.page]

    assert len(set(ids)) == len(ids)
    assert ids == [occurrence_id(own, slot) for slot in series.page]
    if ids:
        after = [occurrence_id(own, series.page[0], completed) for completed in (ids[0], other)]
        assert len({ids[0], *after}) == 3
        assert (occurrence_id(other, series.page[0]) == ids[0]) is (own == other)
