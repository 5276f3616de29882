"""What a series spawns: after downtime, after a completion, beside what is still open."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest

from domain.recurrence.policies import Anchor, CatchUp, Choices, Open, Policies, policies_for
from domain.recurrence.schedule import schedule
from domain.recurrence.series import Turn, WhileOpen, after_completion, turn, while_open
from domain.recurrence.slots import Slot
from tests.recurrences import local_start, rule_of

UTC_ZONE = ZoneInfo("UTC")
START = "2027-01-01T09:00"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def policies(chosen: Choices) -> Policies:
    return policies_for(rule_of("FREQ=DAILY"), chosen)


def turned(
    catch_up: CatchUp, last: str | None, now: str, rule: str = "FREQ=DAILY", bound: int = 100
) -> Turn:
    own = policies(Choices(catch_up=catch_up))
    series = schedule(rule_of(rule), local_start(START), UTC_ZONE, own)
    return turn(series, own, last=at(last) if last else None, now=at(now), bound=bound)


def spawned(found: Turn) -> list[str]:
    return [slot.text[5:] for slot in found.spawn]


@pytest.mark.parametrize(
    "_case, catch_up, last, now, expected",
    [
        ("not yet", CatchUp.ONE, None, "2027-01-01T08:59", []),
        ("the first", CatchUp.ONE, None, "2027-01-01T09:00", ["01-01T09:00"]),
        ("already", CatchUp.ONE, "2027-01-01T09:00", "2027-01-01T09:01", []),
        ("the clock stood back", CatchUp.ALL, "2027-01-03T09:00", "2027-01-01T09:00", []),
        ("one for three", CatchUp.ONE, "2027-01-01T09:00", "2027-01-04T10:00", ["01-04T09:00"]),
        (
            "all three",
            CatchUp.ALL,
            "2027-01-01T09:00",
            "2027-01-04T10:00",
            ["01-02T09:00", "01-03T09:00", "01-04T09:00"],
        ),
        (
            "all from the start",
            CatchUp.ALL,
            None,
            "2027-01-02T10:00",
            ["01-01T09:00", "01-02T09:00"],
        ),
        ("skipped: an hour late", CatchUp.SKIP, "2027-01-01T09:00", "2027-01-04T10:00", []),
        ("on time", CatchUp.SKIP, "2027-01-01T09:00", "2027-01-04T09:01", ["01-04T09:00"]),
    ],
)
def test_what_is_due_is_spawned_by_the_catch_up_policy(
    _case: str, catch_up: CatchUp, last: str | None, now: str, expected: list[str]
) -> None:
    assert spawned(turned(catch_up, last, now)) == expected


def test_the_next_turn_is_the_slot_after_both_the_last_and_now() -> None:
    late = turned(CatchUp.ONE, "2027-01-01T09:00", "2027-01-04T10:00")
    early = turned(CatchUp.ONE, "2027-01-05T09:00", "2027-01-04T10:00")

    assert [found.next and found.next.text for found in (late, early)] == [
        "2027-01-05T09:00",
        "2027-01-06T09:00",
    ]


@pytest.mark.parametrize(
    "_case, catch_up, missed",
    [
        ("one", CatchUp.ONE, ["01-02T09:00", "01-03T09:00"]),
        ("all", CatchUp.ALL, []),
        ("none", CatchUp.SKIP, ["01-02T09:00", "01-03T09:00", "01-04T09:00"]),
    ],
)
def test_what_is_passed_over_is_told(_case: str, catch_up: CatchUp, missed: list[str]) -> None:
    found = turned(catch_up, "2027-01-01T09:00", "2027-01-04T10:00")

    assert [slot.text[5:] for slot in found.missed] == missed


def test_years_of_downtime_are_told_by_their_latest_slots() -> None:
    found = turned(CatchUp.ONE, None, "2047-06-01T12:00", rule="* * * * *")

    assert (len(found.missed), found.missed[-1].text) == (100, "2047-06-01T11:59")


def test_a_series_that_has_ended_has_no_next() -> None:
    found = turned(CatchUp.ALL, None, "2028-01-01T00:00", rule="FREQ=DAILY;COUNT=2")

    assert spawned(found) == ["01-01T09:00", "01-02T09:00"]
    assert found.next is None


def test_all_is_bounded_to_the_latest() -> None:
    found = turned(CatchUp.ALL, None, "2027-06-01T00:00:30", rule="FREQ=MINUTELY", bound=3)

    assert spawned(found) == ["05-31T23:58", "05-31T23:59", "06-01T00:00"]


def test_years_of_downtime_cost_no_walk() -> None:
    found = turned(CatchUp.ONE, None, "2047-06-01T12:00", rule="* * * * *")

    assert [slot.text for slot in found.spawn] == ["2047-06-01T12:00"]


def test_three_years_in_turns_of_an_hour_spawn_every_slot_once() -> None:
    own = policies(Choices(catch_up=CatchUp.ALL))
    rule, zone = rule_of("FREQ=WEEKLY;BYDAY=MO,TH"), ZoneInfo("America/New_York")
    series = schedule(rule, local_start("2027-01-04T02:30"), zone, own)
    now, last, found = at("2027-01-01T00:00"), None, list[Slot]()

    while now < at("2030-01-01T00:00"):
        done = turn(series, own, last=last, now=now)
        found += done.spawn
        last = found[-1].instant if found else None
        now += timedelta(hours=1)

    ended = takewhile(lambda slot: slot.instant < at("2030-01-01T00:00"), series.after())
    assert found == list(ended)
    assert len(found) == len({slot.text for slot in found}) == 313


def completed(rule: str, anchor: Anchor, slot: str, done: str, zone: str = "UTC") -> str | None:
    local = datetime.fromisoformat(slot)
    place = ZoneInfo(zone)
    was = local.replace(tzinfo=place).astimezone(UTC)
    found = after_completion(
        rule_of(rule),
        local_start(START),
        place,
        policies_for(rule_of(rule), Choices(anchor=anchor)),
        completed=was,
        at=datetime.fromisoformat(done).replace(tzinfo=place).astimezone(UTC),
    )
    return found and found.text


@pytest.mark.parametrize(
    "_case, rule, slot, done, expected",
    [
        (
            "late",
            "FREQ=DAILY;INTERVAL=3",
            "2027-01-04T09:00",
            "2027-01-05T18:00",
            "2027-01-08T09:00",
        ),
        (
            "early",
            "FREQ=DAILY;INTERVAL=3",
            "2027-01-04T09:00",
            "2027-01-03T18:00",
            "2027-01-06T09:00",
        ),
        (
            "the same day, before it was due",
            "FREQ=DAILY;INTERVAL=3",
            "2027-01-04T09:00",
            "2027-01-04T08:00",
            "2027-01-07T09:00",
        ),
        (
            "weekdays",
            "FREQ=WEEKLY;BYDAY=MO",
            "2027-01-04T09:00",
            "2027-01-06T12:00",
            "2027-01-11T09:00",
        ),
        (
            "a day of the month, a week early",
            "FREQ=MONTHLY;BYMONTHDAY=1",
            "2027-02-01T09:00",
            "2027-01-25T10:00",
            "2027-03-01T09:00",
        ),
        (
            "a date beside the rule, early",
            "FREQ=MONTHLY\nRDATE:20270115T090000",
            "2027-01-15T09:00",
            "2027-01-10T10:00",
            "2027-02-10T09:00",
        ),
        (
            "an hour of the day, early",
            "FREQ=HOURLY;BYHOUR=9;BYMINUTE=0",
            "2027-01-05T09:00",
            "2027-01-04T20:00",
            "2027-01-06T09:00",
        ),
        ("months", "FREQ=MONTHLY", "2027-01-04T09:00", "2027-01-20T12:00", "2027-02-20T09:00"),
        (
            "hours",
            "FREQ=HOURLY;INTERVAL=4",
            "2027-01-04T09:00",
            "2027-01-04T10:15",
            "2027-01-04T14:15",
        ),
        (
            "a crontab line, late",
            "0 9 * * *",
            "2027-01-04T09:00",
            "2027-01-06T12:00",
            "2027-01-07T09:00",
        ),
        (
            "a crontab line, early",
            "0 9 * * *",
            "2027-01-04T09:00",
            "2027-01-04T08:00",
            "2027-01-05T09:00",
        ),
        (
            "counted by the series",
            "FREQ=DAILY;COUNT=1",
            "2027-01-04T09:00",
            "2027-01-05T18:00",
            "2027-01-06T09:00",
        ),
        (
            "until the end",
            "FREQ=DAILY;UNTIL=20270105",
            "2027-01-04T09:00",
            "2027-01-05T18:00",
            None,
        ),
    ],
)
def test_a_completion_anchors_what_follows(
    _case: str, rule: str, slot: str, done: str, expected: str | None
) -> None:
    assert completed(rule, Anchor.COMPLETION, slot, done) == expected


def test_a_schedule_goes_on_whenever_something_is_completed() -> None:
    rule = "FREQ=DAILY;INTERVAL=3"

    assert completed(rule, Anchor.SCHEDULE, "2027-01-04T09:00", "2027-01-05T18:00") == (
        "2027-01-07T09:00"
    )


def test_the_day_of_a_completion_is_that_of_the_zone() -> None:
    rule, zone = "FREQ=DAILY", "Pacific/Auckland"

    # 23:00 on the 4th in Auckland is still the morning of the 4th in UTC.
    assert completed(rule, Anchor.COMPLETION, "2027-01-04T09:00", "2027-01-04T23:00", zone) == (
        "2027-01-05T09:00"
    )


@pytest.mark.parametrize(
    "policy, is_open, expected",
    [
        (Open.ALLOW, True, WhileOpen.SPAWN),
        (Open.WAIT, True, WhileOpen.HOLD),
        (Open.REPLACE, True, WhileOpen.REPLACE),
        (Open.WAIT, False, WhileOpen.SPAWN),
        (Open.REPLACE, False, WhileOpen.SPAWN),
    ],
)
def test_what_is_due_beside_an_open_occurrence(
    policy: Open, is_open: bool, expected: WhileOpen
) -> None:
    assert while_open(policies(Choices(open=policy)), is_open=is_open) is expected
