"""The due model: a local date, with a time or all day, in an IANA zone; the instant is derived."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When a task is due, as a person in `zone` says it.

    `instant` is when it is over, in UTC: the time itself, or for an all-day due the next local
    midnight. `fold` picks the second of two equal local times (PEP 495), and is false elsewhere.
    """

    day: date
    at: time | None
    zone: str
    fold: bool
    instant: datetime


def due(day: date, at: time | None, zone: ZoneInfo, *, fold: bool) -> Due:
    """Returns the due with its instant; the zone's key must be the name the user gave.

    A local time in a gap means the instant that the offset before the gap gives (RFC 5545,
    3.3.5: 02:30 on the day clocks jump from 2 to 3 is 03:30), which is PEP 495's fold=0. `fold`
    counts only where the local time comes twice: in a gap, PEP 495 would turn clocks back by it.

    Raises:
        OverflowError: the instant lies outside years 1 to 9999.
    """
    if at is None:
        local = datetime.combine(day + timedelta(days=1), time(), zone)
    else:
        local = datetime.combine(day, at.replace(fold=0), zone)
    is_second = fold and at is not None and _comes_twice(local)
    instant = local.replace(fold=int(is_second)).astimezone(UTC)
    return Due(day=day, at=at, zone=zone.key, fold=is_second, instant=instant)


def _comes_twice(local: datetime) -> bool:
    first, second = local.utcoffset(), local.replace(fold=1).utcoffset()
    # Clocks went back in between; in a gap, fold=1 has the greater offset.
    return first is not None and second is not None and second < first
