"""Mail servers of the tests' own: aiosmtpd, and scripts for what servers should not do."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from infra.mail import MailServer, mail_server

SENDER = "bells@carillon.example"
USER, PASSWORD = "carillon", "s3cret/@:"


@dataclass
class Received:
    """One mail as it arrived."""

    sender: str
    recipients: list[str]
    content: bytes
    is_encrypted: bool
    peer: object

    @property
    def message(self) -> EmailMessage:
        found = message_from_bytes(self.content, policy=SMTPUTF8)
        assert isinstance(found, EmailMessage)
        return found


@dataclass
class Post:
    """What arrived, and what is answered instead of what would be: by the command's name."""

    received: list[Received] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    logins: list[bytes] = field(default_factory=list)
    url: str = ""

    def server(self, **changes: Any) -> MailServer:
        """Returns it as a server that is somewhere else."""
        server = mail_server(self.url)
        return MailServer(
            **{name: getattr(server, name) for name in server.__slots__}
            | {"is_here": False}
            | changes
        )

    def answer(self, command: str) -> str | None:
        waiting = self.answers.get(command)
        return waiting.pop(0) if waiting else None

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refused = self.answer("MAIL")
        if refused is not None:
            return refused
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refused = self.answer("RCPT")
        if refused is not None:
            return refused
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        refused = self.answer("DATA")
        if refused is not None:
            return refused
        content = envelope.original_content
        assert content is not None
        assert envelope.mail_from is not None
        assert server.transport is not None
        self.received.append(
            Received(
                envelope.mail_from,
                list(envelope.rcpt_tos),
                content,
                server.transport.get_extra_info("cipher") is not None,
                session.peer,
            )
        )
        return "250 OK"

    def authenticate(self, _server: SMTP, _session: Session, *args: Any) -> AuthResult:
        _envelope, _mechanism, given = args
        assert isinstance(given, LoginPassword)
        self.logins.append(given.password)
        is_right = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)


@asynccontextmanager
async def post(
    *, context: ssl.SSLContext | None = None, implicit: bool = False, **options: Any
) -> AsyncIterator[Post]:
    """Serves on the loopback; with a context, by STARTTLS or encrypted from the start."""
    found = Post()
    protocols: list[SMTP] = []

    def connected() -> SMTP:
        with warnings.catch_warnings():
            # It warns of passwords in the clear, which is what some tests are about.
            warnings.simplefilter("ignore", UserWarning)
            protocol = SMTP(
                found,
                hostname="mail.example",
                tls_context=None if implicit else context,
                authenticator=found.authenticate,
                **options,
            )
        protocols.append(protocol)
        return protocol

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connected, "127.0.0.1", 0, ssl=context if implicit else None)
    scheme = "smtps" if implicit else "smtp"
    port = server.sockets[0].getsockname()[1]
    found.url = f"{scheme}://127.0.0.1:{port}?from={SENDER}"
    yield found
    server.close()
    for protocol in protocols:
        if isinstance(protocol.transport, asyncio.Transport):
            protocol.transport.abort()
    await asyncio.sleep(0)


Speech = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def scripted(speech: Speech) -> AsyncIterator[str]:
    """Serves each connection by the script, and yields the server's address."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await speech(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}?from={SENDER}"
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
