"""RFC 5545 text: what is read, what is refused and with which words, and the way back."""

from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given, settings

from domain.errors import Code, Refused
from domain.recurrence.local_text import slot_text
from domain.recurrence.rrule_text import parse_rrule, text_of
from domain.recurrence.rule import ByDay, Frequency, LocalTime, RRule, Rule, Skip
from tests.recurrences import rrules

ALL = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")


def test_every_part_is_read() -> None:
    rule = parse_rrule(
        "RRULE:FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=3,1;BYMONTHDAY=-1,15;BYYEARDAY=1,-1;"
        "BYDAY=-1FR,MO;BYHOUR=9,17;BYMINUTE=0,30;BYSECOND=0,59;BYSETPOS=1,-1;WKST=SU;"
        "RSCALE=GREGORIAN;SKIP=FORWARD"
    )

    assert rule.pattern == RRule(
        frequency=Frequency.YEARLY,
        interval=2,
        count=10,
        by_month=(1, 3),
        by_month_day=(-1, 15),
        by_year_day=(-1, 1),
        by_day=(ByDay(-1, 4), ByDay(0, 0)),
        by_hour=(9, 17),
        by_minute=(0, 30),
        by_second=(0, 59),
        by_set_pos=(-1, 1),
        week_start=6,
        skip=Skip.FORWARD,
    )


@pytest.mark.parametrize(
    "text, until",
    [
        ("UNTIL=20271231", date(2027, 12, 31)),
        ("UNTIL=20271231T235959", datetime(2027, 12, 31, 23, 59, 59)),  # noqa: DTZ001 - local
        ("UNTIL=20271231T225959Z", datetime(2027, 12, 31, 22, 59, 59, tzinfo=UTC)),
    ],
)
def test_until_is_a_day_a_local_time_or_an_instant(text: str, until: date) -> None:
    pattern = parse_rrule(f"FREQ=DAILY;{text}").pattern

    assert isinstance(pattern, RRule)
    assert pattern.until == until
    assert text_of(Rule(pattern=pattern)) == f"FREQ=DAILY;{text}"


def test_dates_besides_the_rule_stand_on_lines_of_their_own() -> None:
    rule = parse_rrule(
        "RRULE:FREQ=DAILY;COUNT=3\r\nRDATE:20270105T100000,20270103T100000\n"
        "RDATE;VALUE=DATE:20270107\nEXDATE:2027-01-02T09:00f\n"
    )

    assert rule.with_dates == (
        LocalTime(day=date(2027, 1, 3), at=time(10)),
        LocalTime(day=date(2027, 1, 5), at=time(10)),
        LocalTime(day=date(2027, 1, 7), at=None),
    )
    assert rule.without_dates == (LocalTime(day=date(2027, 1, 2), at=time(9), fold=True),)
    assert parse_rrule(text_of(rule)) == rule


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "There are 0 rules"),
        ("FREQ=DAILY\nFREQ=WEEKLY", "There are 2 rules"),
        ("INTERVAL=2", "FREQ is missing"),
        ("FREQ=FORTNIGHTLY", "FREQ: 'FORTNIGHTLY' is not one of YEARLY"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL: '0' is not a number from 1 up"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL: '-1'"),
        ("FREQ=DAILY;INTERVAL=1.5", "INTERVAL: '1.5'"),
        ("FREQ=DAILY;INTERVAL=\u0662", "INTERVAL: '\u0662'"),
        ("FREQ=DAILY;COUNT=0", "COUNT: '0' is not a number from 1 up"),
        ("FREQ=DAILY;COUNT=99999999999", "COUNT: '99999999999'"),
        ("FREQ=DAILY;UNTIL=20270230", "UNTIL: '20270230' is no date"),
        ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL: 'TOMORROW' is no date"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101", "COUNT and UNTIL exclude each other"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH: '13' is not a month (1 to 12)"),
        ("FREQ=DAILY;BYMONTH=-1", "BYMONTH: '-1'"),
        ("FREQ=DAILY;BYMONTH=", "BYMONTH: ''"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY: '0' is not a day of the month"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY: '32'"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR: '24' is not an hour"),
        ("FREQ=DAILY;BYSECOND=61", "BYSECOND: '61' is not a second"),
        ("FREQ=DAILY;BYDAY=XX", "BYDAY: 'XX' is no weekday"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY: '0MO' is no weekday"),
        ("FREQ=YEARLY;BYDAY=54MO", "BYDAY: '54MO' is no weekday"),
        ("FREQ=WEEKLY;BYDAY=1MO", "BYDAY counts weekdays of a month or year only"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "BYDAY has no numbers beside BYWEEKNO"),
        ("FREQ=MONTHLY;BYWEEKNO=20", "BYWEEKNO needs a year"),
        ("FREQ=YEARLY;BYWEEKNO=54", "BYWEEKNO: '54'"),
        ("FREQ=DAILY;BYYEARDAY=100", "BYYEARDAY needs a year"),
        ("FREQ=YEARLY;BYYEARDAY=367", "BYYEARDAY: '367'"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY needs a month"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS picks from another part"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0", "BYSETPOS: '0'"),
        ("FREQ=DAILY;WKST=1MO", "WKST: '1MO' is no weekday"),
        ("FREQ=DAILY;RSCALE=CHINESE", "RSCALE: 'CHINESE' is not read"),
        ("FREQ=DAILY;SKIP=FORWARD", "SKIP needs a calendar"),
        ("RSCALE=GREGORIAN;FREQ=DAILY;SKIP=UP", "SKIP: 'UP' is not OMIT"),
        ("FREQ=DAILY;FREQ=WEEKLY", "FREQ is there twice"),
        ("FREQ=DAILY;BYEASTER=0", "'BYEASTER' is no part of a rule"),
        ("FREQ=DAILY;;COUNT=2", "'' is no part of a rule"),
        ("DTSTART:20270101T090000\nFREQ=DAILY", "the start has its own field"),
        ("FREQ=DAILY\nRDATE:soon", "RDATE: 'SOON' is no local time"),
        ("FREQ=DAILY\nEXDATE:20270101T090000Z", "EXDATE: '20270101T090000Z' is no local time"),
        ("FREQ=DAILY;UNTIL=20271031T023000f", "UNTIL: '20271031T023000F' is no date"),
        ("FREQ=DAILY\nEXDATE;TZID=Europe/Paris:20270101T090000", "EXDATE: 'TZID=EUROPE/PARIS'"),
        ("FREQ=DAILY\nRDATE:" + ",".join(f"{n:04}0101" for n in range(1, 1_500)), "more than 1000"),
        ("FREQ=DAILY;" + "X" * 40_000, "at most 32768 characters"),
    ],
)
def test_what_is_no_rule_is_refused_by_the_part_that_is_wrong(text: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_rrule(text)

    assert all(problem.code is Code.INVALID for problem in refused.value.problems)
    assert all(problem.path == ("rule",) for problem in refused.value.problems)
    assert says in str(refused.value)
    # A message of a refusal must stay a message, whatever was sent.
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", ["20271031T023000f", "2027-10-31T02:30f"])
def test_the_second_of_two_equal_times_is_read_in_both_forms(text: str) -> None:
    (date,) = parse_rrule(f"FREQ=DAILY\nRDATE:{text}").with_dates

    assert slot_text(datetime.combine(date.day, date.at or time()), fold=bool(date.fold)) == (
        "2027-10-31T02:30f"
    )


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(Refused) as refused:
        parse_rrule("FREQ=DAILY;INTERVAL=0;BYHOUR=24;BYDAY=XX;WHAT=EVER")

    assert len(refused.value.problems) == 4


@settings(max_examples=200, deadline=None)
@given(text=rrules(ALL))
def test_the_canonical_text_is_read_as_the_same_rule(text: str) -> None:
    rule = parse_rrule(text)

    assert parse_rrule(text_of(rule)) == rule
    assert text_of(parse_rrule(text_of(rule))) == text_of(rule)
