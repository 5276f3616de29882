"""Addresses, passwords, throttles, tokens: what needs no database."""

import asyncio
import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest

from domain.access import Viewer
from domain.accounts import email, new_password, password, person_name, personal_workspace_name
from domain.errors import Code, Refused, Unauthenticated, Unavailable
from domain.ids import SessionId, UserId
from domain.services.sessions import Authenticator
from domain.throttle import Throttle
from domain.workspaces import NAME_MAX_CHARS
from infra.passwords import KNOWN_MAX, NEW_MAX, Argon2Passwords
from infra.tokens import JwtTokens

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = b"0123456789abcdef0123456789abcdef"
ADA = Viewer(
    user=UserId(UUID(int=1)), session=SessionId(UUID(int=2)), expires_at=AT + timedelta(hours=1)
)


class FixedClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


@pytest.mark.parametrize(
    "_case,written,key",
    [
        ("case", "Ada@Example.COM", "ada@example.com"),
        ("blanks around it", "  ada@example.com\n", "ada@example.com"),
        ("decomposed letters", "ade\u0301@example.com", "ad\u00e9@example.com"),
        ("a domain in Unicode", "ada@B\u00dcCHER.example", "ada@xn--bcher-kva.example"),
        ("the same in ASCII", "ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("an ideographic full stop", "ada@b\u00fccher\u3002example", "ada@xn--bcher-kva.example"),
        ("sharp s is no double s", "ada@stra\u00dfe.de", "ada@xn--strae-oqa.de"),
        ("a plus sign", "ada+bells@example.com", "ada+bells@example.com"),
        ("a host without a dot", "ada@localhost", "ada@localhost"),
    ],
)
def test_two_spellings_of_one_address_have_one_key(_case: str, written: str, key: str) -> None:
    assert email(written).key == key


@pytest.mark.parametrize(
    "_case,written",
    [
        ("empty", ""),
        ("no at", "ada.example.com"),
        ("two ats", "ada@home@example.com"),
        ("a fullwidth at in the domain", "ada@home\uff20example.com"),
        ("no local part", "@example.com"),
        ("no domain", "ada@"),
        ("a space", "ada lovelace@example.com"),
        ("a pasted mailbox", "Ada <ada@example.com>"),
        ("a line feed", "ada\n@example.com"),
        ("a NUL", "ada\0@example.com"),
        ("a lone surrogate", "ada\ud800@example.com"),
        ("an invisible character", "ada\u200b@example.com"),
        ("an empty label", "ada@example..com"),
        ("a label that begins with a hyphen", "ada@-example.com"),
        ("a long local part", "a" * 65 + "@example.com"),
        ("a long label", "ada@" + "e" * 64 + ".com"),
        ("a long address", "ada@" + "e." * 126 + "com"),
        ("an address of a megabyte", "ada@" + "\u00fc" * 500_000),
    ],
)
def test_what_is_no_address_is_refused_with_its_path(_case: str, written: str) -> None:
    with pytest.raises(Refused) as refused:
        email(written, "input", "email")

    [problem] = refused.value.problems
    assert (problem.code, problem.path) == (Code.INVALID, ("input", "email"))


def test_passwords_that_look_the_same_are_the_same() -> None:
    assert password("cafe\u0301 at noon") == password("caf\u00e9\u00a0at\u2003noon")


@pytest.mark.parametrize("_case,text", [("shortest", "x" * 8), ("longest", "\u00e9" * 1_024)])
def test_a_password_may_have_8_to_1024_characters(_case: str, text: str) -> None:
    assert new_password(text) == text


@pytest.mark.parametrize(
    "_case,text",
    [
        ("too short", "x" * 7),
        ("too short once composed", "e\u0301" * 7),
        ("too long", "x" * 1_025),
        ("a control character", "at\tnoon the bell"),
        ("a NUL", "at noon\0 the bell"),
        ("a lone surrogate", "at noon \udfff the bell"),
    ],
)
def test_another_password_is_refused(_case: str, text: str) -> None:
    with pytest.raises(Refused):
        new_password(text)


def test_the_longest_name_still_names_a_workspace() -> None:
    name = person_name("x" * 100)

    assert len(personal_workspace_name(name)) <= NAME_MAX_CHARS


def test_a_throttle_allows_a_burst_and_then_one_try_every_refill() -> None:
    throttle = Throttle(burst=3, refill=timedelta(seconds=10), keys_max=100)

    assert [throttle.take("ada", AT) for _ in range(5)] == [True, True, True, False, False]
    assert throttle.take("bob", AT)
    assert not throttle.take("ada", AT + timedelta(seconds=9))
    assert throttle.take("ada", AT + timedelta(seconds=10))
    assert not throttle.take("ada", AT + timedelta(seconds=10))


def test_a_try_that_was_given_back_can_be_taken_again() -> None:
    throttle = Throttle(burst=1, refill=timedelta(seconds=10), keys_max=100)
    throttle.take("ada", AT)

    throttle.give_back("ada")

    assert [throttle.take("ada", AT) for _ in range(2)] == [True, False]


def test_a_throttle_forgets_the_key_that_was_tried_longest_ago() -> None:
    throttle = Throttle(burst=1, refill=timedelta(seconds=10), keys_max=2)
    for key in ("ada", "bob", "ada", "eve"):
        throttle.take(key, AT)

    assert not throttle.take("ada", AT)
    assert throttle.take("bob", AT)


def test_a_token_says_whom_it_was_issued_to_until_it_expires() -> None:
    tokens = JwtTokens(KEY)

    token = tokens.issue(ADA, AT)

    assert token.expires_at == ADA.expires_at
    assert tokens.read(token.text, AT) == ADA
    assert tokens.read(token.text, ADA.expires_at - timedelta(seconds=1)) == ADA
    with pytest.raises(Unauthenticated):
        tokens.read(token.text, ADA.expires_at)


def _claims(**changes: object) -> dict[str, object]:
    claims = {
        "iss": "carillon",
        "aud": "carillon-api",
        "sub": str(ADA.user),
        "sid": str(ADA.session),
        "iat": int(AT.timestamp()),
        "exp": int((AT + HOUR).timestamp()),
    }
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def _unsigned() -> str:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none", "typ": "JWT"}, _claims())
    )
    return f"{head}.{body}."


@pytest.mark.parametrize(
    "_case,token",
    [
        ("empty", ""),
        ("no token at all", "one.two.three"),
        ("lone surrogates", "\ud800.\ud800.\ud800"),
        ("beyond ASCII", "\u00e9" * 40),
        ("long", "a" * 1_000_000),
        ("unsigned", _unsigned()),
        ("another key", jwt.encode(_claims(), KEY[::-1], "HS256")),
        ("another algorithm", jwt.encode(_claims(), KEY * 2, "HS512")),
        ("another issuer", jwt.encode(_claims(iss="somebody"), KEY, "HS256")),
        ("another audience", jwt.encode(_claims(aud="mail"), KEY, "HS256")),
        ("no audience", jwt.encode(_claims(aud=None), KEY, "HS256")),
        ("no end", jwt.encode(_claims(exp=None), KEY, "HS256")),
        ("no session", jwt.encode(_claims(sid=None), KEY, "HS256")),
        ("a user that is no id", jwt.encode(_claims(sub="ada"), KEY, "HS256")),
        ("a session that is no text", jwt.encode(_claims(sid=7), KEY, "HS256")),
        ("an end that is no number", jwt.encode(_claims(exp="soon"), KEY, "HS256")),
        ("an end beyond all time", jwt.encode(_claims(exp=10**30), KEY, "HS256")),
        ("issued tomorrow", jwt.encode(_claims(iat=_claims()["exp"]), KEY, "HS256")),
    ],
)
def test_a_token_that_is_not_ours_stands_for_nobody(_case: str, token: str) -> None:
    with pytest.raises(Unauthenticated):
        JwtTokens(KEY).read(token, AT)


def test_a_short_signing_key_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        JwtTokens(KEY[:31])


async def test_a_revoked_session_is_refused_while_its_token_is_still_valid() -> None:
    revoked: set[SessionId] = set()
    tokens, clock = JwtTokens(KEY), FixedClock(AT)
    authenticator = Authenticator(tokens, clock, revoked.__contains__)
    token = tokens.issue(ADA, AT).text
    assert await authenticator.authenticate(token) == ADA

    revoked.add(ADA.session)

    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(token)


@pytest.fixture
def passwords() -> Iterator[Argon2Passwords]:
    hasher = Argon2Passwords()
    yield hasher
    hasher.close()


async def test_a_hash_says_how_it_was_made_and_matches_one_password(
    passwords: Argon2Passwords,
) -> None:
    made = await passwords.hash("a bell rings at noon")

    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(made, "a bell rings at noon")
    assert not await passwords.verify(made, "a bell rings at one")
    assert not await passwords.verify(None, "a bell rings at noon")


async def test_the_loop_goes_on_while_passwords_are_hashed(passwords: Argon2Passwords) -> None:
    hashing = [asyncio.ensure_future(passwords.hash("a bell rings at noon")) for _ in range(6)]
    ticks = 0

    while not all(one.done() for one in hashing):
        await asyncio.sleep(0.001)
        ticks += 1

    assert ticks > 10


async def test_more_than_a_second_of_hashing_is_refused_and_cancelled_waiters_free_their_place(
    passwords: Argon2Passwords,
) -> None:
    waiting = [asyncio.ensure_future(passwords.verify(None, "x" * 8)) for _ in range(KNOWN_MAX)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable):
        await passwords.verify(None, "y" * 8)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert await passwords.verify(None, "z" * 8) is False


async def test_who_signs_in_does_not_stand_behind_those_who_sign_up(
    passwords: Argon2Passwords,
) -> None:
    new = [asyncio.ensure_future(passwords.hash("x" * 8)) for _ in range(NEW_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await passwords.hash("y" * 8)

    assert await passwords.verify(None, "z" * 8) is False

    assert not new[-1].done()
    for one in new:
        one.cancel()
    await asyncio.gather(*new, return_exceptions=True)
