"""English phrases: what they say, what they leave of the title, and what is no phrase at all."""

from datetime import date, time

import pytest

from domain.recurrence.phrase import parse_phrase
from domain.recurrence.policies import Anchor, MonthEnd
from domain.recurrence.rrule_text import text_of
from domain.recurrence.rule import LocalStart

# A Tuesday.
TODAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    "text, rule",
    [
        ("every day", "FREQ=DAILY"),
        ("Every Day.", "FREQ=DAILY"),
        ("each day", "FREQ=DAILY"),
        ("daily", "FREQ=DAILY"),
        ("every other day", "FREQ=DAILY;INTERVAL=2"),
        ("every 3 days", "FREQ=DAILY;INTERVAL=3"),
        ("every three days", "FREQ=DAILY;INTERVAL=3"),
        ("every 3rd day", "FREQ=DAILY;INTERVAL=3"),
        ("every second day", "FREQ=DAILY;INTERVAL=2"),
        ("every morning", "FREQ=DAILY"),
        ("every hour", "FREQ=HOURLY"),
        ("every 90 minutes", "FREQ=MINUTELY;INTERVAL=90"),
        ("every 2 min", "FREQ=MINUTELY;INTERVAL=2"),
        ("every week", "FREQ=WEEKLY"),
        ("every fortnight", "FREQ=WEEKLY;INTERVAL=2"),
        ("every 2 fortnights", "FREQ=WEEKLY;INTERVAL=4"),
        ("every weekday", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
        ("every workday", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
        ("every weekend", "FREQ=WEEKLY;BYDAY=SA,SU"),
        ("every monday", "FREQ=WEEKLY;BYDAY=MO"),
        ("every mon, Wed and FRI", "FREQ=WEEKLY;BYDAY=MO,WE,FR"),
        ("every tue & thurs", "FREQ=WEEKLY;BYDAY=TU,TH"),
        ("every mon-fri", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
        ("every saturday to monday", "FREQ=WEEKLY;BYDAY=MO,SA,SU"),
        ("every other tuesday", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU"),
        ("every week on weekdays", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
        ("every 2 weeks on mon, thu", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH"),
        ("every month", "FREQ=MONTHLY"),
        ("every quarter", "FREQ=MONTHLY;INTERVAL=3"),
        ("every 3rd month", "FREQ=MONTHLY;INTERVAL=3"),
        ("every 15th", "FREQ=MONTHLY;BYMONTHDAY=15"),
        ("every 1st and 15th", "FREQ=MONTHLY;BYMONTHDAY=1,15"),
        ("every last day", "FREQ=MONTHLY;BYMONTHDAY=-1"),
        ("every 2nd last day", "FREQ=MONTHLY;BYMONTHDAY=-2"),
        ("every first day of the month", "FREQ=MONTHLY;BYMONTHDAY=1"),
        ("every 3rd day of the month", "FREQ=MONTHLY;BYMONTHDAY=3"),
        ("every 3rd friday", "FREQ=MONTHLY;BYDAY=3FR"),
        ("every third friday of the month", "FREQ=MONTHLY;BYDAY=3FR"),
        ("every last friday", "FREQ=MONTHLY;BYDAY=-1FR"),
        ("every 2nd and 4th thursday", "FREQ=MONTHLY;BYDAY=2TH,4TH"),
        ("every first weekday", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1"),
        ("every last weekday", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"),
        ("every month on the 31st", "FREQ=MONTHLY;BYMONTHDAY=31"),
        ("every month on the last day", "FREQ=MONTHLY;BYMONTHDAY=-1"),
        ("every 3 months on the last friday", "FREQ=MONTHLY;INTERVAL=3;BYDAY=-1FR"),
        ("monthly on the 1st", "FREQ=MONTHLY;BYMONTHDAY=1"),
        ("every year", "FREQ=YEARLY"),
        ("annually on 5 may", "FREQ=YEARLY;BYMONTHDAY=5;BYMONTH=5"),
        ("every april", "FREQ=YEARLY;BYMONTH=4"),
        ("every april 1", "FREQ=YEARLY;BYMONTHDAY=1;BYMONTH=4"),
        ("every 1st of April", "FREQ=YEARLY;BYMONTHDAY=1;BYMONTH=4"),
        ("every 29 february", "FREQ=YEARLY;BYMONTHDAY=29;BYMONTH=2"),
        ("every year on march 14th", "FREQ=YEARLY;BYMONTHDAY=14;BYMONTH=3"),
        ("every 4th thursday of november", "FREQ=YEARLY;BYDAY=4TH;BYMONTH=11"),
        ("every year on the last monday of may", "FREQ=YEARLY;BYDAY=-1MO;BYMONTH=5"),
        ("every june and december on the 1st", "FREQ=YEARLY;BYMONTHDAY=1;BYMONTH=6,12"),
        ("every day in december", "FREQ=DAILY;BYMONTH=12"),
        ("every day for 10 times", "FREQ=DAILY;COUNT=10"),
        ("every day, 10 times", "FREQ=DAILY;COUNT=10"),
        ("every day for 3 weeks", "FREQ=DAILY;UNTIL=20261214"),
        ("every day for 2 months", "FREQ=DAILY;UNTIL=20270123"),
        ("every day until 2027-06-30", "FREQ=DAILY;UNTIL=20270630"),
        ("every day until 30 june", "FREQ=DAILY;UNTIL=20270630"),
        ("every day until June 30, 2028", "FREQ=DAILY;UNTIL=20280630"),
        ("every day until june", "FREQ=DAILY;UNTIL=20270531"),
        ("every day until june 2029", "FREQ=DAILY;UNTIL=20290531"),
        ("every day until 2028", "FREQ=DAILY;UNTIL=20271231"),
        ("every day until friday", "FREQ=DAILY;UNTIL=20261127"),
        ("every day until tuesday", "FREQ=DAILY;UNTIL=20261201"),
        ("every day at 9 and 17", "FREQ=DAILY;BYMINUTE=0;BYHOUR=9,17"),
        ("every day at 9, 12 and 17 in may", "FREQ=DAILY;BYMINUTE=0;BYHOUR=9,12,17;BYMONTH=5"),
        ("every day at 9, 2 times", "FREQ=DAILY;COUNT=2"),
        ("every day at 9:00 and 17:30", "FREQ=DAILY;BYMINUTE=0,30;BYHOUR=9,17;BYSETPOS=1,4"),
        (
            "every mon at 9:00 and 17:30",
            "FREQ=DAILY;BYMINUTE=0,30;BYHOUR=9,17;BYDAY=MO;BYSETPOS=1,4",
        ),
    ],
)
def test_a_phrase_is_a_rule(text: str, rule: str) -> None:
    phrase = parse_phrase(text, TODAY)

    assert phrase is not None
    assert phrase.title == ""
    parts = text_of(phrase.rule).split(";")
    assert sorted(parts) == sorted(rule.split(";"))


@pytest.mark.parametrize(
    "text, at",
    [
        ("every day at 9", "09:00"),
        ("every day at 9am", "09:00"),
        ("every day at 9 pm", "21:00"),
        ("every day at 12am", "00:00"),
        ("every day at 12:30 p.m.", "12:30"),
        ("every day @ 7.30", "07:30"),
        ("every day at noon", "12:00"),
        ("every day 7:30", "07:30"),
        ("every day 7am", "07:00"),
        ("every monday morning", "09:00"),
        ("every day in the evening", "19:00"),
        ("every monday morning at 8", "08:00"),
        ("at 18:45 every friday", "18:45"),
        ("daily at 7:30", "07:30"),
        ("every day at 17 and 9", "09:00"),
        ("every day", None),
    ],
)
def test_times_of_day_are_hints_for_the_start(text: str, at: str | None) -> None:
    phrase = parse_phrase(text, TODAY)

    assert phrase is not None
    assert phrase.title == ""
    assert phrase.at == (time.fromisoformat(at) if at else None)


@pytest.mark.parametrize(
    "text, title, rule",
    [
        ("Water the plants every! 3 days", "Water the plants", "FREQ=DAILY;INTERVAL=3"),
        ("every friday: call Bob about 3 days in May", "call Bob about 3 days in May",
         "FREQ=WEEKLY;BYDAY=FR"),
        ("Pay, every month on the 31st, the rent", "Pay the rent", "FREQ=MONTHLY;BYMONTHDAY=31"),
        ("at 9 every friday call bob", "call bob", "FREQ=WEEKLY;BYDAY=FR"),
        ("weekly report every friday at 3pm", "weekly report", "FREQ=WEEKLY;BYDAY=FR"),
        ("read every book every day", "read every book", "FREQ=DAILY"),
        ("every day at home", "at home", "FREQ=DAILY"),
        ("every day at 25", "at 25", "FREQ=DAILY"),
        ("every day until done", "until done", "FREQ=DAILY"),
        ("every day for mum", "for mum", "FREQ=DAILY"),
        ("every day on the train", "on the train", "FREQ=DAILY"),
        ("every day, 3 eggs", "3 eggs", "FREQ=DAILY"),
        ("every week 5 km", "5 km", "FREQ=WEEKLY"),
        ("every week at 9, 5 km", "5 km", "FREQ=WEEKLY"),
        ("every friday after lunch", "after lunch", "FREQ=WEEKLY;BYDAY=FR"),
        ("\u00dcben every day \U0001f3bb", "\u00dcben \U0001f3bb", "FREQ=DAILY"),
    ],
)  # fmt: skip
def test_the_rest_of_the_text_is_the_title(text: str, title: str, rule: str) -> None:
    phrase = parse_phrase(text, TODAY)

    assert phrase is not None
    assert (phrase.title, text_of(phrase.rule)) == (title, rule)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "paprika",
        "everyday carry",
        "every-day carry",
        "may call bob",
        "March to the station",
        "buy sunflowers, mon cheri",
        "read every book",
        "for every action",
        "Daily standup",
        "yearly review",
        "daily at home",
        "every second counts",
        "every 30 seconds",
        "every 0 days",
        "every -1 days",
        "every 1.5 days",
        "every last one",
        "every first of us",
        "every 32nd",
        "every 6th friday",
        "every 31 april",
        "every thing",
        "every",
        "every!",
        "at 9",
        "meet at 9 on friday",
        "3 days after the party",
        "2 weeks until June",
        "until friday",
        '"every day" by Taylor',
        "days of thunder",
        "every 2 weeks at 9:00 and 17:30",
        "x" * 3_000 + " every day",
    ],
)
def test_what_only_looks_like_a_phrase_is_left_alone(text: str) -> None:
    assert parse_phrase(text, TODAY) is None


@pytest.mark.parametrize(
    "text, anchor, month_end",
    [
        ("every 3 days", None, None),
        ("every! 3 days", Anchor.COMPLETION, None),
        ("3 days after I did it", Anchor.COMPLETION, None),
        ("every 3 days after completion", Anchor.COMPLETION, None),
        ("every month", None, MonthEnd.CLAMP),
        ("every 31st", None, MonthEnd.CLAMP),
        ("every 31st or the last day", None, MonthEnd.CLAMP),
        ("every 31st where there is one", None, MonthEnd.SKIP),
        ("every last friday", None, None),
    ],
)
def test_a_phrase_chooses_policies(
    text: str, anchor: Anchor | None, month_end: MonthEnd | None
) -> None:
    phrase = parse_phrase(text, TODAY)

    assert phrase is not None
    assert phrase.title == ""
    assert (phrase.choices.anchor, phrase.choices.month_end) == (anchor, month_end)


@pytest.mark.parametrize(
    "text, given, expected",
    [
        ("every day", ("2026-11-24", "10:00"), ("2026-11-24", "10:00")),
        ("every day at 9", ("2026-11-24", "08:00"), ("2026-11-24", "09:00")),
        ("every day at 9", ("2026-11-24", "09:00"), ("2026-11-24", "09:00")),
        ("every day at 9", ("2026-11-24", "10:00"), ("2026-11-25", "09:00")),
        ("every day at 9 and 17", ("2026-11-24", "10:00"), ("2026-11-24", "10:00")),
        ("every day at 9", ("2026-11-24", None), ("2026-11-24", "09:00")),
        ("every day from monday", ("2026-11-24", "10:00"), ("2026-11-30", "10:00")),
        ("every day at 9 starting 3 march", ("2026-11-24", "10:00"), ("2027-03-03", "09:00")),
        ("every day starting 2026-01-01", ("2026-11-24", "10:00"), ("2026-11-24", "10:00")),
    ],
)
def test_a_series_starts_as_the_phrase_says_and_never_before_it_was_asked_for(
    text: str, given: tuple[str, str | None], expected: tuple[str, str | None]
) -> None:
    phrase = parse_phrase(text, TODAY)

    assert phrase is not None
    assert phrase.start(_start(*given)) == _start(*expected)


def test_a_long_text_of_triggers_is_read_in_time() -> None:
    assert parse_phrase("every " * 300 + "x", TODAY) is None
    assert parse_phrase("every 1st, " * 150, TODAY) is not None


def _start(day: str, at: str | None) -> LocalStart:
    return LocalStart(date.fromisoformat(day), time.fromisoformat(at) if at else None)
