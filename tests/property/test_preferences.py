"""Quiet hours and digests, against a clock that is looked at every minute."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.channels import Category, ChannelName
from domain.preferences import (
    Later,
    Now,
    Preferences,
    Quiet,
    _covers_the_week,
    next_digest,
    placed,
    quiet_until,
)

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
# Each with days on which its clocks change, and how; the last two about midnight.
CHANGES = [
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Europe/Paris", date(2026, 3, 29)),
    ("Europe/Paris", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("America/Santiago", date(2026, 9, 6)),
    ("America/St_Johns", date(2010, 11, 7)),
]

# Often where clocks change.
clocks = st.builds(time, st.integers(0, 23), st.integers(0, 59)) | st.builds(
    time, st.sampled_from([0, 1, 2, 23]), st.sampled_from([0, 15, 30, 59])
)
quiets = st.builds(
    Quiet, days=st.sets(st.integers(0, 6), min_size=1).map(frozenset), start=clocks, end=clocks
)


@cache
def watched(zone: str, day: date) -> list[tuple[datetime, datetime]]:
    """Each minute of twelve days around the change, and what clocks show then."""
    begin = datetime.combine(day, time(), UTC) - 6 * DAY
    minutes = (begin + count * MINUTE for count in range(12 * 24 * 60))
    return [(at, at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for at in minutes]


def spans(quiet: Quiet, clock: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Returns from the first minute that shows the start or more to the last before the end."""
    found = []
    day, last = clock[0][1].date() + DAY, clock[-1][1].date() - 2 * DAY
    while day <= last:
        if day.weekday() in quiet.days:
            until = day if quiet.start < quiet.end else day + DAY
            start, end = datetime.combine(day, quiet.start), datetime.combine(until, quiet.end)
            begins = next(at for at, shown in clock if shown >= start)
            ends = next(at for at, shown in reversed(clock) if shown < end) + MINUTE
            found.append((begins, ends))
        day += DAY
    return found


@settings(max_examples=120, deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    some=st.lists(quiets, min_size=1, max_size=3),
    probes=st.lists(st.integers(-36 * 60, 48 * 60), min_size=1, max_size=40),
)
def test_quiet_is_what_clocks_show_and_ends_when_none_is_left(
    change: tuple[str, date], some: list[Quiet], probes: list[int]
) -> None:
    zone, day = change
    clock = watched(zone, day)
    expected = [span for quiet in some for span in spans(quiet, clock)]
    preferences = Preferences(zone=zone, quiet=tuple(some))
    for probe in probes:
        at = datetime.combine(day, time(), UTC) + probe * MINUTE
        until = at
        while ends := [end for start, end in expected if start <= until < end]:
            until = max(ends)
        if until > clock[-1][0] - 3 * DAY:
            # Beyond what was watched.
            continue

        assert quiet_until(preferences, at) == (None if until == at else until)


@settings(max_examples=200, deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    some=st.lists(quiets, min_size=1, max_size=3),
    probe=st.integers(-36 * 60, 48 * 60),
)
def test_what_was_delayed_is_delayed_once_and_never_sent_early(
    change: tuple[str, date], some: list[Quiet], probe: int
) -> None:
    zone, day = change
    if _covers_the_week(tuple(some)):
        return
    preferences = Preferences(zone=zone, quiet=tuple(some))
    at = datetime.combine(day, time(), UTC) + probe * MINUTE

    place = placed(preferences, Category.REMINDER, ChannelName.PUSH, at)

    if isinstance(place, Later):
        assert place.at > at
        again = placed(preferences, Category.REMINDER, ChannelName.PUSH, place.at)
        assert again == Now()
    else:
        assert place == Now()


@settings(max_examples=100, deadline=None)
@given(change=st.sampled_from(CHANGES), clock=clocks)
def test_a_digest_comes_once_on_each_day_and_at_its_time_unless_clocks_skip_it(
    change: tuple[str, date], clock: time
) -> None:
    name, day = change
    zone = ZoneInfo(name)
    preferences = Preferences(zone=name, digest_at=clock)
    at, end = (datetime.combine(day, time(), UTC) + days * DAY for days in (-3, 3))
    shown = []
    while (at := next_digest(preferences, at)) < end:
        shown.append(at.astimezone(zone))

    assert len({local.date() for local in shown}) == len(shown)
    minutes = {local.date() for _, local in watched(name, day)}
    first, last = shown[0].date(), shown[-1].date()
    assert {local.date() for local in shown} == {d for d in minutes if first <= d <= last}
    for local in shown:
        exists = any(reading == local.replace(tzinfo=None) for _, reading in watched(name, day))
        skipped = all(
            reading != datetime.combine(local.date(), clock) for _, reading in watched(name, day)
        )
        assert exists
        assert (local.time() == clock) is not skipped
