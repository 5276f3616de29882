"""Crontab lines: Debian's reading of them, three extensions, and refusals instead of surprises."""

import pytest

from domain.errors import Code, Refused
from domain.recurrence.cron_text import MACROS, parse_cron
from domain.recurrence.rrule_text import text_of
from domain.recurrence.rule import ByDay, Cron


def read(text: str) -> Cron:
    pattern = parse_cron(text).pattern
    assert isinstance(pattern, Cron)
    return pattern


def test_fields_hold_numbers_names_ranges_and_steps() -> None:
    cron = read("*/20 9-17/4 1,15 jan-MAR Mon,wed-fri")

    assert (cron.seconds, cron.minutes, cron.hours) == ((0,), (0, 20, 40), (9, 13, 17))
    assert (cron.month_days, cron.months) == ((1, 15), (1, 2, 3))
    assert cron.week_days == tuple(ByDay(0, day) for day in (0, 2, 3, 4))
    assert cron.is_wildcard
    assert not cron.both_days


@pytest.mark.parametrize(
    "_case, field, days",
    [
        ("Sunday is 0", "0", (6,)),
        ("Sunday is 7 too", "7", (6,)),
        ("also in a range", "5-7", (4, 5, 6)),
        ("also in steps", "1-7/3", (0, 3, 6)),
        ("all of them", "*", (0, 1, 2, 3, 4, 5, 6)),
        ("by name", "sun-tue", (0, 1, 6)),
    ],
)
def test_days_of_the_week(_case: str, field: str, days: tuple[int, ...]) -> None:
    assert read(f"0 0 * * {field}").week_days == tuple(ByDay(0, day) for day in days)


def test_six_fields_begin_with_seconds() -> None:
    assert read("*/15 30 9 * * *").seconds == (0, 15, 30, 45)
    assert not read("*/15 30 9 * * *").is_wildcard


def test_extensions_count_from_the_end_and_find_weekdays() -> None:
    cron = read("0 0 L,L-2,15W,LW * 5L,mon#2")

    assert cron.month_days == (-3, -1)
    assert cron.near_month_days == (-1, 15)
    assert cron.week_days == (ByDay(-1, 4), ByDay(2, 0))


@pytest.mark.parametrize("macro", sorted(MACROS))
def test_macros_stand_for_lines(macro: str) -> None:
    assert parse_cron(macro.upper()) == parse_cron(MACROS[macro])


def test_the_canonical_text_is_read_as_the_same_rule() -> None:
    rule = parse_cron("  0\t9   l jan   mon#1 ")

    assert text_of(rule) == "0 9 L JAN MON#1"
    assert parse_cron(text_of(rule)) == rule


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "not 0"),
        ("* * * *", "five fields, or six with seconds first, not 4"),
        ("* * * * * * *", "not 7"),
        ("@reboot", "'@reboot' is none of"),
        ("60 * * * *", "the minute '60' is not read (0 to 59)"),
        ("* 24 * * *", "the hour '24'"),
        ("* * 0 * *", "the day of month '0'"),
        ("* * 32 * *", "the day of month '32'"),
        ("* * * 13 *", "the month '13'"),
        ("* * * * 8", "the day of week '8'"),
        ("* * * * funday", "the day of week 'funday'"),
        ("x * * * *", "the minute 'x'"),
        ("1,,2 * * * *", "the minute ''"),
        ("-5 * * * *", "the minute '-5'"),
        ("? * * * *", "the minute '?'"),
        ("\u0665 * * * *", "the minute '\u0665'"),
        ("99999999999999999999 * * * *", "the minute '9999"),
        ("*/0 * * * *", "steps stand after"),
        ("5/15 * * * *", "steps stand after"),
        ("5-1 * * * *", "runs backwards and would never match"),
        ("0 0 * * fri-sun", "runs backwards"),
        ("0 0 30 2 *", "No year has such a day"),
        ("0 0 31 4,6 *", "No year has such a day"),
        ("0 0 * * L", "L says no day of week"),
        ("0 0 * * 1#6", "the day of week '1#6'"),
        ("0 0 * * 8L", "the day of week '8l'"),
        ("0 0 32W * *", "lies outside the month"),
        ("0 0 0W * *", "lies outside the month"),
        ("0 0 L-31 * *", "lies outside the month"),
        ("5#3 * * * *", "the minute '5#3'"),
        ("0 0 W * *", "the day of month 'w'"),
        ("* " * 3_000, "more than 4096 characters"),
    ],
)
def test_what_would_never_run_or_be_misread_is_refused(text: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_cron(text)

    assert {problem.code for problem in refused.value.problems} == {Code.INVALID}
    assert {problem.path for problem in refused.value.problems} == {("cron",)}
    assert says in str(refused.value)


def test_a_rare_day_is_not_refused() -> None:
    # Leap years in which February begins on a Monday: 2044 is the next.
    assert read("0 0 * 2 1#5").week_days == (ByDay(5, 0),)
