"""The URL of a database as operators copy it, libpq's, in what asyncpg takes.

asyncpg reads most parameters of libpq. Those that it does not know it would send to the server as
settings, and the server would refuse the connection for them.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

# What asyncpg has nothing for, and what of it may be left out without giving up what was asked:
# all values, or these. Another value is refused, for it asks for safety that would be missing.
_LEFT_OUT: Final[Mapping[str, frozenset[str] | None]] = {
    "channel_binding": frozenset({"disable", "prefer"}),
    # It speaks UTF-8 always.
    "client_encoding": None,
    "fallback_application_name": None,
    "gssencmode": frozenset({"disable", "prefer"}),
    "keepalives": None,
    "keepalives_count": None,
    "keepalives_idle": None,
    "keepalives_interval": None,
    "load_balance_hosts": None,
    "max_protocol_version": None,
    "min_protocol_version": frozenset({"3.0"}),
    "require_auth": frozenset(),
    "requirepeer": frozenset(),
    "sslcertmode": frozenset({"allow"}),
    "sslcompression": None,
    "sslsni": frozenset({"1"}),
    "tcp_user_timeout": None,
}
_VERIFYING = frozenset({"verify-ca", "verify-full"})
_SYSTEM = "system"
LEAST, MOST = "ssl_min_protocol_version", "ssl_max_protocol_version"
_VERSIONS = frozenset({LEAST, MOST})
# What makes a context, when asyncpg, which takes authorities from a file only, cannot.
_TLS: Final = _VERSIONS | {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl"}

_NO_URL = "is no URL of PostgreSQL: postgresql://user:password@host/name"


class UrlRefused(ValueError):
    """The URL is none, or asks for what cannot be given; the message quotes no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server is, in asyncpg's terms.

    Attributes:
        url: with the parameters that asyncpg or the server knows.
        place: its hosts, for messages: neither user nor password belongs into a log.
        timeout_s: how long connecting may take, if the URL says so.
        tls: parameters of an encrypted connection that the system's authorities vouch for.
        left_out: names of parameters that have no effect here.
    """

    url: str
    place: str
    timeout_s: float | None
    tls: Mapping[str, str] | None
    left_out: tuple[str, ...]


def address(url: str) -> Address:
    """Reads a URL.

    Raises:
        UrlRefused: see there.
    """
    try:
        head, _, query = url.partition("?")
        parts = urlsplit(head)
        given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        connect_s = int(given.pop("connect_timeout", None) or 0)
    except ValueError:
        # Not `from`: its message may quote what should not be quoted.
        raise UrlRefused(_NO_URL) from None
    place = parts.netloc.rpartition("@")[2]
    if not all(port.isdecimal() for port in _ports(place)):
        raise UrlRefused(_NO_URL)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise UrlRefused("must begin with postgresql://")
    _bind_channel(given)
    left_out = _leave_out(given)
    tls = _tls(given)
    return Address(
        url=f"{head}?{urlencode(given, quote_via=quote)}" if given else head,
        place=place or given.get("host") or "a local socket",
        timeout_s=connect_s if connect_s > 0 else None,
        tls=tls,
        left_out=left_out,
    )


def _ports(hosts: str) -> list[str]:
    # Behind the brackets of an IPv6 address, if it is one.
    ends = [host.rpartition("]")[2] for host in hosts.split(",")]
    return [end.rpartition(":")[2] for end in ends if ":" in end]


def _bind_channel(given: dict[str, str]) -> None:
    """Keeps what `channel_binding=require` is for, nobody in the middle, without it.

    asyncpg cannot bind the sign-in to the channel; it can verify who is at the channel's end.
    """
    if given.get("channel_binding") != "require":
        return
    if given.get("sslmode") == "disable":
        raise UrlRefused("channel_binding=require needs an encrypted connection: sslmode")
    del given["channel_binding"]
    if given.get("sslmode") not in _VERIFYING:
        given["sslmode"] = "verify-full"
        given.setdefault("sslrootcert", _SYSTEM)


def _leave_out(given: dict[str, str]) -> tuple[str, ...]:
    found = tuple(name for name in given if name in _LEFT_OUT)
    for name in found:
        value, harmless = given.pop(name), _LEFT_OUT[name]
        if harmless is not None and value not in harmless:
            raise UrlRefused(f"asks for {name}={value}, which this program's driver cannot do")
    return found


def _tls(given: dict[str, str]) -> Mapping[str, str] | None:
    """Takes out the parameters of TLS where the authorities are the system's."""
    if given.get("sslrootcert") != _SYSTEM:
        return None
    if given.get("sslmode", "verify-full") != "verify-full":
        # As libpq: anybody has a certificate of a public authority, for another name.
        raise UrlRefused("sslrootcert=system needs sslmode=verify-full")
    found = {name: given.pop(name) for name in list(given) if name in _TLS}
    for name in _VERSIONS & found.keys():
        if version_name(found[name]) not in ssl.TLSVersion.__members__:
            raise UrlRefused(f"{name} names no version, as TLSv1.3")
    return found


def version_name(text: str) -> str:
    """Returns a version of TLS as `ssl.TLSVersion` calls it."""
    return text.replace(".", "_")
