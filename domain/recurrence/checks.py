"""What a series is refused for at creation: contradictions, haste, and rules that never fire."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from domain.errors import Refused, invalid
from domain.recurrence.local_text import basic_text
from domain.recurrence.patterns import smallest_step
from domain.recurrence.policies import Policies
from domain.recurrence.rule import Cron, LocalStart, LocalTime, Rule
from domain.recurrence.schedule import schedule
from domain.recurrence.slots import Slot
from domain.recurrence.zoned import COUNT_TICKS_MAX, uncountable

FLOOR = timedelta(minutes=1)


def check(
    rule: Rule,
    start: LocalStart,
    zone: ZoneInfo,
    policies: Policies,
    *,
    floor: timedelta | None = FLOOR,
) -> Slot:
    """Returns the first slot of a series that may be created.

    Args:
        rule: what to repeat.
        start: see `occurrences`.
        zone: see `occurrences`.
        policies: see `occurrences`.
        floor: see `check_floor`; None where the rule is only looked at.

    Raises:
        Refused: INVALID; the rule contradicts its start, fires more often than the floor
            allows, or never.
    """
    _check_bounds(rule, start)
    if floor is not None:
        check_floor(rule, start, floor)
    found = schedule(rule, start, zone, policies)
    if (found.count or 0) > COUNT_TICKS_MAX and not found.ticks.is_countable:
        # It could be begun, but not be told where it ends.
        raise uncountable()
    first = next(found.after(None), None)
    if first is None:
        raise _never(rule)
    return first


def check_floor(rule: Rule, start: LocalStart, floor: timedelta = FLOOR) -> None:
    """Refuses a rule that may fire more often than once in `floor`.

    What the zone's clock changes add is not counted: a time moved out of a gap may come sooner
    after the next one.

    Raises:
        Refused: INVALID.
    """
    step = timedelta(seconds=smallest_step(rule.pattern, start))
    if step < floor:
        part = _part(rule)
        example = "*/5 * * * *" if part == "cron" else "FREQ=MINUTELY;INTERVAL=5"
        raise invalid(
            f"The rule may fire {_span(step)} after it fired; the least here is {_span(floor)},"
            f" and {example} keeps it.",
            part,
        )


def _check_bounds(rule: Rule, start: LocalStart) -> None:
    pattern = rule.pattern
    if not isinstance(pattern, Cron) and pattern.until is not None:
        until = pattern.until
        # A day of tolerance where UNTIL is an instant: its local date depends on the zone.
        is_instant = isinstance(until, datetime) and until.tzinfo is not None
        day = until.date() if isinstance(until, datetime) else until
        if day < start.day - timedelta(days=is_instant and start.day > date.min):
            raise invalid(
                f"UNTIL: {basic_text(until)} lies before the start, {start.day}; end the rule"
                f" later, as in UNTIL={start.day.year + 1:04}0101.",
                "rule",
            )
    early = [found for found in rule.with_dates if _is_before(found, start)]
    if early:
        raise invalid(
            f"RDATE: {early[0].day} lies before the start, {start.day}; leave it out, or start"
            " earlier.",
            _part(rule),
        )


def _never(rule: Rule) -> Refused:
    part = _part(rule)
    if part == "cron":
        # A line has no end of its own: the calendar's is what is left, and EXDATE.
        return invalid("The line never fires from its start on; start earlier.", part)
    return invalid(
        "The rule never fires between its start and its end; move the end, or leave it out,"
        " as in FREQ=DAILY.",
        part,
    )


def _part(rule: Rule) -> str:
    """Returns the input that the rule was read from."""
    return "cron" if isinstance(rule.pattern, Cron) else "rule"


def _is_before(found: LocalTime, start: LocalStart) -> bool:
    if found.day != start.day or found.at is None or start.at is None:
        return found.day < start.day
    return found.at < start.at


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    if seconds % 60 or not seconds:
        return f"{seconds} s"
    return f"{seconds // 60} min"
