"""The public scalars: strict when read, passed on as they are when answered.

Answers come from the log and from PostgreSQL's JSON as texts in their final form, so serialising
leaves texts alone; only the defaults of arguments are still Python values.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any, NewType
from zoneinfo import ZoneInfo

import strawberry
from strawberry.types.scalar import ScalarDefinition

from domain import durations
from domain.tasks import instant_text
from domain.zone_names import zone_named

Sequence = NewType("Sequence", int)
DateTime = NewType("DateTime", datetime)
Date = NewType("Date", date)
LocalTime = NewType("LocalTime", time)
TimeZone = NewType("TimeZone", ZoneInfo)
Duration = durations.Duration
Colour = NewType("Colour", str)

SEQUENCE_MAX = 2**63 - 1
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_LOCAL_TIME = re.compile(r"\d\d:\d\d(:\d\d)?", re.ASCII)


def _sequence(value: object) -> Sequence:
    if isinstance(value, str) and re.fullmatch(r"0|[1-9]\d{0,18}", value, re.ASCII):
        number = int(value)
        if number <= SEQUENCE_MAX:
            return Sequence(number)
    raise ValueError('Write a sequence number as a decimal string, such as "42".')


def _instant(value: object) -> DateTime:
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        try:
            # Beyond microseconds nothing is kept; fromisoformat takes at most six digits.
            exact = re.sub(r"(\.\d{6})\d+", r"\1", value.upper())
            return DateTime(datetime.fromisoformat(exact).astimezone(UTC))
        except (ValueError, OverflowError):
            pass
    raise ValueError("Write an instant as RFC 3339 with an offset, such as 2026-11-23T09:00:00Z.")


def _date(value: object) -> Date:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        try:
            return Date(date.fromisoformat(value))
        except ValueError:
            pass
    raise ValueError("Write a date as YYYY-MM-DD, such as 2026-11-23.")


def _local_time(value: object) -> LocalTime:
    if isinstance(value, str) and _LOCAL_TIME.fullmatch(value):
        try:
            return LocalTime(time.fromisoformat(value))
        except ValueError:
            pass
    raise ValueError("Write a time of day as HH:MM or HH:MM:SS, such as 09:30.")


def _zone(value: object) -> TimeZone:
    if (zone := zone_named(value)) is None:
        raise ValueError("Write an IANA time zone name, such as Europe/Paris.")
    return TimeZone(zone)


def _duration(value: object) -> Duration:
    found = durations.parse(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("Write a duration as ISO 8601, such as PT30M or P1D.")
    return found


def _colour(value: object) -> Colour:
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return Colour(value.lower())
    raise ValueError("Write a colour as #rrggbb, such as #3366cc.")


def _scalar(
    name: str, parse: Callable[[Any], object], description: str, write: Callable[[Any], str] = str
) -> ScalarDefinition:
    return strawberry.scalar(
        name=name,
        description=description,
        parse_value=parse,
        serialize=lambda value: value if isinstance(value, str) else write(value),
    )


SCALARS: dict[object, ScalarDefinition] = {
    Sequence: _scalar(
        "Sequence",
        _sequence,
        "Number of a change in its stream, as a decimal string: 1, 2, 3 ... without a gap, in"
        ' commit order. "0" is before the first. Compare as numbers.',
    ),
    DateTime: _scalar(
        "DateTime",
        _instant,
        "RFC 3339 with offset; answered in UTC, up to microseconds.",
        lambda value: instant_text(value) or "",
    ),
    Date: _scalar("Date", _date, "A calendar date, YYYY-MM-DD."),
    LocalTime: _scalar("LocalTime", _local_time, "Wall-clock time of day, HH:MM[:SS]."),
    TimeZone: _scalar("TimeZone", _zone, "IANA name, such as Europe/Paris."),
    Duration: _scalar(
        "Duration", _duration, "ISO 8601, such as PT30M or P1D.", durations.duration_text
    ),
    Colour: _scalar("Colour", _colour, "#rrggbb"),
}
