"""Rules whose intervals seldom meet their parts, and rules of which EXDATE leaves little."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count, islice
from zoneinfo import ZoneInfo

import pytest

from domain.errors import Refused
from domain.recurrence.policies import policies_for
from domain.recurrence.rule import LocalTime, Rule
from domain.recurrence.schedule import Schedule, schedule
from domain.recurrence.zoned import Tick, Ticks
from tests.recurrences import ZONES, local_start, rule_of, slots, texts

RARE = "FREQ=MINUTELY;INTERVAL=2399;BYHOUR=9;BYMINUTE=0"
DAYS = tuple(LocalTime(day=date(2027, 1, 1) + timedelta(n), at=None) for n in range(1_000))


def met(
    step: timedelta, window: timedelta, hours: set[int], minutes: set[int], zone: str
) -> Iterator[datetime]:
    """Yields the instants of a rule from 09:00 on, trying every minute of every interval."""
    place = ZoneInfo(zone)
    start = datetime(2027, 1, 1, 9, tzinfo=place).astimezone(UTC)
    for number in count():
        for minute in range(max(1, window // timedelta(minutes=1))):
            instant = start + number * step + timedelta(minutes=minute)
            local = instant.astimezone(place)
            if local.hour in hours and local.minute in minutes:
                yield instant


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "Australia/Lord_Howe", "Africa/Cairo"])
@pytest.mark.parametrize(
    "rule, step, window, hours, minutes",
    [
        (RARE, 2399, 0, {9}, {0}),
        ("FREQ=MINUTELY;INTERVAL=61;BYHOUR=3,23;BYMINUTE=17", 61, 0, {3, 23}, {17}),
        ("FREQ=HOURLY;INTERVAL=23;BYHOUR=0,2;BYMINUTE=10,50", 23 * 60, 60, {0, 2}, {10, 50}),
        ("FREQ=HOURLY;INTERVAL=7;BYHOUR=9", 7 * 60, 0, {9}, set(range(60))),
    ],
)
def test_what_seldom_meets_is_found_as_by_trying_every_interval(
    rule: str, step: int, window: int, hours: set[int], minutes: set[int], zone: str
) -> None:
    every = met(timedelta(minutes=step), timedelta(minutes=window), hours, minutes, zone)

    found = slots(rule, "2027-01-01T09:00", zone)

    assert [slot.instant for slot in islice(found, 6)] == list(islice(every, 6))


def test_a_second_less_than_a_day_meets_every_second_of_the_day() -> None:
    rule = "FREQ=SECONDLY;INTERVAL=86399;BYHOUR=3;BYMINUTE=3;BYSECOND=3"
    start = datetime(2027, 1, 1, 9, tzinfo=UTC)
    earlier = start - datetime(2027, 1, 1, 3, 3, 3, tzinfo=UTC)

    found = next(slots(rule, "2027-01-01T09:00"))

    assert found.instant == start + earlier // timedelta(seconds=1) * timedelta(seconds=86_399)


def test_a_page_of_too_rare_occurrences_is_refused() -> None:
    with pytest.raises(Refused, match="ask for fewer"):
        texts(slots(f"{RARE};BYDAY=MO", "2027-01-01T09:00"), 200)


@dataclass(frozen=True)
class Watched:
    """Occurrences, of which it is told how many were looked at."""

    ticks: Ticks
    seen: list[Tick]

    @property
    def is_countable(self) -> bool:
        return self.ticks.is_countable

    def walk(self, low: int) -> Iterator[Tick]:
        for tick in self.ticks.walk(low):
            self.seen.append(tick)
            yield tick

    def count(self, high: int, enough: int) -> int:
        return self.ticks.count(high, enough)


def watched(rule: Rule) -> tuple[Schedule, list[Tick]]:
    own = schedule(rule, local_start("2027-01-01T09:00"), ZoneInfo("UTC"), policies_for(rule))
    seen = list[Tick]()
    return replace(own, ticks=Watched(own.ticks, seen)), seen


@pytest.mark.parametrize("rule", ["FREQ=MINUTELY", "FREQ=MINUTELY;COUNT=2000000", "FREQ=SECONDLY"])
def test_days_that_are_taken_out_are_not_walked_along(rule: str) -> None:
    own, seen = watched(replace(rule_of(rule), without_dates=DAYS))

    assert next(own.after(None)).text == "2029-09-27T00:00"
    assert len(seen) < 10 * len(DAYS)


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_nothing_else_is_left_out_with_a_day(zone: ZoneInfo) -> None:
    # Every third day, by rules that clock changes move, double and leave out.
    for text in ("FREQ=HOURLY", "FREQ=DAILY;BYHOUR=0,1,2,3,4,12,13,20,22,23;BYMINUTE=0,30"):
        rule, start = rule_of(text), local_start("2011-01-01T00:00")
        days = tuple(
            LocalTime(day=date(2011, 1, 1) + timedelta(n), at=None) for n in range(0, 365, 3)
        )
        whole = schedule(rule, start, zone, policies_for(rule)).after(None)
        out = {day.day for day in days}

        left = schedule(replace(rule, without_dates=days), start, zone, policies_for(rule)).after(
            None
        )

        expected = (slot for slot in whole if slot.local.date() not in out)
        assert list(islice(left, 4_000)) == list(islice(expected, 4_000))
