"""Patterns in a zone: local times become instants, and the policies decide where clocks change.

Inside a span (`zones`) local times are instants moved by its offset. Only at its ends is there a
choice: what becomes of the times that a gap left out, and of those that an overlap shows twice.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import chain, islice, takewhile
from typing import Protocol, TypeAlias
from zoneinfo import ZoneInfo

from domain.errors import Refused, invalid
from domain.recurrence import calendar
from domain.recurrence.elapsed import Elapsed
from domain.recurrence.policies import Gap, Overlap
from domain.recurrence.walls import Walls
from domain.recurrence.zones import OFFSET_MAX_S, Span, span_at

# Clock changes that COUNT looks across: 300 years where clocks change twice a year.
COUNT_SPANS_MAX = 1_000
# Occurrences that COUNT walks along where they follow no closed form: some 30 ms.
COUNT_TICKS_MAX = 10_000
# Later than any local time.
_NEVER = 2 * calendar.LAST_SECOND


# One occurrence: its instant, the local time that the rule says, and whether that is the second
# of two equal ones. A bare tuple, since each slot passes through one.
Tick: TypeAlias = tuple[int, int, bool]


def order(tick: Tick) -> tuple[int, int]:
    """Returns the key that sorts ticks; of two at one instant, the one that was not moved."""
    return tick[0], -tick[1]


class Ticks(Protocol):
    """A set of occurrences, sorted by instant."""

    @property
    def is_countable(self) -> bool:
        """Whether they are counted without walking along them."""

    def walk(self, low: int) -> Iterator[Tick]:
        """Yields the ticks from the instant `low` on.

        Raises:
            Refused: INVALID; the search for the next one went over its budget.
        """

    def count(self, high: int, enough: int) -> int:
        """Returns how many ticks are before the instant `high`; may stop at `enough`.

        Raises:
            Refused: INVALID; counting so far went over its budget.
        """


@dataclass(frozen=True, slots=True)
class ListWalls:
    """Local times one by one, sorted."""

    times: tuple[int, ...]

    def walk(self, low: int) -> Iterator[int]:
        """See `Walls.walk`."""
        return iter(self.times[bisect_left(self.times, low) :])

    def count(self, low: int, high: int) -> int:
        """See `Walls.count`."""
        return max(0, bisect_left(self.times, high) - bisect_left(self.times, low))


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonedWalls:
    """The local times of `walls` in a zone, from the instant `begins` on.

    What a gap moves counts by its own time: it is there where that is not before `local`.
    """

    walls: Walls
    zone: ZoneInfo
    begins: int
    local: int
    gap: Gap
    overlap: Overlap

    @property
    def is_countable(self) -> bool:
        """See `Ticks.is_countable`: for some centuries."""
        return True

    def walk(self, low: int) -> Iterator[Tick]:
        """See `Ticks.walk`."""
        at = low = max(low, self.begins)
        times: Iterator[int] = iter(())
        # The next time that is known, and up to where nothing else is.
        ahead, reached = -1, 0
        while at <= calendar.LAST_SECOND:
            span = span_at(self.zone, at)
            offset, second = span.offset, span.start + span.before
            begin, end = self._window(span)
            begin = max(begin, low + offset)
            if ahead < begin or begin < reached:
                times = self.walls.walk(begin)
                ahead = next(times, _NEVER)
            if span.before < offset and (moved := self._moved(span, low)) is not None:
                times = chain((ahead,), times)
                kept = ((local - offset, local, False) for local in takewhile(end.__gt__, times))
                yield from apart(merge(moved, kept, key=order))
                ahead, at = -1, span.end
                continue
            if ahead < end:
                yield ahead - offset, ahead, ahead < second
                ahead = _NEVER
                for local in times:
                    if local >= end:
                        ahead = local
                        break
                    yield local - offset, local, local < second
            if ahead == _NEVER:
                return
            # Nothing lies between: on with the first span that this time can be in.
            reached, at = end, max(span.end, ahead - OFFSET_MAX_S)

    def count(self, high: int, enough: int) -> int:
        """See `Ticks.count`."""
        total, at = 0, self.begins
        for _ in range(COUNT_SPANS_MAX):
            span = span_at(self.zone, at)
            total += self._count(span, high)
            if total >= enough or span.end >= high:
                return total
            at = span.end
        return _walked(self.walk(self.begins), high, enough)

    def _count(self, span: Span, high: int) -> int:
        begin, end = self._window(span)
        begin, end = max(begin, self.begins + span.offset), min(end, high + span.offset)
        total = self.walls.count(begin, end)
        for instant, _, _ in self._moved(span, self.begins) or ():
            local = instant + span.offset
            total += instant < high and not (local >= begin and self._has(local))
        return total

    def _has(self, local: int) -> bool:
        return next(self.walls.walk(local), None) == local

    def _window(self, span: Span) -> tuple[int, int]:
        """Returns the local times of a span that count, from `begin` until before `end`."""
        begin, end = span.start + span.offset, span.end + span.offset
        if span.before > span.offset and self.overlap is Overlap.FIRST:
            begin = span.start + span.before
        if span.after < span.offset and self.overlap is Overlap.LAST:
            end = span.end + span.after
        return begin, end

    def _moved(self, span: Span, low: int) -> Iterator[Tick] | None:
        """Returns what a gap right before the span moves into it; None where there is no gap."""
        length = span.offset - span.before
        if length <= 0 or self.gap is Gap.SKIP or low >= span.start + length:
            return None
        end = span.start + span.offset
        times = self.walls.walk(max(span.start + span.before, self.local))
        left_out = takewhile(lambda local: local < end, times)
        if self.gap is Gap.RUN_AFTER:
            ticks = ((span.start, local, False) for local in islice(left_out, 1))
        else:
            ticks = ((local - span.before, local, False) for local in left_out)
        return (tick for tick in ticks if tick[0] >= low)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonedElapsed:
    """Instants of a rule that counts elapsed time, with the local time that a clock shows."""

    elapsed: Elapsed
    overlap: Overlap

    @property
    def is_countable(self) -> bool:
        """See `Ticks.is_countable`."""
        return self.overlap is Overlap.BOTH and self.elapsed.allowed is None

    def walk(self, low: int) -> Iterator[Tick]:
        """See `Ticks.walk`."""
        zone, overlap = self.elapsed.zone, self.overlap
        span = span_at(zone, low)
        for instant in self.elapsed.walk(low):
            if instant >= span.end:
                span = span_at(zone, instant)
            local = instant + span.offset
            fold = span.is_second(local)
            if overlap is Overlap.FIRST and fold:
                continue
            if overlap is Overlap.LAST and local >= span.end + span.after:
                continue
            yield instant, local, fold

    def count(self, high: int, enough: int) -> int:
        """See `Ticks.count`."""
        if self.is_countable:
            return self.elapsed.count(self.elapsed.first, high)
        return _walked(self.walk(self.elapsed.first), high, enough)


def _walked(ticks: Iterator[Tick], high: int, enough: int) -> int:
    """Counts ticks before `high` one by one, up to `enough`."""
    most = min(enough, COUNT_TICKS_MAX)
    total = sum(1 for _ in islice(takewhile(lambda tick: tick[0] < high, ticks), most))
    if total < most or total == enough:
        return total
    raise uncountable()


def uncountable() -> Refused:
    """Returns the refusal of a COUNT that is too high to be walked along."""
    return invalid(
        "COUNT: so many occurrences after the start cannot be counted; end the rule by a date,"
        " as in UNTIL=20351231.",
        "rule",
    )


def instant_of(local: int, zone: ZoneInfo, gap: Gap, overlap: Overlap) -> int:
    """Returns the instant of one local time; it is never left out: SKIP counts as RUN_AFTER."""
    one = ZonedWalls(
        walls=ListWalls((local,)),
        zone=zone,
        begins=local - OFFSET_MAX_S,
        local=local,
        gap=Gap.RUN_AFTER if gap is Gap.SKIP else gap,
        overlap=overlap,
    )
    return next(one.walk(one.begins))[0]


def apart(ticks: Iterator[Tick]) -> Iterator[Tick]:
    """Yields sorted ticks without repeated instants: a recurrence set is a set."""
    reached = -1
    for tick in ticks:
        if tick[0] != reached:
            reached = tick[0]
            yield tick
