"""Local times as text: slots (`2027-03-28T02:30`, `f` for the second of two), RFC 5545 values."""

import re
from datetime import UTC, date, datetime, time

from domain.recurrence.rule import LocalTime

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?(f)?", re.ASCII | re.IGNORECASE
)
_BASIC = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)([Zf])?)?", re.ASCII | re.IGNORECASE)


def slot_text(local: datetime, *, fold: bool) -> str:
    """Returns `YYYY-MM-DDTHH:MM[:SS]`, with a trailing `f` for the second of two equal times."""
    return f"{local.isoformat(timespec='seconds' if local.second else 'minutes')}{'f' * fold}"


def local_time(text: str) -> LocalTime | None:
    """Reads `2027-03-28`, `2027-03-28T02:30[:00][f]` or RFC 5545's `20270328T023000[f]`.

    Returns None for anything else, an instant (`...Z`) included.
    """
    if basic := _BASIC.fullmatch(text):
        is_second = (basic[7] or "").lower() == "f"
        is_instant = bool(basic[7]) and not is_second
        return None if is_instant else _local(basic.groups()[:6], fold=is_second or None)
    if (match := _ISO.fullmatch(text)) and (match[4] or not match[7]):
        return _local(match.groups()[:6], fold=True if match[7] else None)
    return None


def until_value(text: str) -> date | datetime | None:
    """Reads RFC 5545's UNTIL: a date, a local time, or an instant in UTC; None for the rest."""
    match = _BASIC.fullmatch(text)
    if (
        match is None
        or match[7] in ("f", "F")
        or (found := _local(match.groups()[:6], fold=None)) is None
    ):
        return None
    if found.at is None:
        return found.day
    return datetime.combine(found.day, found.at, UTC if match[7] else None)


def basic_text(value: date | datetime) -> str:
    """Returns RFC 5545's form of a date, a local time, or an instant in UTC.

    Not by strftime, which leaves out the zeros of years before 1000.
    """
    day = f"{value.year:04}{value.month:02}{value.day:02}"
    if not isinstance(value, datetime):
        return day
    return f"{day}T{value.hour:02}{value.minute:02}{value.second:02}{'Z' if value.tzinfo else ''}"


def _local(parts: tuple[str | None, ...], *, fold: bool | None) -> LocalTime | None:
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    try:
        at = None if parts[3] is None else time(hour, minute, second)
        return LocalTime(day=date(year, month, day), at=at, fold=fold)
    except ValueError:
        return None
