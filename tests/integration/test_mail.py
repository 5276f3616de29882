"""Mail handed in at real servers: encrypted or not, refused, cut off, slow."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from domain.channels import (
    Category,
    Content,
    Mailbox,
    Message,
    Outcome,
    Permanent,
    Scope,
    Sent,
    Temporary,
)
from domain.ids import DeliveryId
from infra import mail as module
from infra.clock import SystemClock
from infra.mail import USES_MAX, Mail, MailServer, mail_server
from tests import tls
from tests.mail_server import PASSWORD, SENDER, USER, post, scripted

ADA = Mailbox(address="ada@example.com", name="Ada", unsubscribe_url="https://c.example/u?t=1")
MESSAGE = Message(
    id=DeliveryId(UUID("0190a6e4-5f3c-7a91-8c55-1b2d3e4f5a6b")),
    category=Category.REMINDER,
    content=Content(title="Reminder: Crème brûlée", lines=(".", "..", "Due today.")),
    at=SystemClock().now(),
)


@asynccontextmanager
async def mail(server: MailServer) -> AsyncIterator[Mail]:
    async with Mail(server, tls.client()) as found:
        yield found


def another() -> Message:
    return replace(MESSAGE, id=DeliveryId(uuid4()))


async def test_a_mail_arrives_as_it_was_written() -> None:
    async with post() as server, mail(mail_server(server.url)) as found:
        assert await found.send(MESSAGE, ADA) == Sent()
        assert found.provider(ADA).startswith("smtp:127.0.0.1:")

    [received] = server.received
    assert (received.sender, received.recipients) == (SENDER, ["ada@example.com"])
    assert received.message["Subject"] == "Reminder: Crème brûlée"
    assert received.message["Message-ID"] == f"<{MESSAGE.id}@carillon.example>"
    body = received.message.get_body(("plain",))
    assert body is not None
    # Lines of dots are an end of SMTP's, and come through all the same.
    assert body.get_content().splitlines()[2:5] == [".", "..", "Due today."]


async def test_mails_share_a_connection_and_a_closed_one_is_opened_again() -> None:
    async with post() as server, mail(mail_server(server.url)) as found:
        for _ in range(3):
            assert await found.send(another(), ADA) == Sent()
        assert len({one.peer for one in server.received}) == 1

        # The server went away while nobody sent anything.
        [connection] = found._idle
        transport = connection.client.transport
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
        assert await found.send(another(), ADA) == Sent()

    assert len({one.peer for one in server.received}) == 2


async def test_a_connection_that_the_server_closed_is_noticed_when_it_is_used() -> None:
    greeted = 0

    async def one_mail_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal greeted
        greeted += 1
        writer.write(b"220 mail.example\r\n")
        mails = 0
        while line := await reader.readline():
            command = line[:4].upper()
            if command == b"MAIL" and mails:
                # Its word about the timeout crosses our command.
                writer.write(b"421 timeout\r\n" if greeted == 1 else b"")
                return
            if command == b"DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                mails += 1
            writer.write(b"250 OK\r\n")

    async with scripted(one_mail_each) as url, mail(mail_server(url)) as found:
        outcomes = [await found.send(another(), ADA) for _ in range(3)]

    assert outcomes == [Sent()] * 3
    assert greeted == 3


async def test_a_connection_is_replaced_after_many_mails() -> None:
    async with post() as server, mail(mail_server(server.url)) as found:
        for _ in range(USES_MAX + 1):
            assert await found.send(another(), ADA) == Sent()

    assert len({one.peer for one in server.received}) == 2


async def test_an_idle_connection_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    # Shorter, or the suite waits for it.
    monkeypatch.setattr(module, "IDLE_S", 0.05)
    async with post() as server, mail(mail_server(server.url)) as found:
        assert await found.send(MESSAGE, ADA) == Sent()
        assert len(found._idle) == 1
        while found._idle:
            await asyncio.sleep(0.01)


async def test_mails_at_once_each_have_a_connection_of_their_own() -> None:
    async with post() as server, mail(mail_server(server.url)) as found:
        messages = [another() for _ in range(20)]
        outcomes = await asyncio.gather(*(found.send(one, ADA) for one in messages))

    assert outcomes == [Sent()] * 20
    arrived = {one.message["Message-ID"] for one in server.received}
    assert arrived == {f"<{one.id}@carillon.example>" for one in messages}


async def test_starttls_is_used_where_it_is_offered() -> None:
    async with (
        post(context=tls.server("127.0.0.1")) as server,
        mail(server.server()) as found,
    ):
        assert await found.send(MESSAGE, ADA) == Sent()

    assert server.received[0].is_encrypted


async def test_starttls_that_fails_is_no_reason_to_go_on_without() -> None:
    async with (
        post(context=tls.server("other.example")) as server,
        mail(server.server()) as found,
    ):
        outcome = await found.send(MESSAGE, ADA)

    assert isinstance(outcome, Temporary)
    assert outcome.scope is Scope.PROVIDER
    assert server.received == []


async def test_this_machine_s_own_server_needs_no_certificate() -> None:
    async with (
        post(context=tls.server("other.example")) as server,
        mail(mail_server(server.url)) as found,
    ):
        assert await found.send(MESSAGE, ADA) == Sent()

    assert not server.received[0].is_encrypted


async def test_smtps_is_encrypted_from_the_start_and_checks_the_name() -> None:
    async with (
        post(context=tls.server("127.0.0.1"), implicit=True) as server,
        mail(server.server()) as found,
    ):
        assert await found.send(MESSAGE, ADA) == Sent()
    assert server.received[0].is_encrypted

    async with (
        post(context=tls.server("other.example"), implicit=True) as wrong,
        mail(wrong.server()) as found,
    ):
        outcome = await found.send(MESSAGE, ADA)
    assert isinstance(outcome, Temporary)
    assert "certificate" in outcome.reason.lower()
    assert wrong.received == []


@pytest.mark.parametrize("context", [tls.server("127.0.0.1"), None], ids=["STARTTLS", "here"])
async def test_a_server_that_wants_a_password_gets_it(context: ssl.SSLContext | None) -> None:
    secure = context is not None
    async with post(context=context, auth_required=True, auth_require_tls=secure) as server:
        there = server.server(user=USER, password=PASSWORD, is_here=not secure)
        async with mail(there) as found:
            assert await found.send(MESSAGE, ADA) == Sent()

    assert server.logins == [PASSWORD.encode()]


async def test_a_password_is_read_from_the_address() -> None:
    async with post(auth_required=True, auth_require_tls=False) as server:
        there = server.url.replace("//", f"//{USER}:{quote(PASSWORD, safe='')}@")
        async with mail(mail_server(there)) as found:
            assert await found.send(MESSAGE, ADA) == Sent()


async def test_a_password_is_not_sent_in_the_clear() -> None:
    async with (
        post(auth_required=True, auth_require_tls=False) as server,
        mail(server.server(user=USER, password=PASSWORD)) as found,
    ):
        outcome = await found.send(MESSAGE, ADA)

    assert isinstance(outcome, Temporary)
    assert "no STARTTLS" in outcome.reason
    assert server.logins == []


async def test_a_wrong_password_is_our_trouble_and_not_the_recipients() -> None:
    async with post(auth_required=True, auth_require_tls=False) as server:
        there = server.server(user=USER, password="wrong", is_here=True)
        async with mail(there) as found:
            outcome = await found.send(MESSAGE, ADA)

    assert isinstance(outcome, Temporary)
    assert (outcome.scope, outcome.reason[:3]) == (Scope.PROVIDER, "535")


def soon(reason: str, scope: Scope = Scope.RECIPIENT) -> Temporary:
    return Temporary(reason=reason, scope=scope)


@pytest.mark.parametrize(
    "command,answer,expected",
    [
        ("RCPT", "450 4.2.0 greylisted", soon("450 4.2.0 greylisted")),
        ("RCPT", "550 5.1.1 nobody", Permanent(reason="550 5.1.1 nobody")),
        ("RCPT", "530 sign in", soon("530 sign in", Scope.PROVIDER)),
        ("RCPT", "421 closing", soon("421 closing", Scope.PROVIDER)),
        ("DATA", "451 4.3.0 later", soon("451 4.3.0 later")),
        ("DATA", "452 4.3.1 full", soon("452 4.3.1 full")),
        ("DATA", "554 5.7.1 spam", Permanent(reason="554 5.7.1 spam")),
        ("DATA", "552 5.3.4 too large", Permanent(reason="552 5.3.4 too large")),
        ("MAIL", "451 busy", soon("451 busy", Scope.PROVIDER)),
        ("MAIL", "550 not from you", soon("550 not from you", Scope.PROVIDER)),
    ],
)
async def test_each_refusal_says_whether_to_try_again(
    command: str, answer: str, expected: Outcome
) -> None:
    async with post() as server, mail(mail_server(server.url)) as found:
        server.answers[command] = [answer]

        assert await found.send(MESSAGE, ADA) == expected
        assert server.received == []
        # The next one is not the worse for it.
        assert await found.send(another(), ADA) == Sent()

    assert len(server.received) == 1


async def test_an_international_address_needs_a_server_that_carries_it() -> None:
    abroad = replace(ADA, address="адам@пример.рф", name="Адам")
    async with post(enable_SMTPUTF8=True) as server, mail(mail_server(server.url)) as found:
        assert await found.send(MESSAGE, abroad) == Sent()
        assert await found.send(another(), ADA) == Sent()

    assert server.received[0].recipients == ["адам@xn--e1afmkfd.xn--p1ai"]
    # RFC 6532: as it is, in UTF-8.
    assert "To: Адам <адам@xn--e1afmkfd.xn--p1ai>\r\n".encode() in server.received[0].content
    async with post() as plain, mail(mail_server(plain.url)) as found:
        outcome = await found.send(MESSAGE, abroad)
    assert isinstance(outcome, Permanent)
    assert plain.received == []


async def test_a_domain_of_letters_needs_nothing_special() -> None:
    books = replace(ADA, address="ada@bücher.example")
    async with post() as server, mail(mail_server(server.url)) as found:
        assert await found.send(MESSAGE, books) == Sent()

    assert server.received[0].recipients == ["ada@xn--bcher-kva.example"]


async def test_no_address_and_no_title_says_anything_to_the_server() -> None:
    title = "Milk\r\n.\r\nMAIL FROM:<eve@example.com>\r\n"
    evil = replace(MESSAGE, content=replace(MESSAGE.content, title=title))
    async with post() as server, mail(mail_server(server.url)) as found:
        assert await found.send(evil, replace(ADA, name="A\r\nBcc: eve@example.com")) == Sent()
        outcome = await found.send(
            MESSAGE, replace(ADA, address="ada@example.com>\r\nRCPT TO:<eve")
        )

    assert isinstance(outcome, Permanent)
    [received] = server.received
    assert received.recipients == ["ada@example.com"]
    assert received.message["Subject"] == "Milk . MAIL FROM:<eve@example.com>"
    assert "Bcc" not in received.message


STAGES = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "end"]


class Stopping:
    """A server that works until a stage, and then cuts the connection or says nothing."""

    def __init__(self, stage: str, *, hang: bool) -> None:
        self._stage = stage
        self._hang = hang

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stage == "greeting":
            return await self._over(writer)
        writer.write(b"220 mail.example\r\n")
        while line := await reader.readline():
            command = line[:4].upper().decode()
            if command == "DATA":
                return await self._data(reader, writer)
            if command == self._stage:
                return await self._over(writer)
            writer.write(b"250 OK\r\n")
        return None

    async def _data(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"354 go on\r\n")
        if self._stage == "DATA":
            # In the midst of it: some of the mail has been read.
            await reader.readexactly(100)
        else:
            await reader.readuntil(b"\r\n.\r\n")
        await self._over(writer)

    async def _over(self, writer: asyncio.StreamWriter) -> None:
        if self._hang:
            await asyncio.sleep(3_600)
        writer.transport.abort()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("hang", [False, True], ids=["cut", "hang"])
async def test_a_server_that_stops_may_have_taken_the_mail_once_it_had_it(
    stage: str, hang: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Shorter, or the suite waits for it.
    monkeypatch.setattr(module, "COMMAND_WAIT_S", 0.2)
    async with scripted(Stopping(stage, hang=hang)) as url, mail(mail_server(url)) as found:
        outcome = await found.send(MESSAGE, ADA)

        assert isinstance(outcome, Temporary)
        assert outcome.scope is Scope.PROVIDER
        assert outcome.is_unsure is (stage in {"DATA", "end"})
        assert found._idle == []


async def test_a_server_that_drips_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # Shorter, or the suite waits for it.
    monkeypatch.setattr(module, "SEND_WAIT_S", 0.3)

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"220-hello\r\n")
            await asyncio.sleep(0.05)

    async with scripted(drip) as url, mail(mail_server(url)) as found:
        assert isinstance(await found.send(MESSAGE, ADA), Temporary)


@pytest.mark.parametrize(
    "_case,said",
    [
        ("no SMTP", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("a line without an end", b"220 " + b"x" * 1_000_000),
        ("lines without an end", b"220-x\r\n" * 100_000),
        ("not today", b"554 no service\r\n"),
        ("noise", bytes(range(256)) + b"\r\n"),
    ],
)
async def test_what_speaks_no_smtp_is_away(
    _case: str, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Shorter, or the suite waits for it.
    monkeypatch.setattr(module, "COMMAND_WAIT_S", 0.3)

    async def speech(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()

    async with scripted(speech) as url, mail(mail_server(url)) as found:
        outcome = await found.send(MESSAGE, ADA)

    assert isinstance(outcome, Temporary)
    assert (outcome.scope, outcome.is_unsure) == (Scope.PROVIDER, False)
    assert outcome.reason.isprintable()


async def test_where_nobody_listens_mail_waits() -> None:
    async with post() as server:
        url = server.url
    async with mail(mail_server(url)) as found:
        outcome = await found.send(MESSAGE, ADA)

    assert isinstance(outcome, Temporary)
    assert (outcome.scope, outcome.is_unsure) == (Scope.PROVIDER, False)


async def test_a_send_that_is_given_up_leaves_no_connection_behind() -> None:
    async with scripted(Stopping("end", hang=True)) as url, mail(mail_server(url)) as found:
        sending = asyncio.create_task(found.send(MESSAGE, ADA))
        await asyncio.sleep(0.2)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

        assert found._idle == []
