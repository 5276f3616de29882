"""A text as words, and the small things that phrases are made of: numbers, days, times, dates.

Each `take_*` moves past what it read; what it cannot read as a whole it leaves, and says None.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from domain.recurrence.vocabulary import DAY_PARTS, MONTHS, NUMBERS, ORDINAL_NAMES, WEEKDAYS

_WORD = re.compile(r"[^\s,]+|,")
_NUMBER = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
_ORDINAL = re.compile(r"([1-9][0-9]{0,2})(?:st|nd|rd|th)", re.ASCII)
_TIME = re.compile(r"([0-9]{1,2})(?:[:.]([0-5][0-9]))?(am|pm|a\.m|p\.m)?", re.ASCII)
_YEAR = re.compile(r"[12][0-9]{3}", re.ASCII)
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DAYS_RANGE = re.compile(r"([a-z]+)[-\u2013]([a-z]+)")
_HALVES = {"am": 0, "pm": 12, "a.m": 0, "p.m": 12}
Item = TypeVar("Item")
Arguments = ParamSpec("Arguments")
_Take = Callable[Concatenate["Words", Arguments], Item | None]


def _whole(take: _Take[Arguments, Item]) -> _Take[Arguments, Item]:
    """Makes a reader of several words leave all of them where it cannot read the last."""

    @wraps(take)
    def attempt(
        words: "Words", /, *arguments: Arguments.args, **named: Arguments.kwargs
    ) -> Item | None:
        begun = words.at
        found = take(words, *arguments, **named)
        if found is None:
            words.at = begun
        return found

    return attempt


@dataclass(frozen=True, slots=True)
class Word:
    """One word in lower case, without the full stop after it, and where it stands."""

    text: str
    start: int
    end: int


class Words:
    """The words of a text, and how far they are read."""

    def __init__(self, text: str) -> None:
        self.words = [
            Word(match[0].lower().rstrip(".;:?"), match.start(), match.end())
            for match in _WORD.finditer(text)
        ]
        self.at = 0

    def ahead(self, count: int = 1) -> list[str]:
        """Returns the next words, fewer at the end."""
        return [word.text for word in self.words[self.at : self.at + count]]

    def take(self, *words: str) -> bool:
        """Moves past the words where they come next, all of them."""
        if self.ahead(len(words)) != list(words):
            return False
        self.at += len(words)
        return True

    def take_any(self, *words: str) -> str | None:
        """Takes one of the words."""
        return self._take(lambda word: word if word in words else None)

    def take_number(self) -> int | None:
        """Takes `2`, or `two` to `ten`."""
        return self._take(lambda word: int(word) if _NUMBER.fullmatch(word) else NUMBERS.get(word))

    def take_ordinal(self) -> int | None:
        """Takes `2nd`, `second`, `last` (-1) or `2nd last` (-2)."""
        number = self._take(_ordinal)
        if number is not None and number > 0 and self.take("last"):
            return -number
        return number

    def take_weekdays(self) -> list[int]:
        """Takes `mon, wed and fri`, `mon-fri` or `monday to friday`; Monday is 0."""
        found: set[int] = set()
        for first, last in self.take_list(self._take_days):
            found |= {(first + step) % 7 for step in range((last - first) % 7 + 1)}
        return sorted(found)

    def take_months(self) -> list[int]:
        """Takes `march, june and september`."""
        return sorted(set(self.take_list(self._take_month)))

    def take_list(self, take: Callable[[], Item | None]) -> list[Item]:
        """Takes items between commas and `and`."""
        found: list[Item] = []
        item = take()
        while item is not None:
            found.append(item)
            item = self._take_next(take)
        return found

    @_whole
    def take_time(self, *, is_marked: bool) -> time | None:
        """Takes `9:30`, `9am`, `9:30 pm`; where `at` stands before it, also `9` or `noon`."""
        if is_marked and (named := self._take(DAY_PARTS.get)) is not None:
            return time(named)
        match = self._take(_TIME.fullmatch)
        if match is None:
            return None
        hour, minute = int(match[1]), int(match[2] or 0)
        half = match[3] or self.take_any(*_HALVES)
        if half is None:
            is_time = (is_marked or match[2] is not None) and hour < 24
        else:
            is_time = 1 <= hour <= 12
            hour = hour % 12 + _HALVES[half]
        return time(hour, minute) if is_time else None

    @_whole
    def take_month_day(self) -> tuple[int, int] | None:
        """Takes `14 march`, `14th of march`, `march 14`: the month and the day."""
        day = self._take_day()
        if day is not None:
            self.take("of")
        month = self._take_month()
        if day is None:
            day = self._take_day()
        if month is None or day is None or not _exists(2000, month, day):
            return None
        return month, day

    def take_date(self, today: date) -> tuple[date, bool] | None:
        """Takes a date, and says whether it stands for the whole month or year it begins.

        Args:
            today: what comes without a year, or as a weekday, is the next after this day.
        """
        if (iso := self._take(_iso)) is not None:
            return iso, False
        if (weekday := self._take(WEEKDAYS.get)) is not None:
            return today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1), False
        if (month_day := self.take_month_day()) is not None:
            return _next(today, self._take_year(), *month_day), False
        if (month := self._take_month()) is not None:
            return _next(today, self._take_year(), month, 1), True
        if (year := self._take_year()) is not None:
            return date(year, 1, 1), True
        return None

    @_whole
    def _take_next(self, take: Callable[[], Item | None]) -> Item | None:
        comma = self.take(",")
        return take() if self.take_any("and", "&") or comma else None

    @_whole
    def _take_year(self) -> int | None:
        self.take(",")
        return self._take(lambda word: int(word) if _YEAR.fullmatch(word) else None)

    def _take_month(self) -> int | None:
        return self._take(MONTHS.get)

    def _take_day(self) -> int | None:
        day = self.take_number()
        return self.take_ordinal() if day is None else day

    def _take_days(self) -> tuple[int, int] | None:
        if (days := self._take(_days)) is not None:
            return days
        first = self._take(WEEKDAYS.get)
        if first is None:
            return None
        last = self._take_last_day()
        return first, first if last is None else last

    @_whole
    def _take_last_day(self) -> int | None:
        return self._take(WEEKDAYS.get) if self.take_any("to", "through", "-") else None

    def _take(self, read: Callable[[str], Item | None]) -> Item | None:
        for word in self.ahead():
            found = read(word)
            self.at += found is not None
            return found
        return None


def _ordinal(word: str) -> int | None:
    if match := _ORDINAL.fullmatch(word):
        return int(match[1])
    if word in ORDINAL_NAMES:
        return ORDINAL_NAMES.index(word) + 1
    return -1 if word == "last" else None


def _days(word: str) -> tuple[int, int] | None:
    match = _DAYS_RANGE.fullmatch(word)
    if match is None or match[1] not in WEEKDAYS or match[2] not in WEEKDAYS:
        return None
    return WEEKDAYS[match[1]], WEEKDAYS[match[2]]


def _iso(word: str) -> date | None:
    try:
        return date.fromisoformat(word) if _ISO.fullmatch(word) else None
    except ValueError:
        return None


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _next(today: date, year: int | None, month: int, day: int) -> date:
    """Returns the date in the year; without one, the next; 29 February may become 1 March."""
    if year is None:
        found = _next(today, today.year, month, day)
        return found if found > today else _next(today, today.year + 1, month, day)
    return date(year, month, day) if _exists(year, month, day) else date(year, month + 1, 1)
