"""The recurrence of a VTODO, where the service has a series for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from domain.errors import Refused
from domain.recurrence.checks import check
from domain.recurrence.policies import policies_for
from domain.recurrence.rrule_text import parse_rrule, text_of
from domain.recurrence.rule import LocalStart


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDue:
    """A date, a time unless all day, and an IANA zone unless the reader's own is meant."""

    day: date
    at: time | None
    zone: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """A rule as the service reads it, and where it starts."""

    rule: str
    start: LocalDue


def recurring(lines: Iterable[str], start: LocalDue, due: LocalDue | None) -> Recurring | str:
    """Returns the recurrence, or why it cannot be a series.

    Args:
        lines: its RRULE, RDATE and EXDATE.
        start: what anchors it: the due, or the start where there is none.
        due: what the task is due; it has to be the first slot, or all dues would move.
    """
    begins = LocalStart(start.day, start.at)
    try:
        rule = parse_rrule("\n".join(_local(line, start.zone) for line in lines))
        zone = ZoneInfo(start.zone or "UTC")
        first = check(rule, begins, zone, policies_for(rule))
    except Refused as refused:
        return "; ".join(problem.message for problem in refused.problems)
    if due is not None and first.local != datetime.combine(due.day, due.at or time()):
        return "The rule does not hit what the task is due."
    return Recurring(rule=text_of(rule), start=start)


def _local(line: str, zone: str | None) -> str:
    """Returns the line without the zone's name, where that is the series' own."""
    head, colon, body = line.partition(":")
    name, *parameters = head.upper().split(";")
    own = f"TZID={zone}".upper()
    if zone == "UTC" and name != "RRULE":
        body = body.upper().replace("Z", "")
    return ";".join([name, *(one for one in parameters if one != own)]) + colon + body
