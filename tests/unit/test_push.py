"""What push services are sent, against the RFCs' own words."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from domain.channels import Category, Content, Entry, Message, Section
from domain.ids import DeliveryId
from infra.push import (
    PLAIN_MAX_BYTES,
    RECORD_BYTES,
    TITLE_MAX_CHARS,
    InvalidKey,
    encrypted,
    payload,
    retry_after,
)
from infra.vapid import TOKEN_LIFE, TOKEN_USE, TOKENS_MAX, Vapid, VapidKey, new_key
from tests.push_service import Device, padless, unpadded

AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def scalar(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unpadded(text), "big"), ec.SECP256R1())


# RFC 8291, appendix A.
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
RECEIVER = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
PLAIN = b"When I grow up, I want to be a watermelon"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
    "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
    "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_a_message_is_encrypted_as_the_example_of_rfc_8291_octet_by_octet() -> None:
    device = Device(scalar(RECEIVER), unpadded(AUTH))

    body = encrypted(PLAIN, device.point, device.auth, key=scalar(SENDER), salt=unpadded(SALT))

    assert padless(body) == BODY
    assert device.read(body) == PLAIN


def test_two_messages_share_no_key_and_no_salt() -> None:
    device = Device()

    one, two = (encrypted(PLAIN, device.point, device.auth) for _ in range(2))

    assert device.read(one) == device.read(two) == PLAIN
    assert one[:16] != two[:16]
    assert one[21:86] != two[21:86]


def test_the_longest_message_fills_one_record() -> None:
    device = Device()

    body = encrypted(b"x" * PLAIN_MAX_BYTES, device.point, device.auth)

    assert len(body) == RECORD_BYTES


@pytest.mark.parametrize(
    "_case,key",
    [("off the curve", b"\x04" + b"\x01" * 64), ("infinity", b"\x00"), ("too short", b"\x04")],
)
def test_a_key_that_is_no_point_is_refused(_case: str, key: bytes) -> None:
    with pytest.raises(InvalidKey):
        encrypted(PLAIN, key, bytes(16))


MESSAGE = Message(
    id=DeliveryId(UUID(int=7)),
    category=Category.REMINDER,
    content=Content(
        title="Reminder: Buy milk",
        lines=("Due Monday, 23 November 2026, 10:00.", "Twice."),
        url="https://carillon.example/tasks/1",
    ),
    at=AT,
)


def test_a_service_worker_gets_all_that_it_shows() -> None:
    assert json.loads(payload(MESSAGE)) == {
        "id": str(UUID(int=7)),
        "category": "REMINDER",
        "title": "Reminder: Buy milk",
        "body": "Due Monday, 23 November 2026, 10:00.\nTwice.",
        "url": "https://carillon.example/tasks/1",
        "at": 1_795_424_400_000,
    }


def test_a_digest_is_counted_not_listed() -> None:
    entries = (Entry(title="Buy milk", detail="", url=None),) * 3
    section = Section(heading="Due today", entries=entries)
    content = replace(MESSAGE.content, sections=(section,))

    assert json.loads(payload(replace(MESSAGE, content=content)))["body"].endswith("Due today: 3")


@pytest.mark.parametrize(
    "_case,char", [("ASCII", "x"), ("emoji", "\N{BELL}"), ("escaped", '"'), ("newlines", "\n")]
)
def test_a_long_text_is_cut_to_fit(_case: str, char: str) -> None:
    content = replace(MESSAGE.content, title=char * 10_000, lines=(f"a{char}" * 50_000,))

    made = payload(replace(MESSAGE, content=content))

    assert len(made) <= PLAIN_MAX_BYTES
    assert len(json.loads(made)["title"]) <= TITLE_MAX_CHARS
    if char != "\n":
        assert len(made) > PLAIN_MAX_BYTES - 10


def test_a_text_that_no_wire_carries_loses_what_is_no_character() -> None:
    content = replace(MESSAGE.content, title="a\0b\ud800c\r\nd\u2028e", lines=("x\x1by",))

    found = json.loads(payload(replace(MESSAGE, content=content)))

    assert (found["title"], found["body"]) == ("a b c d e", "x y")


class SetClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def test_each_service_gets_a_token_of_its_own_which_serves_for_hours() -> None:
    clock, key = SetClock(AT), VapidKey(new_key())
    vapid = Vapid(key, "mailto:ops@carillon.example", clock)

    one = vapid.authorization("https://push.example")
    assert vapid.authorization("https://other.example") != one
    clock.at += TOKEN_USE - timedelta(seconds=1)
    assert vapid.authorization("https://push.example") == one
    clock.at += timedelta(seconds=1)
    two = vapid.authorization("https://push.example")

    token = two.removeprefix("vapid t=").partition(",")[0]
    claims = jwt.decode(
        token,
        key.private.public_key(),
        algorithms=["ES256"],
        audience="https://push.example",
        options={"verify_exp": False},
    )
    assert claims == {
        "aud": "https://push.example",
        "exp": int((AT + TOKEN_USE + TOKEN_LIFE).timestamp()),
        "sub": "mailto:ops@carillon.example",
    }
    # A clock that is set back makes no token that lives longer than it may.
    clock.at = AT
    assert vapid.authorization("https://push.example") != two


def test_services_that_users_made_up_fill_no_memory() -> None:
    vapid = Vapid(VapidKey(new_key()), "mailto:ops@carillon.example", SetClock(AT))
    first = vapid.authorization("https://0.example")

    for number in range(1, TOKENS_MAX + 1):
        vapid.authorization(f"https://{number}.example")

    assert vapid.authorization("https://0.example") != first


def test_a_key_is_read_as_it_is_written_and_its_public_part_is_an_uncompressed_point() -> None:
    text = new_key()

    key = VapidKey(text)

    assert len(text) == 43
    assert VapidKey(text + "=").public == key.public
    assert unpadded(key.public)[0] == 4
    assert len(unpadded(key.public)) == 65


@pytest.mark.parametrize(
    "_case,text",
    [
        ("empty", ""),
        ("short", padless(b"x" * 31)),
        ("long", padless(b"x" * 33)),
        ("zero", padless(bytes(32))),
        ("beyond the curve's order", padless(b"\xff" * 32)),
        ("PEM", "-----BEGIN PRIVATE KEY-----"),
        ("beyond ASCII", "\u00e9" * 43),
    ],
)
def test_what_is_no_key_is_refused(_case: str, text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        VapidKey(text)


@pytest.mark.parametrize(
    "_case,value,expected",
    [
        ("absent", None, None),
        ("seconds", "120", timedelta(seconds=120)),
        ("at once", "0", timedelta()),
        ("a date", "Mon, 23 Nov 2026 10:00:00 GMT", HOUR),
        ("a date without a zone", "Mon, 23 Nov 2026 10:00:00", HOUR),
        ("a date that has passed", "Mon, 23 Nov 2026 08:00:00 GMT", timedelta()),
        ("an eternity", "9" * 10_000, timedelta(seconds=10**8)),
        ("other digits", "\u0661\u0662", None),
        ("a fraction", "1.5", None),
        ("less than nothing", "-1", None),
        ("nonsense", "soon", None),
        ("an impossible date", "Mon, 99 Nov 2026 10:00:00 GMT", None),
    ],
)
def test_the_wait_that_a_service_asks_for(
    _case: str, value: str | None, expected: timedelta | None
) -> None:
    assert retry_after(value, AT) == expected
