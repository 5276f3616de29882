"""Which days of a year belong to the intervals that a rule counts: every third week, say."""

from dataclasses import dataclass, field
from functools import lru_cache

from domain.recurrence import calendar
from domain.recurrence.days import ALL_MONTHS, MARGIN, CronDays, RuleDays, shape_of
from domain.recurrence.rule import Frequency

# Longer combs would hold one tooth a year at most, which is cheaper without a comb.
_COMB_MAX_DAYS = 400
# Years that a pattern remembers; a page of any list looks at few of them.
_YEARS_MAX = 256


@dataclass(frozen=True, slots=True)
class Intervals:
    """Every n-th day, week, month or year from an origin, and the allowed days in them.

    `origin` is a year, a month (12 * year + month - 1), or the first day of a week or day.
    """

    frequency: Frequency
    every: int
    origin: int
    days: RuleDays | CronDays
    months: tuple[int, ...] = ALL_MONTHS
    has_margin: bool = False
    _known: dict[int, int] = field(default_factory=dict)

    def bits(self, year: int) -> int:
        """Returns the allowed days of a calendar year; bit 0 is 1 January."""
        known = self._known.get(year)
        if known is None:
            if len(self._known) >= _YEARS_MAX:
                self._known.clear()
            known = self._known[year] = self._bits(year)
        return known

    def next_year(self, year: int) -> int:
        """Returns the first year from this one on that an interval reaches into."""
        if self.every == 1:
            return year
        if self.frequency is Frequency.YEARLY:
            first = year - self.has_margin
            return max(year, first + (self.origin - first) % self.every - self.has_margin)
        if self.frequency is Frequency.MONTHLY:
            first = 12 * year
            return (first + (self.origin - first) % self.every) // 12
        width = 7 if self.frequency is Frequency.WEEKLY else 1
        opens = calendar.first_day(year)
        first = opens - width + 1
        first += (self.origin - first) % (width * self.every)
        return year if first <= opens else calendar.year_of(first)

    def is_counted(self, period: int) -> bool:
        """Whether the period with this number is one of the intervals."""
        return (period - self.origin) % self.every == 0

    def of_year(self, year: int) -> int:
        """Returns the days of one YEARLY interval; bit MARGIN is 1 January."""
        return self.days.of(shape_of(year), self.months)

    def of_month(self, year: int, month: int) -> int:
        """Returns the days of one MONTHLY interval; bit MARGIN is 1 January."""
        return self.days.of(shape_of(year), (month,))

    def _bits(self, year: int) -> int:
        if self.frequency is Frequency.YEARLY:
            return self._of_years(year)
        if self.frequency is Frequency.MONTHLY:
            months = self.months
            if self.every > 1:
                months = tuple(m for m in months if self.is_counted(12 * year + m - 1))
            return self.days.of(shape_of(year), months) >> MARGIN
        found = self.days.of(shape_of(year), self.months) >> MARGIN
        if self.every == 1:
            return found
        width = 7 if self.frequency is Frequency.WEEKLY else 1
        into = calendar.first_day(year) - self.origin
        return found & _teeth(into, width, width * self.every)

    def _of_years(self, year: int) -> int:
        bits = self.of_year(year) >> MARGIN if self.is_counted(year) else 0
        if self.has_margin:
            length = shape_of(year).length
            if self.is_counted(year - 1):
                bits |= self.of_year(year - 1) >> (MARGIN + shape_of(year - 1).length)
            if self.is_counted(year + 1):
                bits |= (self.of_year(year + 1) & ((1 << MARGIN) - 1)) << length >> MARGIN
            bits &= (1 << length) - 1
        return bits


def _teeth(into: int, width: int, period: int) -> int:
    """Returns blocks of `width` days, one each `period`; day 0 lies `into` such a period."""
    into %= period
    if period <= _COMB_MAX_DAYS:
        return _comb(width, period) >> into
    tooth = (1 << width) - 1
    ahead = period - into
    return tooth >> into | (tooth << ahead if ahead < 366 else 0)


@lru_cache(maxsize=64)
def _comb(width: int, period: int) -> int:
    tooth = (1 << width) - 1
    return sum(tooth << at for at in range(0, period + 366, period))
