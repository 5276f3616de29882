"""The values of the parts of an RFC 5545 rule: how each is read, and how it is written right."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

from domain.recurrence.local_text import until_value
from domain.recurrence.rule import WEEKDAYS, ByDay, Frequency, Skip

# COUNT=1000000000 is a number, a hundred digits are an attack.
NUMBER_MAX_DIGITS = 10
_NUMBER = re.compile(r"[0-9]+")
_SIGNED = re.compile(r"([+-]?)([0-9]{1,3})")
_BY_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
# What is quoted of a value that is wrong.
_SHOWN_CHARS = 40
Value = TypeVar("Value")
Default = TypeVar("Default")


class Wrong(ValueError):
    """What is wrong with one part; the message says how it is written."""


@dataclass(frozen=True, slots=True)
class NumberList:
    """A part that lists numbers: what it names, its bounds, and a correct example."""

    what: str
    low: int
    high: int
    example: str
    is_signed: bool = False

    def __call__(self, text: str) -> tuple[int, ...]:
        """Returns the numbers, sorted.

        Raises:
            Wrong: one of them is none of these.
        """
        return tuple(sorted({self._one(item) for item in text.split(",")}))

    def _one(self, item: str) -> int:
        match = _SIGNED.fullmatch(item)
        if match is None or (match[1] == "-" and not self.is_signed):
            raise self._wrong(item)
        if not self.low <= int(match[2]) <= self.high:
            raise self._wrong(item)
        return -int(match[2]) if match[1] == "-" else int(match[2])

    def _wrong(self, item: str) -> Wrong:
        ends = f", or -{self.low} to -{self.high} from the end" if self.is_signed else ""
        return Wrong(
            f"{quoted(item)} is not {self.what} ({self.low} to {self.high}{ends}); write it as in"
            f" {self.example}."
        )


LISTS: Mapping[str, NumberList] = {
    "BYSECOND": NumberList("a second", 0, 60, "BYSECOND=0,30"),
    "BYMINUTE": NumberList("a minute", 0, 59, "BYMINUTE=0,30"),
    "BYHOUR": NumberList("an hour", 0, 23, "BYHOUR=9,17"),
    "BYMONTHDAY": NumberList("a day of the month", 1, 31, "BYMONTHDAY=1,-1", is_signed=True),
    "BYYEARDAY": NumberList("a day of the year", 1, 366, "BYYEARDAY=1,-1", is_signed=True),
    "BYWEEKNO": NumberList("a week of the year", 1, 53, "BYWEEKNO=1,-1", is_signed=True),
    "BYMONTH": NumberList("a month", 1, 12, "BYMONTH=3,9"),
    "BYSETPOS": NumberList("a position", 1, 366, "BYSETPOS=-1", is_signed=True),
}
NAMES = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST", "RSCALE", "SKIP", *LISTS})


def quoted(text: str) -> str:
    """Returns the text as messages show it, not longer than a line needs."""
    return repr(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}...")


@dataclass(frozen=True, slots=True)
class Parts:
    """The texts of a rule's parts by name, and what was found wrong with them."""

    texts: Mapping[str, str]
    problems: list[str]

    def read(self, name: str, reader: Callable[[str], Value], default: Default) -> Value | Default:
        """Returns the value of a part; the default where it is absent or wrong."""
        if name not in self.texts:
            return default
        try:
            return reader(self.texts[name])
        except Wrong as wrong:
            self.problems.append(f"{name}: {wrong}")
            return default

    def numbers(self, name: str) -> tuple[int, ...]:
        """Returns the numbers of a list; none where it is absent or wrong."""
        return self.read(name, LISTS[name], ())


def frequency(text: str) -> Frequency:
    """Reads FREQ."""
    if text not in Frequency.__members__:
        names = ", ".join(frequency.name for frequency in reversed(Frequency))
        raise Wrong(f"{quoted(text)} is not one of {names}; write FREQ=WEEKLY.")
    return Frequency[text]


def positive(text: str) -> int:
    """Reads INTERVAL or COUNT."""
    if not _NUMBER.fullmatch(text) or len(text) > NUMBER_MAX_DIGITS or int(text) < 1:
        raise Wrong(f"{quoted(text)} is not a number from 1 up; write INTERVAL=2 or COUNT=10.")
    return int(text)


def until(text: str) -> date | datetime:
    """Reads UNTIL."""
    found = until_value(text)
    if found is None:
        raise Wrong(f"{quoted(text)} is no date; write UNTIL=20271231 or UNTIL=20271231T225959Z.")
    return found


def by_day(text: str) -> tuple[ByDay, ...]:
    """Reads BYDAY."""
    return tuple(sorted({_weekday(item) for item in text.split(",")}))


def _weekday(item: str) -> ByDay:
    match = _BY_DAY.fullmatch(item)
    ordinal = int(match[1] or 0) if match else 0
    if match is None or abs(ordinal) > 53 or (match[1] and not ordinal):
        raise Wrong(f"{quoted(item)} is no weekday; write BYDAY=MO,FR, or BYDAY=-1FR for the last.")
    return ByDay(ordinal, WEEKDAYS.index(match[2]))


def week_start(text: str) -> int:
    """Reads WKST."""
    if text not in WEEKDAYS:
        raise Wrong(f"{quoted(text)} is no weekday; write WKST=MO.")
    return WEEKDAYS.index(text)


def calendar(text: str) -> Skip:
    """Reads RSCALE; with a calendar named, SKIP is OMIT where it is absent (RFC 7529, 4.1)."""
    if text != "GREGORIAN":
        raise Wrong(f"{quoted(text)} is not read; the only calendar is RSCALE=GREGORIAN.")
    return Skip.OMIT


def skip(text: str) -> Skip:
    """Reads SKIP."""
    if text not in Skip.__members__:
        raise Wrong(f"{quoted(text)} is not OMIT, BACKWARD or FORWARD; write SKIP=BACKWARD.")
    return Skip[text]
