"""Crontab lines into rules, as Debian's cron reads them, with seconds, `L`, `W` and `#`.

What Debian would read in silence as something else (`5#3` as `5`), or accept and never run
(`5-1`, 30 February), is refused.
"""

import re
from dataclasses import dataclass

from domain.errors import Code, Problem, Refused
from domain.recurrence.days import cron_days_exist
from domain.recurrence.rule import ByDay, Cron, Rule

TEXT_MAX_CHARS = 4_096
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ITEM = re.compile(r"(?:(\*)|([0-9]{1,4}|[a-z]{3})(?:-([0-9]{1,4}|[a-z]{3}))?)(?:/([0-9]{1,4}))?")
_LAST_DAY = re.compile(r"l(?:-([0-9]{1,2}))?")
_NEAR = re.compile(r"([0-9]{1,2}|l)w")
_NTH = re.compile(r"([0-7]|[a-z]{3})(?:#([1-5])|(l))")


class _Wrong(ValueError):
    """What is wrong with one field; the message says how it is written."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: what it is called, its bounds, its names in order from `low`, an example."""

    name: str
    low: int
    high: int
    example: str
    names: tuple[str, ...] = ()

    def read(self, text: str) -> set[int]:
        """Returns the values of one item: `*`, `5`, `1-5`, `*/10` or `1-9/2`."""
        match = _ITEM.fullmatch(text)
        if match is None:
            raise self.wrong(text)
        star, first, last, step = match.groups()
        if step is not None and (int(step) == 0 or not (star or last)):
            raise _Wrong(
                f"the {self.name} {text!r} has a step that counts nothing; steps stand after"
                f" * or a range, as in */10 or {self.low}-{self.high}/5."
            )
        low, high = (self.low, self.high) if star else (self.number(first), None)
        if high is None:
            high = low if last is None else self.number(last)
        if low > high:
            raise _Wrong(
                f"the {self.name} range {text!r} runs backwards and would never match; write it"
                f" upwards, or as two: {self.low}-{high},{low}-{self.high}."
            )
        return set(range(low, high + 1, int(step or 1)))

    def number(self, text: str) -> int:
        """Returns the value of a number or name."""
        if text in self.names:
            return self.low + self.names.index(text)
        if not text.isdigit() or not self.low <= int(text) <= self.high:
            raise self.wrong(text)
        return int(text)

    def wrong(self, text: str) -> _Wrong:
        """Returns the refusal of what is no value of the field."""
        return _Wrong(
            f"the {self.name} {text!r} is not read ({self.low} to {self.high}); write it as in"
            f" {self.example!r}."
        )


_SECOND = _Field("second", 0, 59, "30 0 9 * * *")
_MINUTE = _Field("minute", 0, 59, "*/15 * * * *")
_HOUR = _Field("hour", 0, 23, "0 9-17 * * *")
_MONTH_DAY = _Field("day of month", 1, 31, "0 9 1,15 * *")
_MONTH = _Field(
    "month",
    1,
    12,
    "0 9 1 jan,jul *",
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
)
_WEEK_DAY = _Field(
    "day of week", 0, 7, "0 9 * * mon-fri", ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
)


def parse_cron(text: str) -> Rule:
    """Reads a crontab line of five fields, six with seconds first, or a macro such as @daily.

    Raises:
        Refused: INVALID; each problem names the field and shows a correct line.
    """
    if len(text) > TEXT_MAX_CHARS:
        raise _refused(f"The line has more than {TEXT_MAX_CHARS} characters; write a shorter one.")
    words = text.lower().split()
    if len(words) == 1 and words[0].startswith("@"):
        words = _macro(words[0]).split()
    if len(words) not in {5, 6}:
        raise _refused(
            f"A line has five fields, or six with seconds first, not {len(words)}; write"
            " minute, hour, day of month, month and day of week, as in 0 9 * * 1-5."
        )
    problems: list[str] = []
    cron = _cron(words, problems)
    if problems:
        raise _refused(*problems)
    if not cron_days_exist(cron):
        raise _refused("No year has such a day; write one that comes, such as 0 9 28 2 *.")
    return Rule(pattern=cron)


def _macro(word: str) -> str:
    if word not in MACROS:
        names = ", ".join(MACROS)
        raise _refused(f"{word[:20]!r} is none of {names}; write one of these, such as @daily.")
    return MACROS[word]


def _refused(*problems: str) -> Refused:
    return Refused(*(Problem(Code.INVALID, problem, ("cron",)) for problem in problems))


def _cron(words: list[str], problems: list[str]) -> Cron:
    second, minute, hour, month_day, month, week_day = words if len(words) == 6 else ["0", *words]
    month_days, near_month_days = _month_days(month_day, problems)
    return Cron(
        text=" ".join(words).upper(),
        seconds=_numbers(_SECOND, second, problems),
        minutes=_numbers(_MINUTE, minute, problems),
        hours=_numbers(_HOUR, hour, problems),
        month_days=month_days,
        near_month_days=near_month_days,
        months=_numbers(_MONTH, month, problems),
        week_days=_week_days(week_day, problems),
        # Debian's entry.c sets DOM_STAR, DOW_STAR, MIN_STAR and HR_STAR by the first character.
        both_days=month_day.startswith("*") or week_day.startswith("*"),
        is_wildcard=minute.startswith("*") or hour.startswith("*"),
    )


def _numbers(field: _Field, text: str, problems: list[str]) -> tuple[int, ...]:
    found: set[int] = set()
    for item in text.split(","):
        try:
            found |= field.read(item)
        except _Wrong as wrong:
            problems.append(f"In {text[:40]!r}, {wrong}")
    return tuple(sorted(found))


def _month_days(text: str, problems: list[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    plain: list[str] = []
    days: set[int] = set()
    near: set[int] = set()
    for item in text.split(","):
        if match := _LAST_DAY.fullmatch(item):
            days.add(-1 - int(match[1] or 0))
        elif match := _NEAR.fullmatch(item):
            near.add(-1 if match[1] == "l" else int(match[1]))
        else:
            plain.append(item)
    if min(days, default=0) < -31 or max(near, default=0) > 31 or 0 in near:
        problems.append(
            f"In {text[:40]!r}, the day of month lies outside the month; write L, L-3, 15W or LW,"
            " as in 0 9 15W * *."
        )
    if plain:
        days |= set(_numbers(_MONTH_DAY, ",".join(plain), problems))
    return tuple(sorted(days)), tuple(sorted(near))


def _week_days(text: str, problems: list[str]) -> tuple[ByDay, ...]:
    found: set[ByDay] = set()
    plain: list[str] = []
    for item in text.split(","):
        match = _NTH.fullmatch(item)
        name = match[1] if match else ""
        if match is None or not (name.isdigit() or name in _WEEK_DAY.names):
            plain.append("" if item == "l" else item)
        else:
            found.add(ByDay(int(match[2] or -1), _from_sunday(_WEEK_DAY.number(name))))
    if "l" in text.split(","):
        problems.append(
            f"In {text[:40]!r}, L says no day of week: some read Saturday; write the day, as in"
            " 0 9 * * 5L for the last Friday."
        )
        plain = [item for item in plain if item]
    if plain:
        numbers = _numbers(_WEEK_DAY, ",".join(plain), problems)
        found |= {ByDay(0, _from_sunday(number)) for number in numbers}
    return tuple(sorted(found))


def _from_sunday(number: int) -> int:
    return (number + 6) % 7
