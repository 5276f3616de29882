"""RFC 5545 text into rules and back: RRULE, with RDATE and EXDATE on lines of their own."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from domain.errors import Code, Problem, Refused
from domain.recurrence.local_text import basic_text, local_time, until_value
from domain.recurrence.rule import (
    WEEKDAYS,
    ByDay,
    Cron,
    Frequency,
    LocalTime,
    RRule,
    Rule,
    Skip,
)

# Every list in full (366 year days, both signs, and so on) fits; more is no rule.
TEXT_MAX_CHARS = 16_384
DATES_MAX = 1_000
# COUNT=1000000000 is a number, a hundred digits are an attack.
NUMBER_MAX_DIGITS = 10
_NUMBER = re.compile(r"[0-9]+")
_SIGNED = re.compile(r"([+-]?)([0-9]{1,3})")
_BY_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")


class _Wrong(ValueError):
    """What is wrong with one part; the message says how it is written."""


@dataclass(frozen=True, slots=True)
class _List:
    """A BYxxx part of numbers: its field, what it names, bounds, and a correct example."""

    field: str
    what: str
    low: int
    high: int
    example: str
    signed: bool = False

    def read(self, text: str) -> tuple[int, ...]:
        return tuple(sorted({self._one(item) for item in text.split(",")}))

    def _one(self, item: str) -> int:
        match = _SIGNED.fullmatch(item)
        value = int(match[2]) if match else -1
        fits = match is not None and self.low <= value <= self.high
        if not fits or (match is not None and match[1] == "-" and not self.signed):
            signs = f", or -{self.low} to -{self.high} from the end" if self.signed else ""
            raise _Wrong(
                f"{item or 'nothing'!r} is not {self.what} ({self.low} to {self.high}{signs});"
                f" write it as in {self.example}."
            )
        return -value if match is not None and match[1] == "-" else value


_LISTS = {
    "BYSECOND": _List("by_second", "a second", 0, 60, "BYSECOND=0,30"),
    "BYMINUTE": _List("by_minute", "a minute", 0, 59, "BYMINUTE=0,30"),
    "BYHOUR": _List("by_hour", "an hour", 0, 23, "BYHOUR=9,17"),
    "BYMONTHDAY": _List("by_month_day", "a day of the month", 1, 31, "BYMONTHDAY=1,-1", True),
    "BYYEARDAY": _List("by_year_day", "a day of the year", 1, 366, "BYYEARDAY=1,-1", True),
    "BYWEEKNO": _List("by_week_no", "a week of the year", 1, 53, "BYWEEKNO=1,-1", True),
    "BYMONTH": _List("by_month", "a month", 1, 12, "BYMONTH=3,9"),
    "BYSETPOS": _List("by_set_pos", "a position", 1, 366, "BYSETPOS=-1", True),
}


def parse_rrule(text: str) -> Rule:
    """Reads one RRULE, with or without its name, and RDATE and EXDATE lines beside it.

    Raises:
        Refused: INVALID, one problem for each part that is wrong; each names the part and
            shows a correct one.
    """
    if len(text) > TEXT_MAX_CHARS:
        raise _refused([f"The rule has more than {TEXT_MAX_CHARS} characters; write a shorter one."])
    rules, dates, problems = _lines(text.upper())
    if len(rules) != 1:
        problems.append(
            f"There are {len(rules)} rules; write exactly one, such as FREQ=WEEKLY;BYDAY=MO,TH."
        )
        raise _refused(problems)
    pattern = _pattern(rules[0], problems)
    if problems or pattern is None:
        raise _refused(problems)
    return Rule(pattern=pattern, with_dates=dates["RDATE"], without_dates=dates["EXDATE"])


def text_of(rule: Rule) -> str:
    """Returns the rule's canonical text; reading it gives an equal rule.

    A crontab line has no place for RDATE and EXDATE: they are left out of it.
    """
    if isinstance(rule.pattern, Cron):
        return rule.pattern.text
    lines = [_rrule(rule.pattern)]
    if rule.with_dates or rule.without_dates:
        lines[0] = f"RRULE:{lines[0]}"
    lines += _date_lines("RDATE", rule.with_dates)
    lines += _date_lines("EXDATE", rule.without_dates)
    return "\n".join(lines)


def _refused(problems: Iterable[str]) -> Refused:
    return Refused(*(Problem(Code.INVALID, problem, ("rule",)) for problem in problems))


def _lines(text: str) -> tuple[list[str], dict[str, tuple[LocalTime, ...]], list[str]]:
    rules: list[str] = []
    dates: dict[str, tuple[LocalTime, ...]] = {"RDATE": (), "EXDATE": ()}
    problems: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        head, colon, body = line.rpartition(":")
        name, _, parameters = head.partition(";")
        if not colon or name == "RRULE":
            rules.append(body)
        elif name in dates:
            try:
                dates[name] = local_times([*dates[name], *body.split(",")], parameters)
            except _Wrong as wrong:
                problems.append(f"{name}: {wrong}")
        else:
            problems.append(
                f"{name} is not read here: the start has its own field, the rest is RRULE,"
                " RDATE and EXDATE, such as RRULE:FREQ=DAILY;COUNT=3."
            )
    return rules, dates, problems


def local_times(
    items: Iterable[str | LocalTime], parameters: str = ""
) -> tuple[LocalTime, ...]:
    """Returns the local times of an RDATE or EXDATE line, sorted.

    Raises:
        ValueError: one of them is not a local time, or there are too many.
    """
    if parameters not in {"", "VALUE=DATE", "VALUE=DATE-TIME"}:
        raise _Wrong(f"{parameters} is not read; write local times, as in 20270131T090000.")
    found = set()
    for item in items:
        value = item if isinstance(item, LocalTime) else local_time(item.strip())
        if value is None:
            raise _Wrong(
                f"{item!r} is not a local time; write 20270131T090000, 2027-01-31T09:00 or a date."
            )
        found.add(value)
    if len(found) > DATES_MAX:
        raise _Wrong(f"there are more than {DATES_MAX} dates; write fewer.")
    return tuple(sorted(found, key=_date_text))


def _pattern(text: str, problems: list[str]) -> RRule | None:
    fields: dict[str, object] = {}
    seen: set[str] = set()
    for part in text.rstrip(";").split(";"):
        name, _, value = part.strip().partition("=")
        try:
            if name in seen:
                raise _Wrong("is there twice; write it once.")  # noqa: TRY301 - gathered below
            seen.add(name)
            _read(name, value.strip(), fields)
        except _Wrong as wrong:
            problems.append(f"{name or 'An empty part'}: {wrong}")
    if "FREQ" not in seen:
        problems.append("FREQ is missing; begin with it, as in FREQ=DAILY.")
    if problems:
        return None
    pattern = RRule(**fields)  # type: ignore[arg-type] - each reader gives its field's type
    problems += _contradictions(pattern, seen)
    return pattern


def _read(name: str, value: str, fields: dict[str, object]) -> None:
    if name in _LISTS:
        part = _LISTS[name]
        fields[part.field] = part.read(value)
    elif name in _READERS:
        _READERS[name](value, fields)
    else:
        raise _Wrong("is no part of a rule; FREQ=MONTHLY;BYDAY=-1FR shows how one looks.")


def _frequency(value: str, fields: dict[str, object]) -> None:
    if value not in Frequency.__members__:
        names = ", ".join(frequency.name for frequency in reversed(Frequency))
        raise _Wrong(f"{value!r} is not one of {names}; write FREQ=WEEKLY.")
    fields["frequency"] = Frequency[value]


def _positive(field: str, example: str) -> Callable[[str, dict[str, object]], None]:
    def read(value: str, fields: dict[str, object]) -> None:
        if not _NUMBER.fullmatch(value) or len(value) > NUMBER_MAX_DIGITS or int(value) < 1:
            raise _Wrong(f"{value[:20]!r} is not a number from 1 up; write {example}.")
        fields[field] = int(value)

    return read


def _until(value: str, fields: dict[str, object]) -> None:
    until = until_value(value)
    if until is None:
        raise _Wrong(f"{value!r} is no date; write UNTIL=20271231 or UNTIL=20271231T225959Z.")
    fields["until"] = until


def _by_day(value: str, fields: dict[str, object]) -> None:
    days = set()
    for item in value.split(","):
        match = _BY_DAY.fullmatch(item)
        ordinal = int(match[1] or 0) if match else 0
        if match is None or abs(ordinal) > 53 or (match[1] and not ordinal):
            raise _Wrong(f"{item!r} is no weekday; write BYDAY=MO,FR, or BYDAY=-1FR for the last.")
        days.add(ByDay(ordinal, WEEKDAYS.index(match[2])))
    fields["by_day"] = tuple(sorted(days))


def _week_start(value: str, fields: dict[str, object]) -> None:
    if value not in WEEKDAYS:
        raise _Wrong(f"{value!r} is no weekday; write WKST=MO.")
    fields["week_start"] = WEEKDAYS.index(value)


def _calendar(value: str, fields: dict[str, object]) -> None:
    if value != "GREGORIAN":
        raise _Wrong(f"{value!r} is not read; the only calendar is RSCALE=GREGORIAN.")
    fields.setdefault("skip", Skip.OMIT)


def _skip(value: str, fields: dict[str, object]) -> None:
    if value not in Skip.__members__:
        raise _Wrong(f"{value!r} is not OMIT, BACKWARD or FORWARD; write SKIP=BACKWARD.")
    fields["skip"] = Skip[value]


_READERS: dict[str, Callable[[str, dict[str, object]], None]] = {
    "FREQ": _frequency,
    "INTERVAL": _positive("interval", "INTERVAL=2"),
    "COUNT": _positive("count", "COUNT=10"),
    "UNTIL": _until,
    "BYDAY": _by_day,
    "WKST": _week_start,
    "RSCALE": _calendar,
    "SKIP": _skip,
}


def _contradictions(rule: RRule, seen: set[str]) -> Iterable[str]:
    """Yields what RFC 5545, 3.3.10 forbids ("MUST NOT"), and RFC 7529, 4.1."""
    frequency = rule.frequency
    if "COUNT" in seen and "UNTIL" in seen:
        yield "COUNT and UNTIL exclude each other; write one, such as COUNT=10."
    if rule.by_week_no and frequency is not Frequency.YEARLY:
        yield "BYWEEKNO needs a year; write FREQ=YEARLY;BYWEEKNO=20."
    if rule.by_year_day and Frequency.HOURLY < frequency < Frequency.YEARLY:
        yield "BYYEARDAY needs a year; write FREQ=YEARLY;BYYEARDAY=100."
    if rule.by_month_day and frequency is Frequency.WEEKLY:
        yield "BYMONTHDAY needs a month; write FREQ=MONTHLY;BYMONTHDAY=15."
    if any(day.ordinal for day in rule.by_day):
        if frequency < Frequency.MONTHLY:
            yield "BYDAY counts weekdays of a month or year; write FREQ=MONTHLY;BYDAY=2TU."
        if rule.by_week_no:
            yield "BYDAY has no numbers beside BYWEEKNO; write FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO."
    others = any(name.startswith("BY") and name != "BYSETPOS" for name in seen)
    if rule.by_set_pos and not others:
        yield "BYSETPOS picks from another part; write FREQ=MONTHLY;BYDAY=MO,FR;BYSETPOS=-1."
    if "SKIP" in seen and "RSCALE" not in seen:
        yield "SKIP needs a calendar; write RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD."


def _rrule(rule: RRule) -> str:
    parts = [] if rule.skip is None else ["RSCALE=GREGORIAN"]
    parts.append(f"FREQ={rule.frequency.name}")
    if rule.interval != 1:
        parts.append(f"INTERVAL={rule.interval}")
    if rule.count is not None:
        parts.append(f"COUNT={rule.count}")
    if rule.until is not None:
        parts.append(f"UNTIL={basic_text(rule.until)}")
    for name, part in _LISTS.items():
        if name == "BYMONTHDAY" and rule.by_day:
            parts.append("BYDAY=" + ",".join(map(_day_text, rule.by_day)))
        values: tuple[int, ...] = getattr(rule, part.field)
        if values:
            parts.append(f"{name}=" + ",".join(map(str, values)))
    if rule.week_start:
        parts.append(f"WKST={WEEKDAYS[rule.week_start]}")
    if rule.skip not in {None, Skip.OMIT}:
        parts.append(f"SKIP={rule.skip.name}")  # type: ignore[union-attr] - the line above
    return ";".join(parts)


def _day_text(day: ByDay) -> str:
    return f"{day.ordinal or ''}{WEEKDAYS[day.weekday]}"


def _date_lines(name: str, dates: tuple[LocalTime, ...]) -> list[str]:
    days = [date for date in dates if date.at is None]
    times = [date for date in dates if date.at is not None]
    lines = [f"{name};VALUE=DATE:" + ",".join(map(_date_text, days))] if days else []
    return lines + ([f"{name}:" + ",".join(map(_date_text, times))] if times else [])


def _date_text(local: LocalTime) -> str:
    if local.at is None:
        return basic_text(local.day)
    text = datetime.combine(local.day, local.at)
    # RFC 5545 has no word for the second of two equal times; the slot's text has.
    return f"{text.isoformat()}f" if local.fold else basic_text(text)
