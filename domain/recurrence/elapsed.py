"""Rules of hours, minutes and seconds: they count elapsed time from the start's instant.

Each interval is a window: the whole hour where minutes are listed, the whole minute where only
seconds are, else the very second. Its parts allow local times, as in `walls`; what they do not
allow is jumped over, to the next local time that they do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from domain.errors import Refused, invalid
from domain.recurrence import calendar
from domain.recurrence.rule import DAY_S
from domain.recurrence.times import positions
from domain.recurrence.walls import DayWalls
from domain.recurrence.zones import span_at

# Jumps between two occurrences, some 15 ms: seven years of a rule that is tried once a day.
JUMPS_MAX = 2_500


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

    def walk(self, low: int) -> Iterator[int]:
        """Yields the instants from `low` on, up to the last year that is of interest.

        Raises:
            Refused: INVALID; the next one is too many intervals away, if there is one.
        """
        low = max(low, self.first)
        at = self._window(low)
        allowed = self.allowed
        if allowed is None:
            yield from range(at, calendar.LAST_SECOND + 1, self.step_s)
            return
        jumps, end = 0, calendar.first_day(self.last_year + 1) * DAY_S
        while at < end:
            found, at = self._next(allowed, at)
            jumps = 0 if found else jumps + 1
            if jumps > JUMPS_MAX:
                raise barren()
            yield from (instant for instant in found if instant >= low)

    def count(self, low: int, high: int) -> int | None:
        """Returns how many instants t there are with low <= t < high; None: only walking tells."""
        if self.allowed is not None:
            return None
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


def barren() -> Refused:
    """Returns the refusal of a rule whose intervals meet none of its parts."""
    return invalid(
        f"The rule finds no time in {JUMPS_MAX} intervals; choose parts that an interval meets,"
        " as in FREQ=HOURLY;INTERVAL=2;BYHOUR=8,10,12.",
        "rule",
    )
