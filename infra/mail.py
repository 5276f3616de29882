"""Mail by SMTP, over connections that are used again. Implements domain.channels.Channel.

`smtps://` is encrypted from the first octet. With `smtp://`, STARTTLS is used wherever the server
offers it, and has to succeed; a password is never sent in the clear. This machine's own servers are
taken at their word: nobody listens in between.
"""

import asyncio
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
import idna

from domain.channels import Mailbox, Message, Outcome, Permanent, Scope, Sent, Temporary
from infra.mail_body import letter, one_line

# Of everything for one mail; a server that thinks for longer is busy.
SEND_WAIT_S = 60.0
COMMAND_WAIT_S = 20.0
# Servers close what is idle for longer than some minutes, and count what comes over one connection.
IDLE_S = 30.0
USES_MAX = 100
# Of a server's words, what goes into a row of the ledger.
REASON_MAX_CHARS = 200
_PORTS: Final = {"smtp": 587, "smtps": 465}
_SENDER_NAME: Final = "Carillon"
# RFC 4954, 6, and what asks for STARTTLS: our settings are wrong, the recipient is not.
_OUR_FAULT: Final = frozenset({530, 534, 535, 538})
_CLOSING: Final = 421


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mail is handed in, and in whose name; `is_here`, whether on this machine."""

    host: str
    port: int
    is_encrypted: bool
    user: str | None
    password: str | None
    sender: str
    is_here: bool


class Unmailable(Exception):
    """No mail can be addressed so; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A mail as it is handed in."""

    sender: str
    recipient: str
    content: bytes
    is_international: bool


def mail_server(url: str) -> MailServer:
    """Reads `smtp://user:password@host:port?from=address`, or the same with `smtps://`.

    Raises:
        ValueError: it is not such an address; the message holds no password.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("must begin with smtp:// or smtps://, and name a host")
    sender = parse_qs(parts.query).get("from", [""])[-1]
    try:
        _address(sender)
        port = parts.port
    except (Unmailable, ValueError) as error:
        raise ValueError("needs ?from= with the address that mails come from") from error
    return MailServer(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        is_encrypted=parts.scheme == "smtps",
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        sender=sender,
        is_here=_is_here(parts.hostname),
    )


class Mail:
    """Hands mail in at one server."""

    def __init__(self, server: MailServer, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._tls = tls or ssl.create_default_context()
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        """Does nothing; connections open when they are needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Says goodbye on the connections that are idle."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

    def provider(self, to: Mailbox) -> str:
        """See `Channel.provider`: our server carries all mail."""
        return f"smtp:{self._server.host}:{self._server.port}"

    async def send(self, message: Message, to: Mailbox) -> Outcome:
        """See `Channel.send`."""
        try:
            mail = envelope(message, to, self._server.sender)
        except Unmailable as error:
            return Permanent(reason=str(error))
        attempt = _Attempt(mail)
        try:
            async with asyncio.timeout(SEND_WAIT_S):
                await self._hand_in(attempt)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return _outcome(error, is_unsure=attempt.is_unsure)
        return Sent()

    async def _hand_in(self, attempt: "_Attempt") -> None:
        connection = self._taken()
        if connection is not None:
            try:
                await self._tried(attempt, connection)
            except (ConnectionError, aiosmtplib.SMTPSenderRefused) as error:
                if attempt.is_begun or not _is_closed(error):
                    raise
                # It was closed while it was idle: what was said on it nobody heard.
            else:
                return
        await self._tried(attempt, await self._opened())

    async def _tried(self, attempt: "_Attempt", connection: "_Connection") -> None:
        """Hands the mail in; the connection is kept where it can be used again."""
        try:
            await attempt.run(connection.client)
        except aiosmtplib.SMTPResponseException:
            # A refusal: the server is well, and forgets the transaction when told to.
            if await connection.reset():
                self._give_back(connection)
            raise
        except BaseException:
            connection.client.close()
            raise
        self._give_back(connection)

    def _taken(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            connection.keep()
            if connection.client.is_connected:
                return connection
        return None

    def _give_back(self, connection: "_Connection") -> None:
        connection.uses += 1
        if connection.uses >= USES_MAX or not connection.client.is_connected:
            connection.client.close()
            return
        connection.timer = asyncio.get_running_loop().call_later(IDLE_S, self._forget, connection)
        self._idle.append(connection)

    def _forget(self, connection: "_Connection") -> None:
        self._idle.remove(connection)
        connection.client.close()

    async def _opened(self) -> "_Connection":
        """Returns a new connection, encrypted and signed in as the server's address says."""
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.is_encrypted,
            start_tls=False,
            tls_context=self._tls,
            timeout=COMMAND_WAIT_S,
            # The default asks the name service for our own name, and may wait for it.
            local_hostname=socket.gethostname() or "localhost",
        )
        try:
            await client.connect()
            await client.ehlo()
            await self._sign_in(client)
        except BaseException:
            client.close()
            raise
        return _Connection(client)

    async def _sign_in(self, client: aiosmtplib.SMTP) -> None:
        server = self._server
        is_safe = server.is_encrypted or server.is_here
        if not is_safe and client.supports_extension("starttls"):
            await client.starttls(tls_context=self._tls)
            await client.ehlo()
            is_safe = True
        if server.user is None:
            return
        if not is_safe:
            raise aiosmtplib.SMTPException(
                "The server offers no STARTTLS, and a password is not sent in the clear."
            )
        await client.login(server.user, server.password or "")


class _Connection:
    """An open connection, how many mails it has carried, and when it is closed for idleness."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self.client = client
        self.uses = 0
        self.timer: asyncio.TimerHandle | None = None

    def keep(self) -> None:
        """Does not close it for idleness."""
        if self.timer is not None:
            self.timer.cancel()

    async def reset(self) -> bool:
        """Ends the transaction; tells whether there can be another one."""
        try:
            await self.client.rset()
        except (aiosmtplib.SMTPException, OSError):
            self.client.close()
            return False
        return True

    async def quit(self) -> None:
        """Closes politely, and at once."""
        self.keep()
        try:
            async with asyncio.timeout(1.0):
                await self.client.quit()
        except (aiosmtplib.SMTPException, OSError):
            self.client.close()


class _Attempt:
    """One mail on its way, and how far it came."""

    def __init__(self, mail: Envelope) -> None:
        self._mail = mail
        # Whether the server has taken a part in it, and whether it may have taken all of it.
        self.is_begun = False
        self.is_unsure = False

    async def run(self, client: aiosmtplib.SMTP) -> None:
        mail = self._mail
        options, encoding = [], "ascii"
        if mail.is_international:
            if not client.supports_extension("smtputf8"):
                raise aiosmtplib.SMTPNotSupported(
                    "The mail server carries no addresses beyond ASCII."
                )
            options, encoding = ["SMTPUTF8", "BODY=8BITMIME"], "utf-8"
        await client.mail(mail.sender, options=options, encoding=encoding)
        self.is_begun = True
        await client.rcpt(mail.recipient, encoding=encoding)
        self.is_unsure = True
        await client.data(mail.content)
        self.is_unsure = False


def envelope(message: Message, to: Mailbox, sender: str) -> Envelope:
    """Returns the mail of a message: RFC 5322, multipart, with the headers that machines read.

    Raises:
        Unmailable: the recipient's address is none.
    """
    from_local, from_domain = _address(sender)
    to_local, to_domain = _address(to.address)
    is_international = not (from_local + to_local).isascii()
    policy = SMTPUTF8 if is_international else SMTP
    # Without 8-bit lines it passes every server.
    mail = EmailMessage(policy=policy.clone(cte_type="7bit"))
    said = letter(message.content, to.unsubscribe_url)
    try:
        mail["From"] = Address(_SENDER_NAME, from_local, from_domain)
        mail["To"] = Address(one_line(to.name), to_local, to_domain)
        mail["Subject"] = said.subject
        mail["Date"] = format_datetime(message.at)
        # The delivery's: a mail that was sent again is the same mail.
        mail["Message-ID"] = f"<{message.id}@{from_domain}>"
        # RFC 3834: no out-of-office replies to a machine.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(said.text)
        mail.add_alternative(said.html, subtype="html")
        content = _unsubscribing(to.unsubscribe_url) + mail.as_bytes()
    except (MessageError, ValueError) as error:
        raise Unmailable("No mail can be addressed so.") from error
    return Envelope(
        sender=f"{from_local}@{from_domain}",
        recipient=f"{to_local}@{to_domain}",
        content=content,
        is_international=is_international,
    )


def _unsubscribing(url: str | None) -> bytes:
    """Returns the headers of RFC 8058, which `email` would fold into encoded words, a broken link.

    Raises:
        ValueError: the address does not fit into a header.
    """
    if url is None:
        return b""
    if not url.isascii() or not url.isprintable() or set(url) & set(" <>") or len(url) > 900:
        raise ValueError("No such address stands in a header.")
    return (
        f"List-Unsubscribe: <{url}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    ).encode()


def _address(text: str) -> tuple[str, str]:
    """Returns local part and domain, the domain in ASCII.

    Raises:
        Unmailable: the text is no address.
    """
    local, at, domain = text.rpartition("@")
    try:
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
        # It refuses line ends, and what is no dot-atom becomes a quoted string.
        written = Address("", local, ascii_domain).addr_spec
    except (idna.IDNAError, MessageError, ValueError, IndexError) as error:
        raise Unmailable("The address is none.") from error
    if not at or not local or not ascii_domain or one_line(written) != written or " " in written:
        raise Unmailable("The address is none.")
    return local, ascii_domain


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_closed(error: Exception) -> bool:
    """Tells whether the server has closed the connection, maybe with a word."""
    return not isinstance(error, aiosmtplib.SMTPResponseException) or error.code == _CLOSING


def _outcome(error: Exception, *, is_unsure: bool) -> Outcome:
    """Returns what an error means: whether to try again, and whose trouble it is."""
    reason = one_line(str(error) or type(error).__name__)[:REASON_MAX_CHARS]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        reason = one_line(f"{error.code} {error.message}")[:REASON_MAX_CHARS]
        about_this = isinstance(error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError)
        if about_this and error.code not in {_CLOSING, *_OUR_FAULT}:
            if error.code >= 500:
                return Permanent(reason=reason)
            return Temporary(reason=reason, scope=Scope.RECIPIENT)
        return Temporary(reason=reason, scope=Scope.PROVIDER)
    # Of a certificate's errors OSError is a base, and ValueError too.
    is_impossible = isinstance(error, ValueError) and not isinstance(error, OSError)
    if is_impossible or isinstance(error, aiosmtplib.SMTPNotSupported):
        return Permanent(reason=reason)
    return Temporary(reason=reason, scope=Scope.PROVIDER, is_unsure=is_unsure)
