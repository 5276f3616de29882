"""What a mail holds: read back by the standard library, whatever the title was."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from html.parser import HTMLParser
from uuid import UUID

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.channels import Category, Content, Entry, Mailbox, Message, Section
from domain.errors import Unauthenticated
from domain.ids import DeliveryId, UserId
from infra.mail import Envelope, Unmailable, envelope, mail_server
from infra.mail_body import letter, one_line
from infra.mail_links import AUDIENCE, UnsubscribeLinks

SENDER = "bells@carillon.example"
LINK = f"https://carillon.example/unsubscribe?token={'a' * 250}"
ADA = Mailbox(address="ada@example.com", name="Ada Lovelace", unsubscribe_url=LINK)
MESSAGE = Message(
    id=DeliveryId(UUID("0190a6e4-5f3c-7a91-8c55-1b2d3e4f5a6b")),
    category=Category.REMINDER,
    content=Content(
        title="Reminder: Buy milk",
        lines=("Due Monday, 23 November 2026, 10:00.",),
        url="https://carillon.example/tasks/1?a=b&c=d",
    ),
    at=datetime(2026, 11, 23, 9, tzinfo=UTC),
)


def parsed(mail: Envelope) -> EmailMessage:
    found = message_from_bytes(mail.content, policy=SMTPUTF8)
    assert isinstance(found, EmailMessage)
    return found


def titled(title: str, *lines: str) -> Message:
    return replace(MESSAGE, content=replace(MESSAGE.content, title=title, lines=lines))


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    text = found.get_content()
    assert isinstance(text, str)
    return text


def test_a_mail_has_two_forms_and_what_machines_read() -> None:
    mail = envelope(MESSAGE, ADA, SENDER)
    found = parsed(mail)

    assert (mail.sender, mail.recipient) == (SENDER, "ada@example.com")
    assert found["From"] == "Carillon <bells@carillon.example>"
    assert found["To"] == "Ada Lovelace <ada@example.com>"
    assert found["Subject"] == "Reminder: Buy milk"
    assert found["Date"] == "Mon, 23 Nov 2026 09:00:00 +0000"
    assert found["Message-ID"] == f"<{MESSAGE.id}@carillon.example>"
    assert found["Auto-Submitted"] == "auto-generated"
    assert [one.get_content_type() for one in found.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert part(found, "plain").splitlines() == [
        "Reminder: Buy milk",
        "",
        "Due Monday, 23 November 2026, 10:00.",
        "",
        "https://carillon.example/tasks/1?a=b&c=d",
        "",
        "-- ",
        f"No more mails of this kind: {LINK}",
    ]
    assert 'href="https://carillon.example/tasks/1?a=b&amp;c=d"' in part(found, "html")
    assert found.defects == []


def test_the_headers_of_one_click_are_whole_lines_of_ascii() -> None:
    head = envelope(MESSAGE, ADA, SENDER).content.split(b"\r\n\r\n", 1)[0].split(b"\r\n")

    assert f"List-Unsubscribe: <{LINK}>".encode() in head
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in head
    bare = envelope(MESSAGE, replace(ADA, unsubscribe_url=None), SENDER)
    assert b"List-Unsubscribe" not in bare.content


def test_a_digest_lists_each_task_with_its_link() -> None:
    entries = (
        Entry(title="<b>Milk</b>", detail="Monday & Tuesday", url="https://c.example/?a&b"),
        Entry(title="and 3 more", detail="", url=None),
    )
    content = Content(title="2 due", lines=(), sections=(Section(heading="Due", entries=entries),))

    made = letter(content, None)

    assert made.text == (
        "2 due\n\nDue:\n- <b>Milk</b> (Monday & Tuesday)\n  https://c.example/?a&b\n- and 3 more\n"
    )
    assert (
        '<li><a href="https://c.example/?a&amp;b">&lt;b&gt;Milk&lt;/b&gt;</a>'
        " (Monday &amp; Tuesday)</li>\n<li>and 3 more</li>" in made.html
    )


@pytest.mark.parametrize(
    "_case,title,subject",
    [
        ("a line end", "Milk\r\nBcc: eve@example.com", "Milk Bcc: eve@example.com"),
        ("a line feed", "Milk\nX: y", "Milk X: y"),
        ("a carriage return", "Milk\rX: y", "Milk X: y"),
        ("a header's end", "Milk\r\n\r\n<script>", "Milk <script>"),
        ("a NUL", "Mi\0lk", "Mi lk"),
        ("a lone surrogate", "Milk \ud83d", "Milk"),
        ("other line ends", "a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g", "a b c d e f g"),
        ("an escape", "\x1b[31mMilk\x07", "[31mMilk"),
        ("letters and emoji", "Crème brûlée \N{BELL} 牛乳", "Crème brûlée \N{BELL} 牛乳"),
        ("an encoded word", "=?utf-8?q?Bcc=3A_eve?=", "=?utf-8?q?Bcc=3A_eve?="),
        ("a long word", "x" * 5_000, "x" * 5_000),
        ("long words of emoji", "\N{BELL}" * 500, "\N{BELL}" * 500),
        ("blanks", "  a \t  b  ", "a b"),
        ("nothing", "\r\n", ""),
    ],
)  # fmt: skip
def test_no_title_gets_out_of_its_header(_case: str, title: str, subject: str) -> None:
    mail = envelope(titled(title), ADA, SENDER)
    found = parsed(mail)

    if "encoded word" not in _case:
        # RFC 2047 has no escape for what looks like one: readers decode it. It stays in its header.
        assert found["Subject"] == subject
    assert found.keys() == parsed(envelope(MESSAGE, ADA, SENDER)).keys()
    assert part(found, "plain").splitlines()[0] == subject
    assert mail.recipient == "ada@example.com"
    assert max(len(line) for line in mail.content.split(b"\r\n")) <= 998
    assert mail.content.isascii()
    assert b"\n" not in mail.content.replace(b"\r\n", b"")


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[object] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))


@settings(max_examples=200, deadline=None)
@given(title=st.text(max_size=200), line=st.text(max_size=200), name=st.text(max_size=50))
def test_whatever_people_write_is_text_and_nothing_else(title: str, line: str, name: str) -> None:
    mail = envelope(titled(title, line), replace(ADA, name=name), SENDER)
    found = parsed(mail)
    usual = parsed(envelope(titled("Milk", "Due."), ADA, SENDER))

    assert found.keys() == usual.keys()
    assert found["To"].addresses[0].addr_spec == "ada@example.com"
    assert len(found["To"].addresses) == 1
    assert Tags(part(found, "html")).tags == Tags(part(usual, "html")).tags
    assert part(found, "plain").split("\r\n")[0] == one_line(title)
    assert mail.content.isascii()


@pytest.mark.parametrize(
    "_case,address,recipient,is_international",
    [
        ("a name of letters", "ada@bücher.example", "ada@xn--bcher-kva.example", False),
        ("the same in ASCII", "ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example", False),
        ("a local part of letters", "адам@example.com", "адам@example.com", True),
        ("both", "адам@пример.рф", "адам@xn--e1afmkfd.xn--p1ai", True),
        ("two dots", "a..b@docomo.example", "a..b@docomo.example", False),
        ("a plus sign", "ada+bells@example.com", "ada+bells@example.com", False),
    ],
)
def test_addresses_of_all_the_world(
    _case: str, address: str, recipient: str, is_international: bool
) -> None:
    mail = envelope(MESSAGE, replace(ADA, address=address), SENDER)

    assert (mail.recipient, mail.is_international) == (recipient, is_international)
    assert mail.content.isascii() is not is_international
    assert parsed(mail)["To"].addresses[0].domain == recipient.rpartition("@")[2]


@pytest.mark.parametrize(
    "_case,address",
    [
        ("empty", ""),
        ("no at", "ada.example.com"),
        ("no local part", "@example.com"),
        ("no domain", "ada@"),
        ("a line end", "ada\r\nBcc: eve@example.com"),
        ("a line end in the domain", "ada@example.com\r\nRCPT TO:<eve@example.com>"),
        ("a NUL", "a\0da@example.com"),
        ("a blank", "ada lovelace@example.com"),
        ("two addresses", "ada@example.com>, <eve@example.com"),
        ("a lone surrogate", "ada\ud800@example.com"),
        ("what IDNA does not know", "ada@exa\u2028mple.com"),
    ],
)
def test_what_is_no_address_gets_no_mail(_case: str, address: str) -> None:
    with pytest.raises(Unmailable):
        envelope(MESSAGE, replace(ADA, address=address), SENDER)


def test_a_link_that_does_not_fit_into_a_header_makes_no_mail() -> None:
    for url in ("https://x.example/>\r\nBcc: eve", "https://x.example/é", "https://x.example/ <"):
        with pytest.raises(Unmailable):
            envelope(MESSAGE, replace(ADA, unsubscribe_url=url), SENDER)


@pytest.mark.parametrize(
    "_case,url,expected",
    [
        ("plain", f"smtp://mail.example?from={SENDER}", ("mail.example", 587, False, None, None)),
        (
            "all of it",
            f"smtps://us%40er:p%2Fw%3A@mail.example:2465?from={SENDER}",
            ("mail.example", 2465, True, "us@er", "p/w:"),
        ),
        (
            "encrypted",
            f"smtps://mail.example?from={SENDER}",
            ("mail.example", 465, True, None, None),
        ),
        ("of six", f"smtp://[::1]:25?from={SENDER}", ("::1", 25, False, None, None)),
    ],
)
def test_a_server_is_read_from_its_address(
    _case: str, url: str, expected: tuple[str, int, bool, str | None, str | None]
) -> None:
    server = mail_server(url)

    assert (server.host, server.port, server.is_encrypted, server.user, server.password) == expected
    assert server.sender == SENDER
    assert server.is_here is (server.host == "::1")


@pytest.mark.parametrize(
    "_case,url",
    [
        ("another scheme", f"http://user:hunter2@mail.example?from={SENDER}"),
        ("no host", f"smtp://?from={SENDER}"),
        ("no sender", "smtp://user:hunter2@mail.example"),
        ("a sender that is none", "smtp://user:hunter2@mail.example?from=carillon"),
        ("a port that is none", f"smtp://user:hunter2@mail.example:99999?from={SENDER}"),
    ],
)
def test_what_is_no_server_is_refused_and_no_password_told(_case: str, url: str) -> None:
    with pytest.raises(ValueError, match=r"needs|must") as refused:
        mail_server(url)

    assert "hunter2" not in str(refused.value)


KEY = b"0123456789abcdef0123456789abcdef"


def test_a_link_says_whose_mails_end_and_only_ours_does() -> None:
    links = UnsubscribeLinks(KEY, "https://carillon.example")
    user = UserId(UUID(int=7))

    link = links.link(user, Category.DIGEST)
    token = link.removeprefix("https://carillon.example/unsubscribe?token=")

    assert links.read(token) == (user, Category.DIGEST)
    assert len(link) < 300


def signed(key: bytes, **changes: object) -> str:
    claims: dict[str, object] = {"aud": AUDIENCE, "sub": str(UUID(int=7)), "cat": "DIGEST"}
    return jwt.encode(
        {name: value for name, value in {**claims, **changes}.items() if value is not None}, key
    )


@pytest.mark.parametrize(
    "_case,token",
    [
        ("empty", ""),
        ("no token", "a.b.c"),
        ("long", "a" * 1_000_000),
        ("lone surrogates", "\ud800.\ud800.\ud800"),
        ("another key", signed(KEY[::-1])),
        ("an access token", signed(KEY, aud="carillon-api")),
        ("no category", signed(KEY, cat=None)),
        ("another category", signed(KEY, cat="ALL")),
        ("a user that is no id", signed(KEY, sub="ada")),
    ],
)
def test_a_link_that_is_not_ours_ends_nothing(_case: str, token: str) -> None:
    with pytest.raises(Unauthenticated):
        UnsubscribeLinks(KEY, "https://carillon.example").read(token)
