"""Where clocks change: golden tables of what each policy makes of a time, worked out by hand.

Offsets are those of the zone's history: each table can be read off the IANA files.
"""

from itertools import islice

import pytest

from domain.recurrence.policies import Choices, Gap, Overlap
from tests.recurrences import instants, slots, texts

RUN_AFTER = Choices(gap=Gap.RUN_AFTER)
SHIFT = Choices(gap=Gap.SHIFT)
SKIP = Choices(gap=Gap.SKIP)
FIRST = Choices(overlap=Overlap.FIRST)
LAST = Choices(overlap=Overlap.LAST)
BOTH = Choices(overlap=Overlap.BOTH)


@pytest.mark.parametrize(
    "_case, zone, start, choices, expected",
    [
        # New York: 02:00 becomes 03:00 on 14 March 2027.
        (
            "runs after",
            "America/New_York",
            "2027-03-13T02:30",
            RUN_AFTER,
            "13T02:30-05:00 14T03:00-04:00 15T02:30-04:00",
        ),
        (
            "shifts",
            "America/New_York",
            "2027-03-13T02:30",
            SHIFT,
            "13T02:30-05:00 14T03:30-04:00 15T02:30-04:00",
        ),
        (
            "skips",
            "America/New_York",
            "2027-03-13T02:30",
            SKIP,
            "13T02:30-05:00 15T02:30-04:00 16T02:30-04:00",
        ),
        (
            "the last second before",
            "America/New_York",
            "2027-03-13T01:59",
            SKIP,
            "13T01:59-05:00 14T01:59-05:00 15T01:59-04:00",
        ),
        (
            "the first second after",
            "America/New_York",
            "2027-03-13T03:00",
            SKIP,
            "13T03:00-05:00 14T03:00-04:00 15T03:00-04:00",
        ),
        # Paris: 02:00 becomes 03:00 on 28 March 2027.
        (
            "runs after",
            "Europe/Paris",
            "2027-03-27T02:15",
            RUN_AFTER,
            "27T02:15+01:00 28T03:00+02:00 29T02:15+02:00",
        ),
        (
            "shifts",
            "Europe/Paris",
            "2027-03-27T02:15",
            SHIFT,
            "27T02:15+01:00 28T03:15+02:00 29T02:15+02:00",
        ),
        # Lord Howe: half an hour, 02:00 becomes 02:30 on 3 October 2027.
        (
            "runs after",
            "Australia/Lord_Howe",
            "2027-10-02T02:10",
            RUN_AFTER,
            "02T02:10+10:30 03T02:30+11:00 04T02:10+11:00",
        ),
        (
            "shifts",
            "Australia/Lord_Howe",
            "2027-10-02T02:10",
            SHIFT,
            "02T02:10+10:30 03T02:40+11:00 04T02:10+11:00",
        ),
        (
            "is there",
            "Australia/Lord_Howe",
            "2027-10-02T02:30",
            SHIFT,
            "02T02:30+10:30 03T02:30+11:00 04T02:30+11:00",
        ),
        # Chatham: 02:45 becomes 03:45 on 26 September 2027.
        (
            "runs after",
            "Pacific/Chatham",
            "2027-09-25T03:00",
            RUN_AFTER,
            "25T03:00+12:45 26T03:45+13:45 27T03:00+13:45",
        ),
        (
            "shifts",
            "Pacific/Chatham",
            "2027-09-25T03:00",
            SHIFT,
            "25T03:00+12:45 26T04:00+13:45 27T03:00+13:45",
        ),
        # Troll: two hours, 01:00 becomes 03:00 on 28 March 2027.
        (
            "runs after",
            "Antarctica/Troll",
            "2027-03-27T01:30",
            RUN_AFTER,
            "27T01:30+00:00 28T03:00+02:00 29T01:30+02:00",
        ),
        (
            "shifts",
            "Antarctica/Troll",
            "2027-03-27T01:30",
            SHIFT,
            "27T01:30+00:00 28T03:30+02:00 29T01:30+02:00",
        ),
        # Santiago and Cairo: midnight does not exist.
        (
            "runs after",
            "America/Santiago",
            "2027-09-04T00:00",
            RUN_AFTER,
            "04T00:00-04:00 05T01:00-03:00 06T00:00-03:00",
        ),
        (
            "shifts",
            "Africa/Cairo",
            "2027-04-29T00:30",
            SHIFT,
            "29T00:30+02:00 30T01:30+03:00 01T00:30+03:00",
        ),
        # St. John's changed one minute after midnight until 2011.
        (
            "is there",
            "America/St_Johns",
            "2011-03-12T00:00",
            SHIFT,
            "12T00:00-03:30 13T00:00-03:30 14T00:00-02:30",
        ),
        (
            "runs after",
            "America/St_Johns",
            "2011-03-12T00:01",
            RUN_AFTER,
            "12T00:01-03:30 13T01:01-02:30 14T00:01-02:30",
        ),
        # Apia crossed the date line: 30 December 2011 does not exist, which is a gap of 24 hours.
        (
            "shifts onto the next day's own",
            "Pacific/Apia",
            "2011-12-28T09:00",
            SHIFT,
            "28T09:00-10:00 29T09:00-10:00 31T09:00+14:00",
        ),
        (
            "runs after",
            "Pacific/Apia",
            "2011-12-29T09:00",
            RUN_AFTER,
            "29T09:00-10:00 31T00:00+14:00 31T09:00+14:00",
        ),
        (
            "skips",
            "Pacific/Apia",
            "2011-12-28T09:00",
            SKIP,
            "28T09:00-10:00 29T09:00-10:00 31T09:00+14:00",
        ),
    ],
)
def test_a_time_that_does_not_exist(
    _case: str, zone: str, start: str, choices: Choices, expected: str
) -> None:
    found = instants(slots("FREQ=DAILY", start, zone, choices), zone, 3)

    assert " ".join(instant[8:] for instant in found) == expected


@pytest.mark.parametrize(
    "_case, zone, start, choices, expected",
    [
        # New York: 02:00 becomes 01:00 on 7 November 2027.
        (
            "the first",
            "America/New_York",
            "2027-11-06T01:30",
            FIRST,
            "06T01:30-04:00 07T01:30-04:00 08T01:30-05:00",
        ),
        (
            "the last",
            "America/New_York",
            "2027-11-06T01:30",
            LAST,
            "06T01:30-04:00 07T01:30-05:00 08T01:30-05:00",
        ),
        (
            "both",
            "America/New_York",
            "2027-11-06T01:30",
            BOTH,
            "06T01:30-04:00 07T01:30-04:00 07T01:30-05:00",
        ),
        (
            "only once there",
            "America/New_York",
            "2027-11-06T02:00",
            BOTH,
            "06T02:00-04:00 07T02:00-05:00 08T02:00-05:00",
        ),
        # Lord Howe: 02:00 becomes 01:30 on 4 April 2027.
        (
            "both",
            "Australia/Lord_Howe",
            "2027-04-03T01:45",
            BOTH,
            "03T01:45+11:00 04T01:45+11:00 04T01:45+10:30",
        ),
        (
            "only once there",
            "Australia/Lord_Howe",
            "2027-04-03T01:29",
            BOTH,
            "03T01:29+11:00 04T01:29+11:00 05T01:29+10:30",
        ),
        # Chatham: 03:45 becomes 02:45 on 4 April 2027.
        (
            "the last",
            "Pacific/Chatham",
            "2027-04-03T03:00",
            LAST,
            "03T03:00+13:45 04T03:00+12:45 05T03:00+12:45",
        ),
        # Troll: 03:00 becomes 01:00 on 31 October 2027.
        (
            "the last",
            "Antarctica/Troll",
            "2027-10-30T01:30",
            LAST,
            "30T01:30+02:00 31T01:30+00:00 01T01:30+00:00",
        ),
        # Santiago: midnight of 4 April 2027 becomes 23:00 of the 3rd.
        (
            "both",
            "America/Santiago",
            "2027-04-02T23:30",
            BOTH,
            "02T23:30-03:00 03T23:30-03:00 03T23:30-04:00",
        ),
        # Cairo: midnight of 29 October 2027 becomes 23:00 of the 28th.
        (
            "the last",
            "Africa/Cairo",
            "2027-10-27T23:00",
            LAST,
            "27T23:00+03:00 28T23:00+02:00 29T23:00+02:00",
        ),
        # Paris: 03:00 becomes 02:00 on 31 October 2027.
        (
            "the first",
            "Europe/Paris",
            "2027-10-30T02:00",
            FIRST,
            "30T02:00+02:00 31T02:00+02:00 01T02:00+01:00",
        ),
        # UTC never changes.
        ("both", "UTC", "2027-10-30T02:00", BOTH, "30T02:00+00:00 31T02:00+00:00 01T02:00+00:00"),
    ],
)
def test_a_time_that_exists_twice(
    _case: str, zone: str, start: str, choices: Choices, expected: str
) -> None:
    found = instants(slots("FREQ=DAILY", start, zone, choices), zone, 3)

    assert " ".join(instant[8:] for instant in found) == expected


def test_a_slot_says_what_the_rule_says_and_which_of_two_it_is() -> None:
    shifted = slots("FREQ=DAILY", "2027-03-14T02:30", "America/New_York")
    doubled = slots("FREQ=DAILY", "2027-11-07T01:30", "America/New_York", BOTH)

    assert texts(shifted, 1) == ["2027-03-14T02:30"]
    assert texts(doubled, 3) == ["2027-11-07T01:30", "2027-11-07T01:30f", "2027-11-08T01:30"]
    assert texts(slots("15 0 9 * * *", "2027-01-01"), 1) == ["2027-01-01T09:00:15"]


def test_hours_count_elapsed_time_through_both_changes() -> None:
    spring = slots("FREQ=HOURLY;INTERVAL=6", "2027-03-13T18:00", "America/New_York")
    autumn = slots("FREQ=HOURLY", "2027-11-07T00:00", "America/New_York")

    assert texts(spring, 4) == [
        "2027-03-13T18:00",
        "2027-03-14T00:00",
        "2027-03-14T07:00",
        "2027-03-14T13:00",
    ]
    assert texts(autumn, 4) == [
        "2027-11-07T00:00",
        "2027-11-07T01:00",
        "2027-11-07T01:00f",
        "2027-11-07T02:00",
    ]


def test_an_explicit_choice_about_repeated_hours_wins() -> None:
    first = slots("FREQ=HOURLY", "2027-11-07T00:00", "America/New_York", FIRST)
    last = slots("FREQ=HOURLY", "2027-11-07T00:00", "America/New_York", LAST)

    assert texts(first, 3)[1:] == ["2027-11-07T01:00", "2027-11-07T02:00"]
    assert texts(last, 3)[1:] == ["2027-11-07T01:00f", "2027-11-07T02:00"]


def test_listed_minutes_are_those_of_the_clock_after_half_an_hour_was_lost() -> None:
    zone = "Australia/Lord_Howe"
    listed = slots("FREQ=HOURLY;BYMINUTE=0", "2027-10-03T00:00", zone)
    counted = slots("FREQ=HOURLY", "2027-10-03T00:00", zone)

    assert texts(listed, 4) == [f"2027-10-03T0{hour}:00" for hour in (0, 1, 3, 4)]
    assert texts(counted, 4) == [
        "2027-10-03T00:00",
        "2027-10-03T01:00",
        "2027-10-03T02:30",
        "2027-10-03T03:30",
    ]


def test_a_whole_day_begins_with_its_first_instant_whatever_was_chosen() -> None:
    zone = "America/Santiago"
    found = instants(slots("FREQ=DAILY", "2027-09-04", zone, SKIP), zone, 3)

    assert found == ["2027-09-04T00:00-04:00", "2027-09-05T01:00-03:00", "2027-09-06T00:00-03:00"]
    apia = texts(slots("FREQ=DAILY", "2011-12-29", "Pacific/Apia"), 3)
    assert apia == ["2011-12-29T00:00", "2011-12-31T00:00", "2012-01-01T00:00"]


def test_two_times_that_a_gap_makes_one_are_one_occurrence() -> None:
    rule = "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=30;COUNT=5"
    found = list(slots(rule, "2027-03-13T02:30", "America/New_York"))

    # 02:30 shifts to 03:30, which the rule names itself: that slot stays.
    assert [slot.text[8:] for slot in found] == [
        "13T02:30",
        "13T03:30",
        "14T03:30",
        "15T02:30",
        "15T03:30",
    ]
    later = list(
        slots(rule, "2027-03-13T02:30", "America/New_York", after="2027-03-14T12:00:00+00:00")
    )
    assert later == found[3:]


def test_what_is_shifted_comes_in_the_order_of_its_instants() -> None:
    rule = "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,30"
    found = list(islice(slots(rule, "2027-03-14T00:00", "America/New_York"), 4))

    assert [slot.text[8:] for slot in found] == ["14T03:00", "14T03:30", "15T02:00", "15T02:30"]
    rule = "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=10,20;COUNT=4"
    fixed = slots("20 2 * * *", "2027-03-14", "America/New_York")
    assert texts(slots(rule, "2027-03-14T00:00", "America/New_York"), 2) == [
        "2027-03-14T03:10",
        "2027-03-14T03:20",
    ]
    assert instants(fixed, "America/New_York", 1) == ["2027-03-14T03:00-04:00"]


@pytest.mark.parametrize(
    "_case, line, zone, start, expected",
    [
        (
            "fixed after a gap",
            "30 2 * * *",
            "America/New_York",
            "2027-03-14",
            "14T03:00-04:00 15T02:30-04:00",
        ),
        (
            "fixed once in an overlap",
            "30 1 * * *",
            "America/New_York",
            "2027-11-07",
            "07T01:30-04:00 08T01:30-05:00",
        ),
        (
            "by the clock in a gap",
            "*/30 2 * * *",
            "America/New_York",
            "2027-03-14",
            "15T02:00-04:00 15T02:30-04:00",
        ),
        (
            "by the clock in an overlap",
            "*/30 1 * * *",
            "America/New_York",
            "2027-11-07",
            "07T01:00-04:00 07T01:30-04:00 07T01:00-05:00 07T01:30-05:00 08T01:00-05:00",
        ),
        (
            "hours by the clock",
            "30 */2 * * *",
            "America/New_York",
            "2027-03-14",
            "14T00:30-05:00 14T04:30-04:00",
        ),
        (
            "several times left out run once",
            "0,30 2 * * *",
            "America/New_York",
            "2027-03-14",
            "14T03:00-04:00 15T02:00-04:00",
        ),
        (
            "seconds",
            "0,30 30 2 * * *",
            "America/New_York",
            "2027-03-14",
            "14T03:00-04:00 15T02:30-04:00",
        ),
    ],
)
def test_crontab_lines_by_default(
    _case: str, line: str, zone: str, start: str, expected: str
) -> None:
    times = expected.split()

    found = instants(slots(line, start, zone), zone, len(times))

    assert [instant[8:] for instant in found] == times


def test_a_start_between_two_equal_hours_is_an_instant_not_a_reading_of_the_clock() -> None:
    # At 01:10 the hour has not come a second time yet, so 01:00 is still ahead.
    line = slots("*/30 1 * * *", "2027-11-07T01:10", "America/New_York")

    assert texts(line, 4) == [
        "2027-11-07T01:30",
        "2027-11-07T01:00f",
        "2027-11-07T01:30f",
        "2027-11-08T01:00",
    ]


def test_what_a_gap_moves_past_the_start_is_not_part_of_the_series() -> None:
    line = slots("30 2 * * *", "2027-03-14T03:00", "America/New_York")
    rule = slots("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "2027-03-14T03:10", "America/New_York")

    assert texts(line, 1) == ["2027-03-15T02:30"]
    assert texts(rule, 1) == ["2027-03-15T02:30"]
