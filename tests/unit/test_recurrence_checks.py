"""What a series is refused for at creation."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.errors import Code, Refused
from domain.recurrence.checks import check, check_floor
from domain.recurrence.cron_text import parse_cron
from domain.recurrence.policies import policies_for
from domain.recurrence.rule import LocalTime, Rule
from tests.recurrences import local_start, rule_of

PARIS = ZoneInfo("Europe/Paris")
DAILY = parse_cron("0 9 * * *").pattern
EARLY = LocalTime(day=date(2026, 12, 31), at=None)


def first(text: str, start: str = "2027-01-01T09:00") -> str:
    rule = rule_of(text)
    return check(rule, local_start(start), PARIS, policies_for(rule)).text


def test_a_sound_series_is_known_by_its_first_slot() -> None:
    assert first("FREQ=MONTHLY;BYDAY=-1FR") == "2027-01-29T09:00"
    assert first("0 9 L * *") == "2027-01-31T09:00"
    assert first("FREQ=DAILY;UNTIL=20261231T230000Z", "2027-01-01") == "2027-01-01T00:00"


@pytest.mark.parametrize(
    "text, says",
    [
        ("FREQ=DAILY;UNTIL=20261231", "UNTIL: 20261231 lies before the start, 2027-01-01"),
        ("FREQ=DAILY;UNTIL=20270101T080000", "never fires between its start and its end"),
        ("FREQ=WEEKLY;BYDAY=MO;UNTIL=20270102", "never fires between its start and its end"),
        ("FREQ=DAILY;COUNT=1\nEXDATE:20270101T090000", "never fires"),
        ("FREQ=DAILY\nRDATE:20261231T090000", "RDATE: 2026-12-31 lies before the start"),
        ("FREQ=DAILY\nRDATE:20270101T085959", "RDATE: 2027-01-01 lies before the start"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "finds no date"),
        ("FREQ=HOURLY;BYHOUR=9,10;COUNT=10001", "COUNT: so many occurrences"),
        ("FREQ=SECONDLY", "may fire 1 s after it fired; the least here is 1 min"),
        ("FREQ=MINUTELY;BYSECOND=0,20", "may fire 20 s after"),
        ("FREQ=DAILY;BYHOUR=9;BYSECOND=0,59", "may fire 59 s after"),
        ("FREQ=HOURLY;BYMINUTE=0;BYSECOND=10,40", "may fire 30 s after"),
        ("*/30 * * * * *", "and */5 * * * * keeps it"),
    ],
)
def test_what_may_not_be_created_is_refused(text: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        first(text)

    assert {problem.code for problem in refused.value.problems} == {Code.INVALID}
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["FREQ=HOURLY;BYHOUR=9,10;COUNT=10000", "FREQ=HOURLY;COUNT=1000000", "FREQ=DAILY;COUNT=50000"],
)
def test_a_count_that_can_be_told_is_kept(text: str) -> None:
    assert first(text) == "2027-01-01T09:00"


@pytest.mark.parametrize(
    "_case, line, start, says",
    [
        ("never", Rule(pattern=DAILY), "9999-12-31T10:00", "never fires from its start on"),
        ("a date too early", Rule(pattern=DAILY, with_dates=(EARLY,)), "2027-01-01T09:00", "RDATE"),
    ],
)
def test_what_is_wrong_with_a_crontab_line_is_said_of_the_line(
    _case: str, line: Rule, start: str, says: str
) -> None:
    with pytest.raises(Refused, match=says) as refused:
        check(line, local_start(start), PARIS, policies_for(line))

    (problem,) = refused.value.problems
    assert problem.path == ("cron",)
    assert "FREQ" not in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=MINUTELY",
        "FREQ=SECONDLY;INTERVAL=60",
        "FREQ=SECONDLY;INTERVAL=7;BYSECOND=0",
        "FREQ=SECONDLY;BYSECOND=30",
        "FREQ=DAILY;BYHOUR=9;BYMINUTE=0,1",
        "FREQ=DAILY;BYHOUR=9;BYSECOND=0,1,2;BYSETPOS=2",
        "* * * * *",
        "30 * * * * *",
    ],
)
def test_once_a_minute_is_not_too_often(text: str) -> None:
    check_floor(rule_of(text), local_start("2027-01-01T09:00:30"))


def test_the_floor_may_lie_higher() -> None:
    hour = timedelta(hours=1)
    start = local_start("2027-01-01T09:00")

    check_floor(rule_of("0 * * * *"), start, hour)
    check_floor(rule_of("FREQ=MINUTELY;BYMINUTE=0"), start, hour)
    check_floor(rule_of("FREQ=WEEKLY"), start, hour)
    with pytest.raises(Refused, match="may fire 45 min after it fired; the least here is 60 min"):
        check_floor(rule_of("0,45 1 * * *"), start, hour)
    with pytest.raises(Refused, match="may fire 60 min after it fired; the least here is 120 min"):
        check_floor(rule_of("0 0,23 * * *"), start, timedelta(hours=2))


def test_a_rule_that_is_only_looked_at_has_no_floor() -> None:
    rule = rule_of("FREQ=SECONDLY")
    start = local_start("2027-01-01T09:00")

    assert check(rule, start, PARIS, policies_for(rule), floor=None).text == "2027-01-01T09:00"
