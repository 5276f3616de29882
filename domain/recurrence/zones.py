"""Where the offset of a zone stands still: the spans between its clock changes.

zoneinfo tells the offset of an instant, not when it changes next, so a year is probed every six
days and each difference halved down to its second. The closest changes of the pinned zone data
are 6.96 days apart (Recife in October 2000); a test holds the data to that.

Instants are seconds of UTC since 1 January of the year 1, as local times are in `walls`.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.recurrence import calendar
from domain.recurrence.rule import DAY_S

PROBE_S = 6 * DAY_S
# Local times and instants are never farther apart: offsets lie within a day (PEP 615).
OFFSET_MAX_S = DAY_S
# Zone-years remembered: some 700 bytes each.
_YEARS_MAX = 16_384
_EPOCH = datetime(1, 1, 1)  # noqa: DTZ001 - seconds are counted from it, local ones too
_UTC_EPOCH = _EPOCH.replace(tzinfo=UTC)
# Beyond these zoneinfo would leave the calendar; no zone changes there.
_PROBE_MIN = 2 * DAY_S
_PROBE_MAX = calendar.LAST_SECOND - 2 * DAY_S


class Span(NamedTuple):
    """Instants from `start` until before `end`, all with the same `offset` from UTC.

    `before` and `after` are the offsets on both sides; equal to `offset` where a span ends with
    the year and no clock changes. All in seconds.
    """

    start: int
    end: int
    offset: int
    before: int
    after: int

    def is_second(self, local: int) -> bool:
        """Whether the local time, in this span, is the second of two equal ones."""
        return local < self.start + self.before


def span_at(zone: ZoneInfo, instant: int) -> Span:
    """Returns the span that holds the instant; before and after the calendar, the outermost."""
    year = min(max(calendar.year_of(instant // DAY_S), 1), calendar.YEAR_MAX)
    starts, spans = _spans(zone, year)
    if instant < starts[0] and year > 1:
        starts, spans = _spans(zone, year - 1)
    return spans[max(0, bisect_right(starts, instant) - 1)]


def to_seconds(moment: datetime) -> int:
    """Returns the seconds of a local time, or of an instant in UTC, rounded down."""
    passed = moment - (_UTC_EPOCH if moment.tzinfo else _EPOCH)
    return passed.days * DAY_S + passed.seconds


@lru_cache(maxsize=_YEARS_MAX)
def _spans(zone: ZoneInfo, year: int) -> tuple[tuple[int, ...], tuple[Span, ...]]:
    first, last = _cut(zone, year), _cut(zone, year + 1)
    edges = [first, *_changes(zone, first, last), last]
    offsets = [_offset(zone, edge) for edge in edges]
    offsets = [offsets[0], *offsets]  # no clock changes at a cut
    spans = tuple(
        Span(start, end, offsets[at + 1], offsets[at], offsets[at + 2])
        for at, (start, end) in enumerate(pairwise(edges))
    )
    return tuple(span.start for span in spans), spans


@lru_cache(maxsize=_YEARS_MAX)
def _cut(zone: ZoneInfo, year: int) -> int:
    """Returns where one year's spans end and the next year's begin: far from any change.

    The outermost reach beyond the calendar, as local times of its edges do.
    """
    if year <= 1:
        return -2 * OFFSET_MAX_S
    if year > calendar.YEAR_MAX:
        return calendar.LAST_SECOND + 2 * OFFSET_MAX_S
    cut = calendar.first_day(year) * DAY_S
    while _offset(zone, cut - 2 * DAY_S) != _offset(zone, cut + 2 * DAY_S):
        cut += 5 * DAY_S
    return cut


def _changes(zone: ZoneInfo, first: int, last: int) -> Iterator[int]:
    low, offset = first, _offset(zone, first)
    while low < last:
        high = min(low + PROBE_S, last)
        if (found := _offset(zone, high)) != offset:
            yield _change(zone, low, high)
            offset = found
        low = high


def _change(zone: ZoneInfo, low: int, high: int) -> int:
    """Returns the one second between the two at which the offset changes."""
    offset = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset(zone: ZoneInfo, instant: int) -> int:
    probe = min(max(instant, _PROBE_MIN), _PROBE_MAX)
    moment = _EPOCH + timedelta(0, probe)
    offset = zone.fromutc(moment.replace(tzinfo=zone)).utcoffset()
    if offset is None:
        raise TypeError(f"{zone} has no offset")
    return offset.days * DAY_S + offset.seconds
