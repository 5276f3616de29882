"""Rules of hours, minutes and seconds: they count elapsed time from the start's instant.

Each interval is a window: the whole hour where minutes are listed, the whole minute where only
seconds are, else the very second. Its parts allow local times, as in `walls`; what they do not
allow is jumped over, to the next local time that they do. Where windows keep missing those times
of day, a sieve knows the next one that meets them: steps of 2,399 minutes are at 09:00 every
1,440th time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import gcd
from zoneinfo import ZoneInfo

from domain.errors import Code, Problem, Refused, invalid
from domain.recurrence import calendar
from domain.recurrence.rule import DAY_S
from domain.recurrence.times import Times, positions
from domain.recurrence.walls import Barren, DayWalls
from domain.recurrence.zones import span_at

# Jumps between two occurrences, some 15 ms.
JUMPS_MAX = 2_500
# So many in a row are ordinary, and cheaper than a sieve: over a night, a weekend, a clock change.
_ORDINARY_JUMPS = 2
# All others of one walk: a page of rare occurrences.
WALK_JUMPS_MAX = 5_000
_CYCLE_S = calendar.first_day(calendar.CYCLE_YEARS + 1) * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Elapsed:
    """The instants of a rule from `first` on; `base` is where its windows count from.

    `allowed` is None where every local time is; `picks` are BYSETPOS of each window.
    """

    zone: ZoneInfo
    base: int
    first: int
    step_s: int
    window_s: int
    allowed: DayWalls | None
    picks: tuple[int, ...] = ()
    last_year: int = calendar.YEAR_MAX
    _sieves: dict[int, "_Sieve"] = field(default_factory=dict)

    def walk(self, low: int) -> Iterator[int]:
        """Yields the instants from `low` on, up to the last year that is of interest.

        Raises:
            Barren: the next one is more than a calendar cycle, or too many intervals, away.
            Refused: INVALID; those asked for are too many intervals apart.
        """
        low = max(low, self.first)
        at = self._window(low)
        allowed = self.allowed
        if allowed is None:
            yield from range(at, calendar.LAST_SECOND + 1, self.step_s)
            return
        end = calendar.first_day(self.last_year + 1) * DAY_S
        jumps = walked = 0
        latest = at
        while at < end:
            found, at = self._next(allowed, at)
            if found:
                jumps, latest = 0, at
                yield from (instant for instant in found if instant >= low)
                continue
            jumps += 1
            walked += jumps > _ORDINARY_JUMPS
            if jumps > JUMPS_MAX or at - latest > _CYCLE_S:
                raise barren()
            if walked > WALK_JUMPS_MAX:
                raise _too_rare()
            if jumps > _ORDINARY_JUMPS or self._sieves:
                at = self._sieved(allowed.times, at)

    def count(self, low: int, high: int) -> int:
        """Returns how many instants t there are with low <= t < high, where all are allowed."""
        low = self._window(max(low, self.first))
        return max(0, -(-(high - low) // self.step_s))

    def _window(self, instant: int) -> int:
        """Returns the first window that ends after the instant."""
        past = instant - self.window_s + 1 - self.base
        return self.base + max(0, -(-past // self.step_s)) * self.step_s

    def _next(self, allowed: DayWalls, at: int) -> tuple[list[int], int]:
        """Returns what is in the window, and the next window that may hold something."""
        end = at + self.window_s
        found: list[int] = []
        reached = at
        while reached < end:
            span = span_at(self.zone, reached)
            until = min(end, span.end)
            for local in allowed.walk(reached + span.offset):
                if local >= until + span.offset:
                    reached = min(local - span.offset, span.end)
                    break
                found.append(local - span.offset)
            else:
                reached = calendar.LAST_SECOND + 1
        if self.picks:
            found = [found[index] for index in positions(self.picks, len(found))]
        return found, max(at + self.step_s, self._window(reached))

    def _sieved(self, times: Times, at: int) -> int:
        """Returns the first window from this one on that may hold an allowed time of day."""
        span = span_at(self.zone, at)
        local = at + span.offset
        width = gcd(self.step_s, DAY_S)
        sieve = self._sieves.get(local % width)
        if sieve is None:
            sieve = _Sieve.of(times, self.step_s, self.window_s, local % width)
            self._sieves[local % width] = sieve
        ahead = sieve.ahead(local % DAY_S)
        if ahead is not None and at + ahead * self.step_s + self.window_s <= span.end:
            return at + ahead * self.step_s
        # Beyond the span it is another time of day.
        return max(at, self._window(span.end))


@dataclass(frozen=True, slots=True)
class _Sieve:
    """Which windows hold an allowed time of day, while clocks stand still.

    Windows come back to the same times of day after `period` steps; `turns` are those that hold
    one, as bits, counted from the window at the earliest of these times.
    """

    width: int
    inverse: int
    period: int
    turns: int

    @classmethod
    def of(cls, times: Times, step_s: int, window_s: int, rest: int) -> "_Sieve":
        """Returns the sieve of windows whose local times leave this rest by gcd(step, day)."""
        width = gcd(step_s, DAY_S)
        period = DAY_S // width
        inverse = pow(step_s // width, -1, period)

        def holds(begin: int) -> bool:
            end = begin + window_s
            # A window may reach over midnight.
            early = times.index(end - DAY_S) if end > DAY_S else 0
            return times.index(min(end, DAY_S)) > times.index(begin) or early > 0

        turns = bytearray(period // 8 + 1)
        for place in range(period):
            if holds(rest + place * width):
                turn = place * inverse % period
                turns[turn // 8] |= 1 << turn % 8
        return cls(width, inverse, period, int.from_bytes(turns, "little"))

    def ahead(self, at: int) -> int | None:
        """Returns how many steps after the time of day the next window is that holds one."""
        if not self.turns:
            return None
        turn = at // self.width * self.inverse % self.period
        if later := self.turns >> turn:
            return _lowest(later)
        return self.period - turn + _lowest(self.turns)


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def barren() -> Barren:
    """Returns the refusal of a rule whose intervals meet none of its parts."""
    message = (
        "The rule finds no time in its intervals; choose parts that an interval meets, as in"
        " FREQ=HOURLY;INTERVAL=2;BYHOUR=8,10,12."
    )
    return Barren(Problem(Code.INVALID, message, ("rule",)))


def _too_rare() -> Refused:
    return invalid(
        "The rule's intervals meet its parts too rarely for so many occurrences; ask for fewer, or"
        " choose parts that an interval meets, as in FREQ=HOURLY;INTERVAL=2;BYHOUR=8,10,12.",
        "rule",
    )
