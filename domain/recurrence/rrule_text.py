"""RFC 5545 text into rules and back: RRULE, with RDATE and EXDATE on lines of their own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from domain.errors import Code, Problem, Refused
from domain.recurrence import rrule_parts as parts
from domain.recurrence.local_text import basic_text, local_time
from domain.recurrence.rrule_parts import Parts, Wrong, quoted
from domain.recurrence.rule import WEEKDAYS, Cron, Frequency, LocalTime, RRule, Rule, Skip

# Every list in full (366 year days, both signs, and so on) fits, and some dates.
TEXT_MAX_CHARS = 32_768
DATES_MAX = 1_000


def parse_rrule(text: str) -> Rule:
    """Reads one RRULE, with or without its name, and RDATE and EXDATE lines beside it.

    Raises:
        Refused: INVALID, one problem for each part that is wrong; each names the part and
            shows a correct one.
    """
    if len(text) > TEXT_MAX_CHARS:
        raise _refused([f"Write a rule of at most {TEXT_MAX_CHARS} characters."])
    lines = _Lines()
    for line in filter(None, map(str.strip, text.upper().splitlines())):
        lines.take(line)
    if len(lines.rules) != 1:
        lines.problems.append(
            f"There are {len(lines.rules)} rules; write exactly one, such as FREQ=DAILY."
        )
        raise _refused(lines.problems)
    pattern = _pattern(lines.rules[0], lines.problems)
    if lines.problems:
        raise _refused(lines.problems)
    return Rule(
        pattern=pattern,
        with_dates=lines.dates["RDATE"],
        without_dates=lines.dates["EXDATE"],
    )


def text_of(rule: Rule) -> str:
    """Returns the rule's canonical text; reading it gives an equal rule.

    A crontab line has no place for RDATE and EXDATE: they are left out of it.
    """
    if isinstance(rule.pattern, Cron):
        return rule.pattern.text
    text = _rrule(rule.pattern)
    dates = [
        *_date_lines("RDATE", rule.with_dates),
        *_date_lines("EXDATE", rule.without_dates),
    ]
    return "\n".join([f"RRULE:{text}", *dates]) if dates else text


def local_times(items: Iterable[str]) -> tuple[LocalTime, ...]:
    """Returns the local times of an RDATE or EXDATE, sorted, each once.

    Raises:
        Wrong: one of them is not a local time, or there are too many.
    """
    found = set()
    for item in items:
        value = local_time(item.strip())
        if value is None:
            raise Wrong(
                f"{quoted(item)} is no local time; write 20270131T090000, 2027-01-31T09:00 or a"
                " date."
            )
        found.add(value)
    if len(found) > DATES_MAX:
        raise Wrong(f"there are more than {DATES_MAX} dates; write fewer.")
    return tuple(sorted(found, key=_date_text))


def _refused(problems: Iterable[str]) -> Refused:
    return Refused(*(Problem(Code.INVALID, problem, ("rule",)) for problem in problems))


@dataclass(frozen=True, slots=True)
class _Lines:
    """What the lines of a text hold."""

    rules: list[str] = field(default_factory=list)
    dates: dict[str, tuple[LocalTime, ...]] = field(
        default_factory=lambda: {"RDATE": (), "EXDATE": ()}
    )
    problems: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        head, colon, body = line.partition(":")
        name, _, parameters = head.partition(";")
        if not colon or head == "RRULE":
            self.rules.append(body if colon else line)
        elif name not in self.dates:
            self.problems.append(
                f"{quoted(head)} is not read here: the start has its own field, the rest is RRULE,"
                " RDATE and EXDATE, such as RRULE:FREQ=DAILY;COUNT=3."
            )
        elif parameters not in {"", "VALUE=DATE", "VALUE=DATE-TIME"}:
            self.problems.append(
                f"{name}: {quoted(parameters)} is not read; write local times of the series' own"
                f" zone, as in {name}:20270131T090000."
            )
        else:
            self._take_dates(name, body)

    def _take_dates(self, name: str, body: str) -> None:
        try:
            earlier = map(_date_text, self.dates[name])
            self.dates[name] = local_times([*earlier, *body.split(",")])
        except Wrong as wrong:
            self.problems.append(f"{name}: {wrong}")


def _pattern(text: str, problems: list[str]) -> RRule:
    texts: dict[str, str] = {}
    for part in text.rstrip(";").split(";"):
        name, _, value = (word.strip() for word in part.partition("="))
        if name in texts:
            problems.append(f"{name} is there twice; write it once.")
        elif name not in parts.NAMES:
            problems.append(
                f"{quoted(name)} is no part of a rule; FREQ=MONTHLY;BYDAY=-1FR shows how one looks."
            )
        texts[name] = value
    if "FREQ" not in texts:
        problems.append("FREQ is missing; begin with it, as in FREQ=DAILY.")
    if "SKIP" in texts and "RSCALE" not in texts:
        problems.append("SKIP needs a calendar: RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD.")
    rule = _rule(Parts(texts, problems))
    if not problems:
        problems += [message for is_wrong, message in _FORBIDDEN if is_wrong(rule)]
    return rule


def _rule(given: Parts) -> RRule:
    return RRule(
        frequency=given.read("FREQ", parts.frequency, Frequency.DAILY),
        interval=given.read("INTERVAL", parts.positive, 1),
        count=given.read("COUNT", parts.positive, None),
        until=given.read("UNTIL", parts.until, None),
        by_second=given.numbers("BYSECOND"),
        by_minute=given.numbers("BYMINUTE"),
        by_hour=given.numbers("BYHOUR"),
        by_day=given.read("BYDAY", parts.by_day, ()),
        by_month_day=given.numbers("BYMONTHDAY"),
        by_year_day=given.numbers("BYYEARDAY"),
        by_week_no=given.numbers("BYWEEKNO"),
        by_month=given.numbers("BYMONTH"),
        by_set_pos=given.numbers("BYSETPOS"),
        week_start=given.read("WKST", parts.week_start, 0),
        skip=given.read("SKIP", parts.skip, given.read("RSCALE", parts.calendar, None)),
    )


def _has_ordinals(rule: RRule) -> bool:
    return any(day.ordinal for day in rule.by_day)


def _picks_from_nothing(rule: RRule) -> bool:
    of_days = rule.by_day or rule.by_month_day or rule.by_year_day or rule.by_week_no
    of_times = rule.by_hour or rule.by_minute or rule.by_second
    return bool(rule.by_set_pos) and not (of_days or of_times or rule.by_month)


# What RFC 5545, 3.3.10 forbids ("MUST NOT").
_FORBIDDEN: tuple[tuple[Callable[[RRule], bool], str], ...] = (
    (
        lambda rule: rule.count is not None and rule.until is not None,
        "COUNT and UNTIL exclude each other; write one, such as COUNT=10.",
    ),
    (
        lambda rule: bool(rule.by_week_no) and rule.frequency is not Frequency.YEARLY,
        "BYWEEKNO needs a year; write FREQ=YEARLY;BYWEEKNO=20.",
    ),
    (
        lambda rule: (
            bool(rule.by_year_day) and Frequency.HOURLY < rule.frequency < Frequency.YEARLY
        ),
        "BYYEARDAY needs a year; write FREQ=YEARLY;BYYEARDAY=100.",
    ),
    (
        lambda rule: bool(rule.by_month_day) and rule.frequency is Frequency.WEEKLY,
        "BYMONTHDAY needs a month; write FREQ=MONTHLY;BYMONTHDAY=15.",
    ),
    (
        lambda rule: _has_ordinals(rule) and rule.frequency < Frequency.MONTHLY,
        "BYDAY counts weekdays of a month or year only; write FREQ=MONTHLY;BYDAY=2TU.",
    ),
    (
        lambda rule: _has_ordinals(rule) and bool(rule.by_week_no),
        "BYDAY has no numbers beside BYWEEKNO; write FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO.",
    ),
    (
        _picks_from_nothing,
        "BYSETPOS picks from another part; write FREQ=MONTHLY;BYDAY=MO,FR;BYSETPOS=-1.",
    ),
)


def _rrule(rule: RRule) -> str:
    texts = {
        "RSCALE": "GREGORIAN" if rule.skip else "",
        "FREQ": rule.frequency.name,
        "INTERVAL": "" if rule.interval == 1 else str(rule.interval),
        "COUNT": "" if rule.count is None else str(rule.count),
        "UNTIL": basic_text(rule.until) if rule.until else "",
        "BYSECOND": _numbers(rule.by_second),
        "BYMINUTE": _numbers(rule.by_minute),
        "BYHOUR": _numbers(rule.by_hour),
        "BYDAY": ",".join(f"{day.ordinal or ''}{WEEKDAYS[day.weekday]}" for day in rule.by_day),
        "BYMONTHDAY": _numbers(rule.by_month_day),
        "BYYEARDAY": _numbers(rule.by_year_day),
        "BYWEEKNO": _numbers(rule.by_week_no),
        "BYMONTH": _numbers(rule.by_month),
        "BYSETPOS": _numbers(rule.by_set_pos),
        "WKST": WEEKDAYS[rule.week_start] if rule.week_start else "",
        "SKIP": rule.skip.name if rule.skip and rule.skip is not Skip.OMIT else "",
    }
    return ";".join(f"{name}={text}" for name, text in texts.items() if text)


def _numbers(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


def _date_lines(name: str, dates: tuple[LocalTime, ...]) -> list[str]:
    days = ",".join(_date_text(date) for date in dates if date.at is None)
    times = ",".join(_date_text(date) for date in dates if date.at is not None)
    lines = [f"{name};VALUE=DATE:{days}"] if days else []
    return [*lines, f"{name}:{times}"] if times else lines


def _date_text(local: LocalTime) -> str:
    if local.at is None:
        return basic_text(local.day)
    text = datetime.combine(local.day, local.at)
    # RFC 5545 has no word for the second of two equal times; the slot's text has.
    return f"{text.isoformat()}f" if local.fold else basic_text(text)
