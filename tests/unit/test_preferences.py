"""What people want to hear, and when: the matrix, quiet hours, lateness, the digest's hour."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import pytest

from domain.channels import Category, ChannelName
from domain.deliveries import Delivery, Reason, State, begun, claimed, first
from domain.errors import Code, Refused
from domain.ids import UserId
from domain.lateness import LATE_AFTER, LatePolicy, WhenLate, settled
from domain.preferences import (
    QUIET_MAX,
    Later,
    Never,
    Now,
    Placement,
    Preferences,
    Quiet,
    QuietPolicy,
    is_on,
    next_digest,
    placed,
    quiet_until,
    require_sound,
)

EVERY_DAY = frozenset(range(7))
NIGHT = Quiet(days=EVERY_DAY, start=time(22), end=time(7))
PARIS = Preferences(zone="Europe/Paris", quiet=(NIGHT,))
HOUR = timedelta(hours=1)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def test_a_choice_wins_over_the_default() -> None:
    key = (Category.ASSIGNMENT, ChannelName.EMAIL)

    assert is_on(PARIS, *key)
    assert not is_on(replace(PARIS, chosen={key: False}), *key)
    assert not is_on(PARIS, Category.DIGEST, ChannelName.EMAIL)
    assert is_on(
        replace(PARIS, chosen={(Category.DIGEST, ChannelName.EMAIL): True}),
        Category.DIGEST,
        ChannelName.EMAIL,
    )


@pytest.mark.parametrize(
    "_case,zone,quiet,at,until",
    [
        ("by day", "Europe/Paris", NIGHT, utc(2026, 6, 1, 12), None),
        ("in the evening", "Europe/Paris", NIGHT, utc(2026, 6, 1, 21), utc(2026, 6, 2, 5)),
        ("after midnight", "Europe/Paris", NIGHT, utc(2026, 6, 2, 1), utc(2026, 6, 2, 5)),
        ("at its start", "Europe/Paris", NIGHT, utc(2026, 6, 1, 20), utc(2026, 6, 2, 5)),
        ("at its end", "Europe/Paris", NIGHT, utc(2026, 6, 2, 5), None),
        ("a night of 8 hours", "Europe/Paris", NIGHT, utc(2026, 3, 28, 22), utc(2026, 3, 29, 5)),
        ("a night of 10 hours", "Europe/Paris", NIGHT, utc(2026, 10, 24, 21), utc(2026, 10, 25, 6)),
        (
            "an end that clocks skip is the jump",
            "Europe/Paris",
            Quiet(days=EVERY_DAY, start=time(22), end=time(2, 30)),
            utc(2026, 3, 28, 23),
            utc(2026, 3, 29, 1),
        ),
        (
            "an end that comes twice is the second",
            "America/New_York",
            Quiet(days=EVERY_DAY, start=time(22), end=time(1, 30)),
            utc(2026, 11, 1, 5),
            utc(2026, 11, 1, 6, 30),
        ),
        (
            "a start that comes twice is the first",
            "America/New_York",
            Quiet(days=EVERY_DAY, start=time(1, 30), end=time(7)),
            utc(2026, 11, 1, 5, 30),
            utc(2026, 11, 1, 12),
        ),
        (
            "a shift of half an hour",
            "Australia/Lord_Howe",
            Quiet(days=EVERY_DAY, start=time(22), end=time(2, 15)),
            utc(2026, 10, 3, 12),
            utc(2026, 10, 3, 15, 30),
        ),
        (
            "a day that the zone skips",
            "Pacific/Apia",
            Quiet(days=frozenset({3}), start=time(22), end=time(7)),
            utc(2011, 12, 30, 9),
            utc(2011, 12, 30, 10),
        ),
        (
            "a start that was shown before clocks went back to yesterday",
            "America/St_Johns",
            Quiet(days=frozenset({6}), start=time(), end=time(7)),
            utc(2010, 11, 7, 3),
            utc(2010, 11, 7, 10, 30),
        ),
        (
            "a Saturday, all of it",
            "Europe/Paris",
            Quiet(days=frozenset({5}), start=time(), end=time()),
            utc(2026, 6, 5, 22),
            utc(2026, 6, 6, 22),
        ),
    ],
)
def test_quiet_hours_end_by_the_clock_of_their_person(
    _case: str, zone: str, quiet: Quiet, at: datetime, until: datetime | None
) -> None:
    assert quiet_until(Preferences(zone=zone, quiet=(quiet,)), at) == until


def test_quiet_times_that_touch_are_one() -> None:
    weekend = Quiet(days=frozenset({5, 6}), start=time(), end=time())

    until = quiet_until(replace(PARIS, quiet=(NIGHT, weekend)), utc(2026, 6, 5, 21))

    assert until == utc(2026, 6, 8, 5)


@pytest.mark.parametrize(
    "policy,channel,expected",
    [
        (QuietPolicy.DELAY, ChannelName.EMAIL, Later(utc(2026, 6, 2, 5))),
        (QuietPolicy.DROP, ChannelName.PUSH, Never(Reason.QUIET)),
        (QuietPolicy.IN_APP_ONLY, ChannelName.PUSH, Never(Reason.QUIET, in_app=True)),
        (QuietPolicy.DROP, ChannelName.IN_APP, Now()),
    ],
)
def test_quiet_hours_are_for_what_makes_noise(
    policy: QuietPolicy, channel: ChannelName, expected: Placement
) -> None:
    preferences = replace(PARIS, quiet_policy=policy)

    assert placed(preferences, Category.REMINDER, channel, utc(2026, 6, 1, 21)) == expected
    assert placed(preferences, Category.REMINDER, channel, utc(2026, 6, 2, 5)) == Now()


def test_what_is_switched_off_comes_by_no_way() -> None:
    off = {(Category.REMINDER, channel): False for channel in ChannelName}
    preferences = replace(PARIS, chosen=off, quiet_policy=QuietPolicy.IN_APP_ONLY)

    for channel in ChannelName:
        at = utc(2026, 6, 1, 21)
        assert placed(preferences, Category.REMINDER, channel, at) == Never(Reason.MUTED)
    off.pop((Category.REMINDER, ChannelName.EMAIL))
    assert placed(preferences, Category.REMINDER, ChannelName.EMAIL, utc(2026, 6, 1, 21)) == Never(
        Reason.QUIET
    )


@pytest.mark.parametrize(
    "_case,zone,at,after,expected",
    [
        ("today", "Europe/Paris", time(7), utc(2026, 6, 1, 4), utc(2026, 6, 1, 5)),
        ("not the same again", "Europe/Paris", time(7), utc(2026, 6, 1, 5), utc(2026, 6, 2, 5)),
        ("after 23 hours", "Europe/Paris", time(7), utc(2026, 3, 28, 6), utc(2026, 3, 29, 5)),
        (
            "a time that clocks skip",
            "Europe/Paris",
            time(2, 30),
            utc(2026, 3, 28, 23),
            utc(2026, 3, 29, 1, 30),
        ),
        (
            "a time that comes twice",
            "America/New_York",
            time(1, 30),
            utc(2026, 11, 1, 5, 30),
            utc(2026, 11, 2, 6, 30),
        ),
        (
            "a day that is skipped",
            "Pacific/Apia",
            time(9),
            utc(2011, 12, 29, 19),
            utc(2011, 12, 30, 19),
        ),
        (
            "and the day after it",
            "Pacific/Apia",
            time(9),
            utc(2011, 12, 30, 19),
            utc(2011, 12, 31, 19),
        ),
    ],
)
def test_a_digest_comes_once_on_each_day_that_there_is(
    _case: str, zone: str, at: time, after: datetime, expected: datetime
) -> None:
    assert next_digest(Preferences(zone=zone, digest_at=at), after) == expected


@pytest.mark.parametrize(
    "_case,preferences,code",
    [
        ("too many", replace(PARIS, quiet=(NIGHT,) * (QUIET_MAX + 1)), Code.LIMIT_EXCEEDED),
        ("no day", replace(PARIS, quiet=(replace(NIGHT, days=frozenset()),)), Code.INVALID),
        (
            "an eighth day",
            replace(PARIS, quiet=(replace(NIGHT, days=frozenset({7})),)),
            Code.INVALID,
        ),
        (
            "always",
            replace(PARIS, quiet=(Quiet(days=EVERY_DAY, start=time(), end=time()),)),
            Code.INVALID,
        ),
        (
            "always, in parts",
            replace(PARIS, quiet=(NIGHT, Quiet(days=EVERY_DAY, start=time(6), end=time(23)))),
            Code.INVALID,
        ),
        ("kept for ever", replace(PARIS, late=LatePolicy(keep=timedelta(days=31))), Code.INVALID),
    ],
)
def test_preferences_that_could_never_send_are_refused(
    _case: str, preferences: Preferences, code: Code
) -> None:
    with pytest.raises(Refused) as refused:
        require_sound(preferences, "input")

    assert refused.value.problems[0].code is code


def test_a_minute_a_week_is_enough() -> None:
    almost = Quiet(days=EVERY_DAY - {6}, start=time(), end=time())
    sunday = Quiet(days=frozenset({6}), start=time(0, 1), end=time())

    require_sound(replace(PARIS, quiet=(almost, sunday)))

    until = quiet_until(replace(PARIS, quiet=(almost, sunday)), utc(2026, 6, 1, 12))
    assert until == utc(2026, 6, 6, 22)


ADA = UserId(UUID(int=1))
AT = utc(2026, 6, 1, 12)


def overdue(minutes: int, channel: ChannelName = ChannelName.EMAIL) -> Delivery:
    at = AT - timedelta(minutes=minutes)
    return claimed(first(Category.REMINDER, UUID(int=minutes), None, (ADA, channel), at))


ROWS = [overdue(minutes) for minutes in (1, 60, 600, 3_000)]


def test_late_ones_collapse_into_the_latest_of_their_channel() -> None:
    push = overdue(30, ChannelName.PUSH)

    result = settled(LatePolicy(), [*ROWS, push], AT)

    assert result.send == (ROWS[0], ROWS[1], push)
    assert [(row.state, row.collapsed_into) for row in result.over] == [
        (State.COLLAPSED, ROWS[1].id)
    ] * 2
    assert result.sums == {ROWS[1]: (ROWS[3], ROWS[2])}


def test_late_ones_are_dropped_beyond_their_hours_or_all_sent() -> None:
    dropping = LatePolicy(when=WhenLate.DROP, keep=timedelta(hours=12))

    result = settled(dropping, ROWS, AT)
    assert result.send == tuple(ROWS[:3])
    assert [(row.id, row.reason) for row in result.over] == [(ROWS[3].id, Reason.TOO_LATE)]

    assert settled(LatePolicy(when=WhenLate.SEND), ROWS, AT).send == tuple(ROWS)


def test_a_send_that_may_have_succeeded_is_not_told_twice() -> None:
    unsure = begun(overdue(90), AT)

    result = settled(LatePolicy(), [unsure, ROWS[1]], AT)

    assert set(result.send) == {unsure, ROWS[1]}
    assert result.over == ()


def test_what_waited_for_its_next_attempt_is_not_late() -> None:
    waited = [replace(row, fire_at=AT - LATE_AFTER) for row in ROWS]

    assert settled(LatePolicy(), waited, AT).send == tuple(waited)
