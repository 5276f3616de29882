"""What becomes of messages, subscriptions of browsers, and when something is tried again."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.channels import (
    AUTH_BYTES,
    ENDPOINT_MAX_CHARS,
    P256DH_BYTES,
    Outcome,
    Permanent,
    Scope,
    Sent,
    Temporary,
    browser,
    merged,
)
from domain.errors import Refused
from domain.ids import SubscriptionId
from domain.retries import (
    FAILURES_MAX,
    OPEN_FIRST,
    OPEN_LAST,
    RETRY_AFTER_MAX,
    TRIAL,
    WORKING,
    Backoff,
    asked,
    broken,
)

AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BUSY = Temporary(reason="429", scope=Scope.RECIPIENT, retry_after=60 * SECOND)
AWAY = Temporary(reason="503", scope=Scope.PROVIDER)
GONE = Permanent(reason="410", gone=True)
BIG = Permanent(reason="413")


@pytest.mark.parametrize(
    "_case,outcomes,expected",
    [
        ("one", [AWAY], AWAY),
        ("all took it", [Sent(), Sent()], Sent()),
        ("one took it, one is gone", [GONE, Sent()], Sent()),
        (
            "one may still take it",
            [Sent(), BUSY, AWAY, GONE],
            Temporary(reason="429; 503", scope=Scope.RECIPIENT, retry_after=60 * SECOND),
        ),
        ("all are gone", [GONE, GONE], GONE),
        ("one is not gone", [GONE, BIG], Permanent(reason="410; 413")),
    ],
)
def test_a_message_to_several_browsers_has_one_outcome(
    _case: str, outcomes: list[Outcome], expected: Outcome
) -> None:
    assert merged(outcomes) == expected


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode()


KEY, AUTH = encoded(b"\x04" + bytes(P256DH_BYTES - 1)), encoded(bytes(AUTH_BYTES))
ID = SubscriptionId(UUID(int=1))


def test_a_subscription_is_read_with_and_without_padding() -> None:
    padded = browser(ID, "https://push.example/1", KEY, AUTH)
    bare = browser(ID, "https://push.example/1", KEY.rstrip("="), AUTH.rstrip("="))

    assert padded == bare
    assert (len(padded.p256dh), len(padded.auth)) == (P256DH_BYTES, AUTH_BYTES)


@pytest.mark.parametrize(
    "_case,endpoint,key,auth,field",
    [
        (
            "a long endpoint",
            "https://push.example/" + "x" * ENDPOINT_MAX_CHARS,
            KEY,
            AUTH,
            "endpoint",
        ),
        ("a compressed point", "https://p.example", encoded(b"\x02" + bytes(32)), AUTH, "p256dh"),
        (
            "another form of point",
            "https://p.example",
            encoded(bytes(P256DH_BYTES)),
            AUTH,
            "p256dh",
        ),
        ("no base64url", "https://p.example", KEY[:-2] + "+/", AUTH, "p256dh"),
        ("a megabyte", "https://p.example", "A" * 1_000_000, AUTH, "p256dh"),
        ("beyond ASCII", "https://p.example", "\u00e9" * 87, AUTH, "p256dh"),
        ("a short secret", "https://p.example", KEY, encoded(bytes(15)), "auth"),
        ("one letter", "https://p.example", KEY, "A", "auth"),
    ],
)
def test_keys_that_are_none_are_refused_with_their_path(
    _case: str, endpoint: str, key: str, auth: str, field: str
) -> None:
    with pytest.raises(Refused) as refused:
        browser(ID, endpoint, key, auth, "input")

    assert refused.value.problems[0].path == ("input", field)


def test_waits_double_up_to_a_bound_and_end() -> None:
    backoff = Backoff(least=SECOND, most=60 * SECOND, attempts=10)

    waits = [backoff.wait(attempts, None, 1.0) for attempts in range(1, 11)]

    assert waits == [*(SECOND * count for count in (1, 2, 4, 8, 16, 32, 60, 60, 60)), None]
    assert backoff.wait(1, None, 0.0) == SECOND / 2
    assert Backoff(least=SECOND, most=SECOND, attempts=10**6).wait(10**5, None, 1.0) == SECOND


def test_a_wait_that_a_provider_asks_for_is_kept_within_a_day() -> None:
    backoff = Backoff(least=SECOND, most=60 * SECOND, attempts=10)

    assert backoff.wait(1, 300 * SECOND, 0.0) == 300 * SECOND
    assert backoff.wait(5, SECOND, 1.0) == 16 * SECOND
    assert backoff.wait(1, timedelta(days=1_000), 0.0) == RETRY_AFTER_MAX


def test_a_provider_that_fails_often_is_left_alone_for_longer_and_longer() -> None:
    breaker = WORKING
    for _ in range(FAILURES_MAX - 1):
        breaker = broken(breaker, AT, None)
        assert asked(breaker, AT)[1] is None
    lengths = []
    for _ in range(10):
        breaker = broken(breaker, AT, None)
        assert breaker.open_until is not None
        lengths.append(breaker.open_until - AT)

    assert lengths[:3] == [OPEN_FIRST, 2 * OPEN_FIRST, 4 * OPEN_FIRST]
    assert lengths[-1] == OPEN_LAST


def test_after_its_time_one_call_tries_and_the_others_wait() -> None:
    opened = broken(WORKING, AT, 30 * SECOND)
    assert asked(opened, AT) == (opened, AT + 30 * SECOND)

    tried, wait = asked(opened, AT + 30 * SECOND)
    assert wait is None
    assert asked(tried, AT + 31 * SECOND) == (tried, AT + 31 * SECOND + OPEN_FIRST)
    # Whoever tried may have died of it.
    assert asked(tried, AT + 30 * SECOND + TRIAL)[1] is None
