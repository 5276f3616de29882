"""A rule in its zone from its start on: the slots of a series, in the order of their instants."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from heapq import merge
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from domain.recurrence import calendar
from domain.recurrence.patterns import elapsed_of, walls_of
from domain.recurrence.policies import Gap, Overlap, Policies, skip_for
from domain.recurrence.rule import DAY_S, Cron, LocalStart, LocalTime, RRule, Rule
from domain.recurrence.slots import Slot
from domain.recurrence.walls import Walls
from domain.recurrence.zoned import (
    ListWalls,
    Tick,
    Ticks,
    ZonedElapsed,
    ZonedWalls,
    apart,
    instant_of,
    order,
)
from domain.recurrence.zones import span_at, to_seconds

# Bounded with hostile rules in mind: a schedule may hold a thousand dates.
_SCHEDULES_MAX = 512
# So many in a row that EXDATE takes out are walked along before the rest of their day is left out.
_DENSE = 8
# Slots are counted from here: an offset must not lead out of the calendar.
_BASE = datetime(2000, 1, 1)  # noqa: DTZ001 - of local times too
_UTC_BASE = _BASE.replace(tzinfo=UTC)
_BASE_S = to_seconds(_BASE)


def occurrences(
    rule: Rule,
    start: LocalStart,
    zone: ZoneInfo,
    policies: Policies,
    after: datetime | None = None,
) -> Iterator[Slot]:
    """Yields the slots of a series in the order of their instants, which never repeat.

    Args:
        rule: what to repeat.
        start: inclusive; what the rule leaves open comes from it, and intervals count from it.
        zone: whose local times the rule and the start are.
        policies: see `policies_for`.
        after: exclusive, an aware instant; None stands for everything from the start on.

    Raises:
        Refused: INVALID; the search for the next slot, or the counting of COUNT, went over its
            budget: the rule fires too rarely, or never.
    """
    return schedule(rule, start, zone, policies).after(after)


@lru_cache(maxsize=_SCHEDULES_MAX)
def schedule(rule: Rule, start: LocalStart, zone: ZoneInfo, policies: Policies) -> "Schedule":
    """Returns the schedule of a series; made once, it answers any number of questions."""
    frame = _frame(rule, start, zone, policies)
    return Schedule(
        ticks=_ticks(rule, start, frame, policies),
        zone=zone,
        count=_count(rule.pattern, start),
        until=_until(rule.pattern, zone),
        with_dates=tuple(_with_dates(rule, start, frame)),
        without=_Without.of(rule.without_dates),
    )


@dataclass(frozen=True, slots=True)
class _Until:
    """Where a rule ends: the last instant, and the last local time."""

    instant: int
    local: int


@dataclass(frozen=True, slots=True)
class _Without:
    """The local times taken out of a series (EXDATE)."""

    days: frozenset[int]
    either: frozenset[int]
    second: frozenset[int]

    @classmethod
    def of(cls, dates: Iterable[LocalTime]) -> "_Without | None":
        found = tuple(dates)
        if not found:
            return None
        return cls(
            days=frozenset(_seconds(date) // DAY_S for date in found if date.at is None),
            either=frozenset(_seconds(date) for date in found if date.at and not date.fold),
            second=frozenset(_seconds(date) for date in found if date.at and date.fold),
        )

    def has(self, tick: Tick, zone: ZoneInfo) -> bool:
        """Whether a tick is taken out: by what the rule says, or by what a clock shows."""
        instant, local, fold = tick
        shown = instant + span_at(zone, instant).offset
        if not self.either.isdisjoint((local, shown)) or local // DAY_S in self.days:
            return True
        return fold and local in self.second

    def reaches(self, tick: Tick, zone: ZoneInfo) -> int:
        """Returns an instant up to which all is taken out that comes after this tick."""
        instant, local, _ = tick
        span = span_at(zone, instant)
        moved_until = span.start + max(0, span.offset - span.before)
        if local // DAY_S not in self.days or local != instant + span.offset:
            return instant + 1
        if instant < moved_until:
            return instant + 1  # what a gap moves here may be of another day
        return min(span.end, instant + DAY_S - local % DAY_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A series, ready to be asked."""

    ticks: Ticks
    zone: ZoneInfo
    count: int | None
    until: _Until | None
    with_dates: tuple[Ticks, ...]
    without: _Without | None

    def after(self, after: datetime | None = None) -> Iterator[Slot]:
        """Yields the slots later than `after`, an aware instant; None: all. See `occurrences`."""
        low = 0 if after is None else max(0, to_seconds(after) + 1)
        shift, base = 0, _UTC_BASE
        try:
            for instant, local, fold in self._all(low):
                if instant - local != shift:
                    shift = instant - local
                    base = _UTC_BASE + timedelta(seconds=shift)
                passed = timedelta(0, local - _BASE_S)
                yield Slot(_BASE + passed, fold, base + passed)
        except OverflowError:
            # The calendar ends, in local time or in UTC, and the series with it.
            return

    def _all(self, low: int) -> Iterator[Tick]:
        without = self.without
        return self._dated(low) if without is None else self._kept(low, without)

    def _kept(self, low: int, without: _Without) -> Iterator[Tick]:
        """Yields what EXDATE leaves: of a day that it takes out, few ticks are looked at."""
        # Counting anew at each day is cheaper than walking only where it is no walk itself.
        jumps = self.count is None or self.ticks.is_countable
        ticks, dropped = self._dated(low), 0
        while (tick := next(ticks, None)) is not None:
            if not without.has(tick, self.zone):
                dropped = 0
                yield tick
                continue
            dropped += 1
            if dropped >= _DENSE and jumps:
                ticks, dropped = self._dated(without.reaches(tick, self.zone)), 0

    def _dated(self, low: int) -> Iterator[Tick]:
        ticks = self._ruled(low)
        if self.with_dates:
            dates = (ticks.walk(low) for ticks in self.with_dates)
            ticks = apart(merge(ticks, *dates, key=order))
        return ticks

    def _ruled(self, low: int) -> Iterator[Tick]:
        ticks = self.ticks.walk(low)
        if (until := self.until) is not None:
            ticks = takewhile(lambda tick: tick[0] <= until.instant, ticks)
            ticks = (tick for tick in ticks if tick[1] <= until.local)
        if self.count is not None:
            past = self.ticks.count(low, self.count) if low else 0
            ticks = islice(ticks, max(0, self.count - past))
        return ticks


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where and how local times become instants: zone, start, policies."""

    zone: ZoneInfo
    local: int
    gap: Gap
    overlap: Overlap

    @property
    def begins(self) -> int:
        """The instant of the start."""
        return instant_of(self.local, self.zone, self.gap, self.overlap)

    def of(self, walls: Walls, overlap: Overlap | None = None) -> ZonedWalls:
        """Returns the local times from the start on."""
        return ZonedWalls(
            walls=walls,
            zone=self.zone,
            begins=self.begins,
            local=self.local,
            gap=self.gap,
            overlap=overlap or self.overlap,
        )


def _frame(rule: Rule, start: LocalStart, zone: ZoneInfo, policies: Policies) -> _Frame:
    pattern = rule.pattern
    local = to_seconds(datetime.combine(start.day, start.at or time()))
    if start.at is None and not (isinstance(pattern, Cron) or pattern.by_hour):
        # A whole day begins with its first instant, whatever midnight does.
        return _Frame(zone, local, Gap.RUN_AFTER, Overlap.FIRST)
    return _Frame(zone, local, policies.gap, policies.overlap)


def _ticks(rule: Rule, start: LocalStart, frame: _Frame, policies: Policies) -> Ticks:
    pattern, skip = rule.pattern, skip_for(rule, policies)
    if isinstance(pattern, RRule) and pattern.is_elapsed:
        elapsed = elapsed_of(pattern, start, skip, frame.zone, frame.begins)
        return ZonedElapsed(elapsed=elapsed, overlap=policies.overlap)
    return frame.of(walls_of(pattern, start, skip))


def _with_dates(rule: Rule, start: LocalStart, frame: _Frame) -> Iterator[Ticks]:
    own = frame.overlap
    if isinstance(rule.pattern, RRule) and rule.pattern.is_elapsed and own is Overlap.BOTH:
        own = Overlap.FIRST  # BOTH says that elapsed hours all count, not that a date is two
    for fold, overlap in ((None, own), (True, Overlap.LAST)):
        times = {_seconds(date, start.at) for date in rule.with_dates if date.fold is fold}
        if times:
            yield frame.of(ListWalls(tuple(sorted(times))), overlap)


def _until(pattern: RRule | Cron, zone: ZoneInfo) -> _Until | None:
    if isinstance(pattern, Cron) or pattern.until is None:
        return None
    until = pattern.until
    if isinstance(until, datetime) and until.tzinfo is not None:
        return _Until(to_seconds(until), calendar.LAST_SECOND)
    if not isinstance(until, datetime):
        until = datetime.combine(until, time(23, 59, 59))
    local = to_seconds(until)
    return _Until(instant_of(local, zone, Gap.SHIFT, Overlap.LAST), local)


def _count(pattern: RRule | Cron, start: LocalStart) -> int | None:
    """Returns COUNT where it can end the rule before the calendar ends."""
    if isinstance(pattern, Cron) or pattern.count is None:
        return None
    times = (
        max(1, len(listed)) for listed in (pattern.by_hour, pattern.by_minute, pattern.by_second)
    )
    hours, minutes, seconds = times
    # Twice, as an overlap may show each time twice.
    most = 2 * 366 * (calendar.YEAR_MAX + 1 - start.day.year) * hours * minutes * seconds
    return None if pattern.count >= most and not pattern.is_elapsed else pattern.count


def _seconds(local: LocalTime, at: time | None = None) -> int:
    return to_seconds(datetime.combine(local.day, local.at or at or time()))
