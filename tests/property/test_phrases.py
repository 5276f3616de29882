"""What a rule is said to do is read as the same rule, wherever a phrase can say it."""

from dataclasses import replace
from datetime import date, datetime, time
from itertools import islice
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.recurrence.describe import describe
from domain.recurrence.phrase import parse_phrase
from domain.recurrence.policies import Anchor, Choices, MonthEnd, policies_for
from domain.recurrence.rule import ByDay, Frequency, LocalStart, RRule, Rule
from domain.recurrence.schedule import occurrences
from domain.recurrence.vocabulary import WORKDAYS

PARIS = ZoneInfo("Europe/Paris")
PAGE = 20
weekdays = st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True).map(
    lambda days: tuple(ByDay(0, day) for day in sorted(days))
)
month_days = st.lists(
    st.sampled_from([*range(1, 32), -1, -2, -3]), min_size=1, max_size=3, unique=True
).map(lambda days: tuple(sorted(days)))
nth_days = st.builds(
    lambda ordinals, day: tuple(ByDay(nth, day) for nth in sorted(ordinals)),
    st.sets(st.sampled_from([1, 2, 3, 4, 5, -1, -2]), min_size=1, max_size=2),
    st.integers(0, 6),
)
months = st.integers(1, 12).map(lambda month: (month,))
counts = st.none() | st.integers(1, 50)
ends = st.none() | st.dates(date(2027, 6, 1), date(2035, 1, 1))


@st.composite
def sayable(draw: st.DrawFn) -> RRule:
    """Returns a rule that the grammar has words for."""
    patterns = (
        st.builds(RRule, frequency=st.just(Frequency.DAILY)),
        st.builds(RRule, frequency=st.just(Frequency.WEEKLY)),
        st.builds(RRule, frequency=st.just(Frequency.WEEKLY), by_day=weekdays),
        st.builds(RRule, frequency=st.just(Frequency.MONTHLY)),
        st.builds(RRule, frequency=st.just(Frequency.MONTHLY), by_month_day=month_days),
        st.builds(RRule, frequency=st.just(Frequency.MONTHLY), by_day=nth_days),
        st.builds(
            RRule,
            frequency=st.just(Frequency.MONTHLY),
            by_day=st.just(WORKDAYS),
            by_set_pos=st.sampled_from([(1,), (-1,), (2, 4)]),
        ),
        st.builds(RRule, frequency=st.just(Frequency.YEARLY)),
        st.builds(RRule, frequency=st.just(Frequency.YEARLY), by_month=months, by_day=nth_days),
        st.builds(RRule, frequency=st.sampled_from([Frequency.HOURLY, Frequency.MINUTELY])),
    )
    pattern = draw(st.one_of(patterns))
    count = draw(counts)
    until = draw(ends) if count is None else None
    return replace(pattern, interval=draw(st.integers(1, 12)), count=count, until=until)


@settings(max_examples=250, deadline=None)
@given(
    pattern=sayable(),
    day=st.dates(date(2027, 1, 1), date(2027, 5, 31)),
    minutes=st.integers(0, 24 * 60 - 1),
    month_end=st.none() | st.sampled_from(MonthEnd),
    anchor=st.none() | st.sampled_from(Anchor),
)
def test_a_description_is_read_as_what_it_describes(
    pattern: RRule, day: date, minutes: int, month_end: MonthEnd | None, anchor: Anchor | None
) -> None:
    rule = Rule(pattern=pattern)
    start = LocalStart(day, time(minutes // 60, minutes % 60))
    policies = policies_for(rule, Choices(month_end=month_end, anchor=anchor))
    sentence = describe(rule, start, policies)

    phrase = parse_phrase(f"Call Ada {sentence}", day)

    assert phrase is not None, sentence
    assert phrase.title == "Call Ada", sentence
    read = policies_for(phrase.rule, phrase.choices)
    assert read.anchor is policies.anchor
    own = list(islice(occurrences(rule, start, PARIS, policies), PAGE))
    assert list(islice(occurrences(phrase.rule, phrase.start(start), PARIS, read), PAGE)) == own


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60), moment=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - only its day
def test_a_phrase_is_found_behind_any_title(text: str, moment: datetime) -> None:
    assert parse_phrase(f"{text}\n every day", moment.date()) is not None


TRIGGERS = (
    "every every! each other 2 3rd last first day days week month year monday mon, friday and on",
    "the at 9 9am 7:30 noon in of june until for times from starting after completion daily 31",
    "31st weekday morning or where there is one i did it , 2028",
)
words = st.sampled_from(" ".join(TRIGGERS).split())


@settings(max_examples=400, deadline=None)
@given(text=st.lists(words, max_size=14).map(" ".join))
def test_any_order_of_the_grammars_words_ends_in_a_rule_or_nothing(text: str) -> None:
    phrase = parse_phrase(text, date(2026, 11, 24))

    if phrase is not None:
        sentence = describe(
            phrase.rule, LocalStart(date(2026, 11, 24), None), policies_for(phrase.rule)
        )
        assert sentence
        assert len(phrase.title) < len(text)
