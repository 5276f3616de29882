"""Calls addresses that users give, none but public ones. Implements domain.channels.Endpoints.

A name is looked up when the connection is opened, all its addresses are checked, and the connection
goes to one of those: there is no second look-up that could answer something else. Redirects are
answers like any other, and nothing of the environment (proxies, credentials) is used.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeAlias

import httpcore
import idna

from domain.errors import invalid

# Of everything together: the look-up, the connection, all that is read.
TOTAL_WAIT_S = 15.0
CONNECT_WAIT_S = 5.0
# Nobody reads more than the words of an error.
BODY_MAX_BYTES = 16_384
URL_MAX_CHARS = 2_000
# RFC 1035, 2.3.4: 255 octets with a length before each label.
HOST_MAX_CHARS = 253
CONNECTIONS_MAX = 64
IDLE_MAX = 32
IDLE_S = 30.0
# Of a name with many, a few that do not answer are enough.
ADDRESSES_MAX = 4
# HTTPS, and where it is moved to; other ports belong to other protocols.
PORTS: Final = frozenset({443, 8443})

# IANA's special-purpose registry for IPv4, and multicast and all above it.
_SPECIAL_V4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared behind carriers' NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, the clouds' metadata among it
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
# Of IPv6 only this is handed out; mapped and compatible IPv4 addresses, NAT64, unique local,
# link-local and multicast ones lie outside.
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
_SPECIAL_V6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocols, such as Teredo, which carries an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4, which carries one too
        "3fff::/20",
    )
)

_URL: Final = re.compile(
    r"(https?)://([^/?#]+)([/?][\w\-.~!$&'()*+,;=:@/%?]*)?", re.ASCII | re.IGNORECASE
)
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]@\\%]+)(?::([0-9]{1,5}))?")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")

# Returns a name's addresses; OSError where there are none.
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]


class NotAllowed(Exception):
    """The address is malformed, or not public; the message says which."""


class Unreachable(ConnectionError):
    """Nobody was there to be called; nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, a redirect too: the names of headers in lower case, the body's beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """An address in its one form: the host in ASCII and lower case, IPv6 without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, as RFC 6454 writes them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == _DEFAULT_PORTS[self.scheme]
        return f"{self.scheme}://{host}" + ("" if usual else f":{self.port}")


_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class Outbound:
    """One client for all such calls.

    `loopback` is for development and tests: this machine's own addresses may be called then, at
    any port, and by plain HTTP.
    """

    def __init__(
        self,
        *,
        resolve: Resolve | None = None,
        loopback: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._resolve = resolve or _system_resolve
        self._loopback = loopback
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=IDLE_MAX,
            keepalive_expiry=IDLE_S,
            network_backend=_CheckedNetwork(self._addresses),
        )

    async def __aenter__(self) -> Self:
        """Does nothing; connections open when they are needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connections."""
        await self._pool.aclose()

    def target(self, url: str) -> Target:
        """Returns the parts of an address that looks public; only a look-up tells if it is.

        Raises:
            NotAllowed: it is malformed, or of a kind that is not called.
        """
        return _target(url, loopback=self._loopback)

    async def check(self, url: str, *path: str) -> str:
        """See `Endpoints.check`."""
        try:
            target = self.target(url)
            async with asyncio.timeout(CONNECT_WAIT_S):
                await self._addresses(target.host, target.port)
        except NotAllowed as error:
            raise invalid(str(error), *path) from error
        except OSError as error:
            raise invalid("The address's host cannot be found.", *path) from error
        return target.origin + target.path

    async def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Answer:
        """Sends one request and returns its answer.

        Raises:
            NotAllowed: the address is not one that is called; nothing was sent.
            Unreachable: there was no connection.
            OSError: no answer came in time; the request may have had its effect.
        """
        target = self.target(url)
        try:
            async with asyncio.timeout(TOTAL_WAIT_S):
                return await self._post(target, headers, content)
        except TimeoutError as error:
            raise TimeoutError(f"{target.host} did not answer in time.") from error
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise Unreachable(f"{target.host} cannot be reached: {error}") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            said = str(error) or type(error).__name__
            raise ConnectionError(f"{target.host}: {said}") from error

    async def _post(self, target: Target, headers: Mapping[str, str], content: bytes) -> Answer:
        async with self._pool.stream(
            "POST",
            httpcore.URL(
                scheme=target.scheme, host=target.host, port=target.port, target=target.path
            ),
            headers=[("Host", target.origin.partition("://")[2]), *headers.items()],
            content=content,
            extensions={"timeout": {"connect": CONNECT_WAIT_S}},
        ) as response:
            body = b""
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) >= BODY_MAX_BYTES:
                    # The rest stays unread: the connection is closed.
                    break
            return Answer(
                status=response.status,
                headers={
                    name.decode("latin-1").lower(): value.decode("latin-1")
                    for name, value in response.headers
                },
                body=body[:BODY_MAX_BYTES],
            )

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        """Returns where the host may be called.

        Raises:
            NotAllowed: one of its addresses is not public: what is half inside is not outside.
            OSError: it has none.
        """
        literal = _address(host)
        found = [host] if literal is not None else await self._resolve(host, port)
        for one in found:
            address = _address(one)
            if address is None or not (
                is_public(address) or (self._loopback and address.is_loopback)
            ):
                raise NotAllowed("The address leads into a network that is not public.")
        if not found:
            raise ConnectionError(f"{host} has no address.")
        return found[:ADDRESSES_MAX]


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Tells whether the address is one of the public internet's, and no way into another network.

    By a table of our own: what the standard library calls global differs between its versions.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    in_global = address.scope_id is None and address in _GLOBAL_V6
    return in_global and not any(address in network for network in _SPECIAL_V6)


def _target(url: str, *, loopback: bool) -> Target:
    parts = _URL.fullmatch(url) if len(url) <= URL_MAX_CHARS else None
    authority = None if parts is None else _AUTHORITY.fullmatch(parts[2])
    if parts is None or authority is None:
        raise NotAllowed("Write an address such as https://push.example/path, without a password.")
    scheme, host = parts[1].lower(), _host(authority[1])
    is_ours = loopback and _is_loopback(host)
    if scheme != "https" and not is_ours:
        raise NotAllowed("The address has to begin with https://.")
    port = _DEFAULT_PORTS[scheme] if authority[2] is None else int(authority[2])
    if port not in PORTS and not (loopback and 0 < port < 65_536):
        raise NotAllowed("The address may have no port but 443 and 8443.")
    path = parts[3] or "/"
    return Target(scheme, host, port, path if path.startswith("/") else "/" + path)


def _host(written: str) -> str:
    """Returns the host in its one form: an IP address, or a name in ASCII and lower case.

    Raises:
        NotAllowed: it is neither, or a number that some would read as an address.
    """
    if written.startswith("["):
        try:
            return str(ipaddress.IPv6Address(written[1:-1]))
        except ValueError as error:
            raise NotAllowed("The address's host is no IPv6 address.") from error
    name = _ascii(written)
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or len(name) > HOST_MAX_CHARS:
        raise NotAllowed("The address's host is no name.")
    # As browsers do (URL standard, "ends in a number"): 127.1, 0x7f.0.0.1 and 2130706433 are an
    # address to some resolvers.
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]) and _address(name) is None:
        raise NotAllowed("The address's host is a number: write it as 192.0.2.1, or its name.")
    return name


def _ascii(written: str) -> str:
    try:
        name = written if written.isascii() else idna.encode(written, uts46=True).decode()
    except idna.IDNAError as error:
        raise NotAllowed("The address's host is no name.") from error
    # A last dot only says that nothing follows; certificates do not have it.
    return name.lower().removesuffix(".")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


async def _system_resolve(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections to addresses that `check` allows, and to no others."""

    def __init__(self, check: Callable[[str, int], Awaitable[Sequence[str]]]) -> None:
        self._check = check
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects to the first of the host's addresses that answers."""
        try:
            addresses = await self._check(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        *others, last = addresses
        for address in others:
            try:
                return await self._inner.connect_tcp(address, port, timeout=timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(last, port, timeout=timeout)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Opens nothing: no address leads there."""
        raise NotAllowed("A local socket is no address.")

    async def sleep(self, seconds: float) -> None:
        """Waits between attempts."""
        await asyncio.sleep(seconds)
