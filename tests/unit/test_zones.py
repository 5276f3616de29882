"""Spans without a clock change, against the pinned zone data itself."""

import struct
from bisect import bisect_right
from datetime import UTC, datetime
from importlib.resources import files
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.recurrence.zones import PROBE_S, span_at, to_seconds

EPOCH = to_seconds(datetime(1970, 1, 1, tzinfo=UTC))
NAMES = sorted(available_timezones())


def changes(name: str) -> list[tuple[int, int, int]]:
    """Returns the listed changes of a zone's offset: when, from, to (RFC 9636, version 2 on)."""
    data = (files("tzdata") / "zoneinfo").joinpath(*name.split("/")).read_bytes()
    sizes = struct.unpack(">6l", data[20:44])
    begins = 44 + sizes[0] + sizes[1] + sizes[2] * 8 + sizes[3] * 5 + sizes[4] * 6 + sizes[5]
    data = data[begins:]
    _, _, _, times, kinds, _ = struct.unpack(">6l", data[20:44])
    moments = struct.unpack(f">{times}q", data[44 : 44 + 8 * times])
    indices = data[44 + 8 * times : 44 + 9 * times]
    offsets = [
        struct.unpack(">l", data[at : at + 4])[0]
        for at in range(44 + 9 * times, 44 + 9 * times + 6 * kinds, 6)
    ]
    found, offset = [], offsets[0]
    for moment, index in zip(moments, indices, strict=True):
        if offsets[index] != offset:
            found.append((EPOCH + moment, offset, offsets[index]))
            offset = offsets[index]
    return found


def test_no_two_changes_come_so_close_that_a_probe_misses_both() -> None:
    closest = min(
        later[0] - earlier[0] for name in NAMES for earlier, later in pairwise(changes(name))
    )

    assert closest > PROBE_S
    assert closest == pytest.approx(6.958 * 86_400, rel=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        "Africa/Cairo",
        "America/New_York",
        "America/Recife",
        "Asia/Gaza",
        "Australia/Lord_Howe",
        "Europe/Riga",
        "Pacific/Apia",
    ],
)
def test_every_change_of_a_zone_ends_one_span_and_begins_another(name: str) -> None:
    zone = ZoneInfo(name)
    for moment, before, after in changes(name):
        ended, begun = span_at(zone, moment - 1), span_at(zone, moment)

        assert (ended.end, ended.offset, ended.after) == (moment, before, after)
        assert (begun.start, begun.before, begun.offset) == (moment, before, after)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    moment=st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - aware by timezones
)
def test_a_span_holds_its_instant_and_has_its_offset(name: str, moment: datetime) -> None:
    zone, instant = ZoneInfo(name), to_seconds(moment)
    span = span_at(zone, instant)
    offset = moment.astimezone(zone).utcoffset()

    assert span.start <= instant < span.end
    assert offset is not None
    assert span.offset == offset.total_seconds()
    known = changes(name)
    place = bisect_right([change[0] for change in known], span.start)
    assert all(not span.start < change[0] < span.end for change in known[place : place + 1])


def test_spans_follow_each_other_through_the_whole_calendar() -> None:
    zone = ZoneInfo("America/New_York")
    for year in (1, 2, 1883, 2027, 9998, 9999):
        span = span_at(zone, to_seconds(datetime(year, 7, 1, tzinfo=UTC)))
        following = span_at(zone, span.end)
        assert following.start == span.end or year == 9999
        assert following.before == span.offset
