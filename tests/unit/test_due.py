"""A due's instant is when it is over, also where clocks change."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from domain.due import Due, due

BERLIN = ZoneInfo("Europe/Berlin")


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    "_case, day, at, zone, fold, expected",
    [
        ("a time", date(2026, 11, 23), time(9, 30), BERLIN, False, _utc(2026, 11, 23, 8, 30)),
        (
            "all day: the next midnight",
            date(2026, 11, 23),
            None,
            BERLIN,
            False,
            _utc(2026, 11, 23, 23),
        ),
        ("a day of 23 hours", date(2026, 3, 29), None, BERLIN, False, _utc(2026, 3, 29, 22)),
        ("a day of 25 hours", date(2026, 10, 25), None, BERLIN, False, _utc(2026, 10, 25, 23)),
        (
            "in a gap: as before it",
            date(2026, 3, 29),
            time(2, 30),
            BERLIN,
            False,
            _utc(2026, 3, 29, 1, 30),
        ),
        (
            "twice: the first",
            date(2026, 10, 25),
            time(2, 30),
            BERLIN,
            False,
            _utc(2026, 10, 25, 0, 30),
        ),
        (
            "twice: the second",
            date(2026, 10, 25),
            time(2, 30),
            BERLIN,
            True,
            _utc(2026, 10, 25, 1, 30),
        ),
        (
            "the other side of the date line",
            date(2026, 1, 1),
            None,
            ZoneInfo("Pacific/Kiritimati"),
            False,
            _utc(2026, 1, 1, 10),
        ),
    ],
)
def test_the_instant(
    _case: str, day: date, at: time | None, zone: ZoneInfo, fold: bool, expected: datetime
) -> None:
    made = due(day, at, zone, fold=fold)

    assert made.instant == expected
    assert made.instant.tzinfo is UTC


def test_a_due_keeps_what_was_given() -> None:
    made = due(date(2026, 10, 25), time(2, 30), BERLIN, fold=True)

    assert made == Due(
        day=date(2026, 10, 25),
        at=time(2, 30),
        zone="Europe/Berlin",
        fold=True,
        instant=_utc(2026, 10, 25, 1, 30),
    )


@pytest.mark.parametrize(
    "_case, day, at, expected",
    [
        ("all day", date(2026, 10, 25), None, _utc(2026, 10, 25, 23)),
        ("a time that comes once", date(2026, 11, 23), time(9, 30), _utc(2026, 11, 23, 8, 30)),
        ("a time in a gap", date(2026, 3, 29), time(2, 30), _utc(2026, 3, 29, 1, 30)),
        ("the last before two", date(2026, 10, 25), time(1, 59), _utc(2026, 10, 24, 23, 59)),
        ("the first after two", date(2026, 10, 25), time(3, 0), _utc(2026, 10, 25, 2)),
    ],
)
def test_fold_means_nothing_where_there_are_not_two_equal_times(
    _case: str, day: date, at: time | None, expected: datetime
) -> None:
    made = due(day, at, BERLIN, fold=True)

    assert made.fold is False
    assert made.instant == expected


@pytest.mark.parametrize(
    "day, at, zone",
    [
        (date(9999, 12, 31), None, "UTC"),
        (date(9999, 12, 31), time(23), "America/New_York"),
        (date(1, 1, 1), time(0), "Europe/Berlin"),
    ],
)
def test_an_instant_beyond_the_calendar_is_an_overflow(
    day: date, at: time | None, zone: str
) -> None:
    with pytest.raises(OverflowError):
        due(day, at, ZoneInfo(zone), fold=False)
