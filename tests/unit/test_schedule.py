"""Rules over the calendar: ends, starts, dates besides, month ends, and the far future."""

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from domain.errors import Refused
from domain.recurrence.policies import Choices, MonthEnd
from tests.recurrences import local_start, rule_of, slots, texts

CLAMP = Choices(month_end=MonthEnd.CLAMP)
PARIS = "Europe/Paris"


def days(rule: str, start: str, count: int, choices: Choices | None = None) -> list[str]:
    return [text[:10] for text in texts(slots(rule, start, "UTC", choices), count)]


def test_the_start_is_inclusive_and_after_is_exclusive() -> None:
    rule = "FREQ=DAILY"

    assert texts(slots(rule, "2027-01-01T09:00"), 1) == ["2027-01-01T09:00"]
    at = "2027-01-01T09:00:00+00:00"
    assert texts(slots(rule, "2027-01-01T09:00", after=at), 1) == ["2027-01-02T09:00"]
    just_before = "2027-01-01T08:59:59.999999+00:00"
    assert texts(slots(rule, "2027-01-01T09:00", after=just_before), 1) == ["2027-01-01T09:00"]


def test_a_start_that_does_not_match_is_no_occurrence() -> None:
    assert days("FREQ=MONTHLY;BYMONTHDAY=10", "2027-01-05T09:00", 2) == ["2027-01-10", "2027-02-10"]
    assert days("FREQ=WEEKLY;BYDAY=MO;COUNT=2", "2027-01-05T09:00", 3) == [
        "2027-01-11",
        "2027-01-18",
    ]


def test_the_first_week_is_a_whole_week() -> None:
    # 2027-01-07 is a Thursday: of its week, Monday and Tuesday are over, and position 3 is Friday.
    rule = "FREQ=WEEKLY;BYDAY=MO,TU,FR;BYSETPOS=3"

    assert days(rule, "2027-01-07T09:00", 2) == ["2027-01-08", "2027-01-15"]
    every_other = days("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR", "2027-01-07T09:00", 3)
    assert every_other == ["2027-01-08", "2027-01-18", "2027-01-22"]


@pytest.mark.parametrize(
    "_case, rule, start, choices, expected",
    [
        ("RFC 5545 skips", "FREQ=MONTHLY", "2027-01-31", None, "01-31 03-31 05-31 07-31"),
        ("clamped", "FREQ=MONTHLY", "2027-01-31", CLAMP, "01-31 02-28 03-31 04-30"),
        ("in a leap year", "FREQ=MONTHLY", "2028-01-30", CLAMP, "01-30 02-29 03-30 04-30"),
        (
            "one day, not two",
            "FREQ=MONTHLY;BYMONTHDAY=30,31",
            "2027-02-01",
            CLAMP,
            "02-28 03-30 03-31 04-30",
        ),
        (
            "BACKWARD",
            "RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD",
            "2027-01-31",
            None,
            "01-31 02-28 03-31 04-30",
        ),
        (
            "FORWARD",
            "RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=FORWARD",
            "2027-01-31",
            None,
            "01-31 03-01 03-31 05-01",
        ),
        (
            "FORWARD has no policy",
            "RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=FORWARD",
            "2027-01-31",
            CLAMP,
            "01-31 03-01 03-31 05-01",
        ),
        (
            "an explicit choice wins",
            "RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD",
            "2027-01-31",
            Choices(month_end=MonthEnd.SKIP),
            "01-31 03-31 05-31 07-31",
        ),
        ("a crontab line skips", "0 0 31 * *", "2027-01-31", None, "01-31 03-31 05-31 07-31"),
        ("a crontab line clamped", "0 0 31 * *", "2027-01-31", CLAMP, "01-31 02-28 03-31 04-30"),
        (
            "the last day",
            "FREQ=MONTHLY;BYMONTHDAY=-1",
            "2027-01-31",
            None,
            "01-31 02-28 03-31 04-30",
        ),
        (
            "the 31st from the end stays in its month",
            "FREQ=MONTHLY;BYMONTHDAY=-31",
            "2027-01-01",
            CLAMP,
            "01-01 02-01 03-01 04-01",
        ),
        ("L", "0 0 L * *", "2027-01-31", None, "01-31 02-28 03-31 04-30"),
        ("L-2", "0 0 L-2 * *", "2027-01-31", None, "02-26 03-29 04-28 05-29"),
        ("LW", "0 0 LW * *", "2027-01-01", None, "01-29 02-26 03-31 04-30"),
        ("1W stays in its month", "0 0 1W * *", "2027-05-01", None, "05-03 06-01 07-01 08-02"),
        ("15W", "0 0 15W * *", "2027-05-01", None, "05-14 06-15 07-15 08-16"),
        ("31W skips", "0 0 31W * *", "2027-01-01", None, "01-29 03-31 05-31 07-30"),
        ("third Friday", "0 0 * * 5#3", "2027-01-01", None, "01-15 02-19 03-19 04-16"),
        ("last Friday", "0 0 * * 5L", "2027-01-01", None, "01-29 02-26 03-26 04-30"),
        ("the 13th or a Friday", "0 0 13 * 5", "2027-01-09", None, "01-13 01-15 01-22 01-29"),
        ("the 13th and a Friday", "0 0 */12 * 5", "2027-01-01", None, "01-01 06-25 08-13 10-01"),
    ],
)
def test_month_ends(
    _case: str, rule: str, start: str, choices: Choices | None, expected: str
) -> None:
    assert [day[5:] for day in days(rule, start, 4, choices)] == expected.split()


@pytest.mark.parametrize(
    "_case, rule, start, choices, expected",
    [
        ("skips", "FREQ=YEARLY", "2096-02-29", None, "2096-02-29 2104-02-29 2108-02-29"),
        ("clamped", "FREQ=YEARLY", "2096-02-29", CLAMP, "2096-02-29 2097-02-28 2098-02-28"),
        (
            "day 366",
            "FREQ=YEARLY;BYYEARDAY=366",
            "2027-01-01",
            None,
            "2028-12-31 2032-12-31 2036-12-31",
        ),
        (
            "day 366 backward",
            "RSCALE=GREGORIAN;FREQ=YEARLY;BYYEARDAY=366;SKIP=BACKWARD",
            "2027-01-01",
            None,
            "2027-12-31 2028-12-31 2029-12-31",
        ),
        (
            "day 366 forward",
            "RSCALE=GREGORIAN;FREQ=YEARLY;BYYEARDAY=366;SKIP=FORWARD",
            "2027-01-02",
            None,
            "2028-01-01 2028-12-31 2030-01-01",
        ),
        (
            "week 53",
            "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO",
            "2027-01-01",
            None,
            "2032-12-27 2037-12-28 2043-12-28",
        ),
        (
            "week 53 reaches over",
            "FREQ=YEARLY;BYWEEKNO=53;BYDAY=SU",
            "2027-01-01",
            None,
            "2027-01-03 2033-01-02 2038-01-03",
        ),
        (
            "week 1 begins early",
            "FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO",
            "2024-01-01",
            None,
            "2024-01-01 2024-12-30 2025-12-29",
        ),
        (
            "a week alone keeps its day",
            "FREQ=YEARLY;BYWEEKNO=20",
            "2027-05-19",
            None,
            "2027-05-19 2028-05-17 2029-05-16",
        ),
        (
            "weeks from Sunday",
            "FREQ=YEARLY;BYWEEKNO=1;BYDAY=SU;WKST=SU",
            "2027-01-01",
            None,
            "2027-01-03 2028-01-02 2028-12-31",
        ),
        (
            "every other week year",
            "FREQ=YEARLY;INTERVAL=2;BYWEEKNO=1;BYDAY=MO",
            "2024-12-30",
            None,
            "2024-12-30 2027-01-04 2029-01-01",
        ),
        (
            "day of month alone",
            "FREQ=YEARLY;BYMONTHDAY=15",
            "2027-11-01",
            None,
            "2027-11-15 2027-12-15 2028-01-15",
        ),
        (
            "month alone",
            "FREQ=YEARLY;BYMONTH=3,5",
            "2027-01-20",
            None,
            "2027-03-20 2027-05-20 2028-03-20",
        ),
        (
            "last Friday of the year",
            "FREQ=YEARLY;BYDAY=-1FR",
            "2027-01-01",
            None,
            "2027-12-31 2028-12-29 2029-12-28",
        ),
    ],
)
def test_years(_case: str, rule: str, start: str, choices: Choices | None, expected: str) -> None:
    assert days(rule, start, 3, choices) == expected.split()


@pytest.mark.parametrize(
    "_case, until, last",
    [
        ("a day, all of it", "20270103", "2027-01-03T09:00"),
        ("a local time, inclusive", "20270103T090000", "2027-01-03T09:00"),
        ("a local time before", "20270103T085959", "2027-01-02T09:00"),
        ("an instant, inclusive", "20270103T080000Z", "2027-01-03T09:00"),
        ("an instant before", "20270103T075959Z", "2027-01-02T09:00"),
    ],
)
def test_until(_case: str, until: str, last: str) -> None:
    found = list(slots(f"FREQ=DAILY;UNTIL={until}", "2027-01-01T09:00", PARIS))

    assert found[-1].text == last


def test_until_is_about_the_times_of_the_rule_where_clocks_change() -> None:
    # 03:30 is what clocks show at the instant of 02:30; the rule ends at 02:30 and has had it.
    ended = slots("FREQ=DAILY;UNTIL=20270314T023000", "2027-03-13T02:30", "America/New_York")

    assert texts(ended, 5) == ["2027-03-13T02:30", "2027-03-14T02:30"]


def test_count_counts_from_the_start_wherever_one_begins_to_look() -> None:
    rule, start = "FREQ=WEEKLY;BYDAY=MO,WE,FR;COUNT=500", "2027-01-01T01:30"
    found = list(slots(rule, start, "America/New_York"))

    assert len(found) == 500
    for place in (0, 1, 250, 498, 499):
        after = found[place].instant.isoformat()
        assert list(slots(rule, start, "America/New_York", after=after)) == found[place + 1 :]


def test_dates_join_and_leave_the_series() -> None:
    rule = (
        "RRULE:FREQ=DAILY;COUNT=3\nRDATE:20270101T120000,20270102T090000\n"
        "RDATE;VALUE=DATE:20270110\nEXDATE:20270102T090000\nEXDATE;VALUE=DATE:20270103"
    )

    assert texts(slots(rule, "2027-01-01T09:00"), 9) == [
        "2027-01-01T09:00",
        "2027-01-01T12:00",
        "2027-01-10T09:00",
    ]


def test_a_date_is_taken_out_by_what_the_rule_says_or_what_the_clock_shows() -> None:
    for excluded in ("20270314T023000", "20270314T033000"):
        rule = f"RRULE:FREQ=DAILY\nEXDATE:{excluded}"
        found = texts(slots(rule, "2027-03-13T02:30", "America/New_York"), 2)
        assert found == ["2027-03-13T02:30", "2027-03-15T02:30"]


def test_dates_say_which_of_two_equal_times_they_mean() -> None:
    zone, start = "America/New_York", "2027-11-07T00:00"
    joined = "RRULE:FREQ=DAILY;COUNT=1\nRDATE:2027-11-07T01:30f"
    left = "RRULE:FREQ=HOURLY;COUNT=4\nEXDATE:2027-11-07T01:00f"

    assert texts(slots(joined, start, zone), 3) == ["2027-11-07T00:00", "2027-11-07T01:30f"]
    assert texts(slots(left, start, zone), 9) == [
        "2027-11-07T00:00",
        "2027-11-07T01:00",
        "2027-11-07T02:00",
    ]


def test_a_leap_second_stands_for_the_one_before() -> None:
    assert texts(slots("FREQ=MINUTELY;BYSECOND=60;COUNT=1", "2027-01-01T09:00"), 2) == [
        "2027-01-01T09:00:59"
    ]


def test_series_end_with_the_calendar() -> None:
    assert days("FREQ=YEARLY", "9998-06-01T09:00", 5) == ["9998-06-01", "9999-06-01"]
    assert texts(slots("FREQ=HOURLY", "9999-12-31T22:00"), 5) == [
        "9999-12-31T22:00",
        "9999-12-31T23:00",
    ]
    # 23:00 in New York is the next day, hence the next year, in UTC.
    assert texts(slots("FREQ=DAILY", "9999-12-30T23:00", "America/New_York"), 5) == [
        "9999-12-30T23:00"
    ]
    assert texts(slots("FREQ=WEEKLY;INTERVAL=9999999999", "2027-01-01T09:00"), 5) == [
        "2027-01-01T09:00"
    ]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=2",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2",
        "FREQ=MINUTELY;BYSECOND=1,2;BYSETPOS=3",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=5",
        "FREQ=SECONDLY;INTERVAL=86398;BYHOUR=3;BYMINUTE=3;BYSECOND=3",
    ],
)
def test_a_rule_that_never_fires_ends_with_a_refusal(rule: str) -> None:
    with pytest.raises(Refused, match=r"finds no (date|time)") as refused:
        next(slots(rule, "2027-01-01T09:00"))

    assert refused.value.problems[0].path == ("rule",)


def test_a_count_that_is_too_far_to_count_is_refused() -> None:
    rule = "FREQ=HOURLY;BYMINUTE=0,30;COUNT=1000000"

    assert len(texts(slots(rule, "2027-01-01T09:00"), 3)) == 3
    with pytest.raises(Refused, match="COUNT"):
        next(slots(rule, "2027-01-01T09:00", after="2999-01-01T00:00:00+00:00"))


@pytest.mark.parametrize("frequency", ["SECONDLY", "DAILY"])
def test_a_billion_occurrences_are_counted_without_walking(frequency: str) -> None:
    rule = f"FREQ={frequency};COUNT=1000000000"
    soon = slots(rule, "2027-01-01T09:00", after="2050-01-01T00:00:00+00:00")
    late = slots(rule, "2027-01-01T09:00", after="2999-01-01T00:00:00+00:00")

    assert next(soon).local.year == 2050
    # A billion seconds are 31.7 years; a billion days are more than the calendar has.
    assert (next(late, None) is None) is (frequency == "SECONDLY")


def test_a_far_question_is_answered_by_a_jump() -> None:
    found = next(
        slots("FREQ=DAILY;INTERVAL=3", "1970-01-01T09:00", after="9000-01-01T00:00:00+00:00")
    )

    assert found.local.year == 9000
    assert (found.local - datetime(1970, 1, 1, 9)).days % 3 == 0  # noqa: DTZ001 - local


def test_slots_are_utc_instants_of_their_local_times() -> None:
    zone = ZoneInfo(PARIS)

    for slot in islice(slots("FREQ=HOURLY;INTERVAL=5", "2027-03-27T09:00", PARIS), 50):
        assert slot.instant.tzinfo is UTC
        assert slot.instant.astimezone(zone).replace(tzinfo=None, fold=0) == slot.local


def test_rules_and_starts_are_values() -> None:
    assert rule_of("FREQ=DAILY") == rule_of("RRULE:FREQ=DAILY;INTERVAL=1")
    assert hash(local_start("2027-01-01")) == hash(local_start("2027-01-01"))


def test_few_occurrences_are_counted_over_any_number_of_years() -> None:
    rule = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=30"
    found = list(slots(rule, "2027-01-01T09:00", "Africa/Cairo"))

    assert (len(found), found[-1].local.year) == (30, 2816)
    after = found[28].instant.isoformat()
    assert list(slots(rule, "2027-01-01T09:00", "Africa/Cairo", after=after)) == found[29:]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;INTERVAL=397;BYMONTH=1;BYMONTHDAY=1,2,3;UNTIL=20280101",
        "FREQ=MONTHLY;BYMONTH=1,2;BYDAY=FR;BYMONTHDAY=1,30;BYSETPOS=1;INTERVAL=999;UNTIL=20280101",
        "FREQ=MINUTELY;INTERVAL=1441;BYHOUR=9;BYMINUTE=0,1;UNTIL=20280101",
    ],
)
def test_a_rule_that_has_ended_ends_without_a_search(rule: str) -> None:
    found = list(slots(rule, "2027-01-01T09:00"))

    assert found
    assert found[-1].local.year == 2027
