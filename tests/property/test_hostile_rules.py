"""Whatever is sent as a rule, a line, a phrase: an answer or a refusal, within the budgets."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Code, Refused
from domain.recurrence.checks import check
from domain.recurrence.cron_text import parse_cron
from domain.recurrence.describe import describe
from domain.recurrence.phrase import parse_phrase
from domain.recurrence.policies import policies_for
from domain.recurrence.rrule_text import parse_rrule, text_of
from domain.recurrence.rule import LocalStart, Rule
from domain.recurrence.schedule import occurrences
from tests.recurrences import ZONES

NAMES = [
    "FREQ",
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "BYSECOND",
    "BYMINUTE",
    "BYHOUR",
    "BYDAY",
    "BYMONTHDAY",
    "BYYEARDAY",
    "BYWEEKNO",
    "BYMONTH",
    "BYSETPOS",
    "WKST",
    "RSCALE",
    "SKIP",
]
VALUES = [
    "DAILY",
    "YEARLY",
    "MONTHLY",
    "WEEKLY",
    "HOURLY",
    "MINUTELY",
    "SECONDLY",
    "0",
    "1",
    "-1",
    "2",
    "5",
    "29",
    "30",
    "31",
    "53",
    "59",
    "60",
    "-53",
    "366",
    "-366",
    "9999999999",
    "MO",
    "SU",
    "1MO",
    "-1FR",
    "5SU",
    "53TU",
    "1,2,3",
    "1,-1",
    "GREGORIAN",
    "FORWARD",
    "BACKWARD",
    "OMIT",
    "99991231",
    "00010101",
    "20270101T000000Z",
]
pairs = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)).map("=".join)
rules = st.tuples(
    st.sampled_from(VALUES[:7]).map("FREQ={}".format), st.lists(pairs, max_size=5)
).map(lambda parts: ";".join([parts[0], *parts[1]]))
fields = st.sampled_from(
    [
        "*",
        "*/1",
        "*/2",
        "*/59",
        "0",
        "1",
        "5",
        "7",
        "29",
        "30",
        "31",
        "1-5",
        "5-1",
        "0-59",
        "l",
        "lw",
        "15w",
        "31w",
        "l-30",
        "5#5",
        "1#1",
        "5l",
        "mon",
        "fri-sun",
        "feb",
        "?",
        "-",
        "1,2,3",
        "*/0",
        "1/5",
        "99",
        "*,1",
        "1-5/2",
    ]
)
lines = st.lists(fields, min_size=4, max_size=7).map(" ".join)
starts = st.sampled_from(
    [date(1, 1, 1), date(1, 1, 8), date(2027, 1, 31), date(2028, 2, 29), date(9999, 12, 31)]
)


def asked(text: str, day: date, zone: ZoneInfo, after: datetime | None) -> Refused | None:
    """Reads, checks, describes and asks; returns the refusal, if that is the answer."""
    try:
        rule = parse_cron(text) if "FREQ" not in text else parse_rrule(text)
        if "FREQ" in text:
            assert parse_rrule(text_of(rule)) == rule
        start = LocalStart(day, None)
        policies = policies_for(rule)
        assert describe(rule, start, policies)
        found = list(islice(occurrences(rule, start, zone, policies, after), 5))
        assert found == sorted(found, key=lambda slot: slot.instant)
        check(rule, start, zone, policies)
    except Refused as refused:
        return refused
    return None


def refusal(read: Callable[[str], Rule], text: str) -> Refused | None:
    try:
        read(text)
    except Refused as refused:
        return refused
    return None


@settings(max_examples=300, deadline=None)
@given(
    text=rules | lines,
    day=starts,
    zone=st.sampled_from(ZONES),
    after=st.none()
    | st.sampled_from(
        [
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(2999, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        ]
    ),
)
def test_hostile_rules_end(text: str, day: date, zone: ZoneInfo, after: datetime | None) -> None:
    refused = asked(text, day, zone, after)

    problems = () if refused is None else refused.problems
    assert all(problem.code is Code.INVALID and problem.message for problem in problems)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    parse_phrase(text, date(2027, 1, 1))

    for read in (parse_rrule, parse_cron):
        assert len(str(refusal(read, text))) < 2_000


@settings(max_examples=100, deadline=None)
@given(
    day=st.dates(),
    text=st.sampled_from(
        [
            "every day until june",
            "every day for 999 years",
            "every day from friday",
            "every day from 9999-12-31 for 999 weeks",
            "every feb 29 until 1 may",
        ]
    ),
)
def test_phrases_of_every_date(day: date, text: str) -> None:
    phrase = parse_phrase(text, day)

    assert phrase is not None
    assert phrase.title == ""
