"""Rules in English."""

import pytest
from hypothesis import given, settings

from domain.recurrence.describe import describe
from domain.recurrence.policies import Anchor, Choices, MonthEnd, policies_for
from domain.recurrence.rule import LocalStart
from tests.recurrences import cron_lines, local_start, rrules, rule_of

ALL = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
# A Saturday.
START = local_start("2026-01-31T09:00")


def said(text: str, choices: Choices | None = None, start: LocalStart = START) -> str:
    rule = rule_of(text)
    return describe(rule, start, policies_for(rule, choices))


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("FREQ=DAILY", "Every day at 9:00"),
        ("FREQ=DAILY;INTERVAL=3", "Every 3 days at 9:00"),
        ("FREQ=DAILY;BYDAY=MO,TU;BYMONTH=1,3",
         "Every day that is a Monday or Tuesday in January and March at 9:00"),
        ("FREQ=DAILY;BYHOUR=9,17;BYMINUTE=0,30;BYSETPOS=1,4", "Every day at 9:00 and 17:30"),
        ("FREQ=WEEKLY", "Every Saturday at 9:00"),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "Every weekday at 9:00"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;UNTIL=20270630",
         "Every 2 weeks on Monday and Thursday at 9:00, until 30 June 2027"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
         "Every 2 weeks on Tuesday and Sunday, weeks from Sunday at 9:00"),
        ("FREQ=MONTHLY", "Every month on the 31st where there is one at 9:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,-1", "Every month on the 1st and last day at 9:00"),
        ("RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=FORWARD",
         "Every month on the 31st or the day after the month at 9:00"),
        ("FREQ=MONTHLY;BYDAY=-1FR;COUNT=10", "Every month on the last Friday at 9:00, 10 times"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
         "Every month on the last weekday at 9:00"),
        ("FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-2",
         "The 2nd last time of every month on every Monday and Tuesday at 9:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR",
         "Every month on every Friday that is the 13th at 9:00"),
        ("FREQ=YEARLY", "Every year on 31 January at 9:00"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
         "Every year on the 29th where there is one of February at 9:00"),
        ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
         "Every year on the 4th Thursday of November at 9:00"),
        ("FREQ=YEARLY;BYWEEKNO=20", "Every year in week 20 on every Saturday at 9:00"),
        ("FREQ=YEARLY;BYYEARDAY=1,100,-1",
         "Every year on the 1st, 100th and last day of the year at 9:00"),
        ("FREQ=HOURLY;INTERVAL=4", "Every 4 hours"),
        ("FREQ=MINUTELY;INTERVAL=15;BYHOUR=9,10", "Every 15 minutes at hours 9 and 10"),
        ("FREQ=DAILY;COUNT=1", "Every day at 9:00, once"),
        ("FREQ=DAILY;UNTIL=20270101T090000Z",
         "Every day at 9:00, until 1 January 2027, 9:00 UTC"),
        ("RRULE:FREQ=DAILY;COUNT=3\nRDATE:20260301T100000\nEXDATE;VALUE=DATE:20260201",
         "Every day at 9:00, 3 times, and on 1 March 2026, 10:00, but not on 1 February 2026"),
        ("* * * * *", "Every minute"),
        ("@hourly", "At minute 0 of every hour"),
        ("@daily", "At 0:00 every day"),
        ("*/15 9-17 * * 1-5", "Every 15 minutes of hours 9 to 17 on every weekday"),
        ("30 2 1,15 * 5", "At 2:30 on the 1st and 15th and on every Friday"),
        ("0 9 15W,LW 1-3 *",
         "At 9:00 on the last weekday and the weekday nearest to the 15th in January to March"),
        ("0 9 L * *", "At 9:00 on the last day"),
        ("0 9 * * 5#3,1L", "At 9:00 on the last Monday and the 3rd Friday"),
        ("*/10 * * * * *", "Every 10 seconds"),
        ("0 9 */2 * 1",
         "At 9:00 on every 2nd day from the 1st to the 31st that is also on every Monday"),
    ],
)  # fmt: skip
def test_a_rule_is_one_sentence(text: str, sentence: str) -> None:
    assert said(text) == sentence


def test_policies_that_change_what_happens_are_said() -> None:
    clamp = Choices(month_end=MonthEnd.CLAMP)
    completion = Choices(anchor=Anchor.COMPLETION)

    assert said("FREQ=MONTHLY", clamp) == "Every month on the 31st or the last day at 9:00"
    assert said("FREQ=DAILY;INTERVAL=3", completion) == "Every 3 days at 9:00 after completion"


def test_a_whole_day_has_no_time() -> None:
    assert said("FREQ=DAILY", start=local_start("2026-01-31")) == "Every day"


def test_a_sentence_stays_one_however_much_a_rule_lists() -> None:
    times = ",".join(map(str, range(24)))
    days = ",".join(f"202701{day:02}" for day in range(1, 31))

    assert said(f"FREQ=DAILY;BYHOUR={times};BYMINUTE=0,30") == (
        "Every day at 48 times from 0:00 to 23:30"
    )
    assert said(f"FREQ=DAILY\nEXDATE:{days}").endswith("12 January 2027 and 18 more")


@settings(max_examples=150, deadline=None)
@given(text=rrules(ALL) | cron_lines())
def test_every_rule_has_words(text: str) -> None:
    sentence = said(text)

    assert sentence[0].isupper()
    assert "  " not in sentence
    assert sentence == sentence.strip()
    assert len(sentence) < 600
