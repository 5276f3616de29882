"""Opens connections, each of them: to a server by its URL, as an operator wrote it."""

import ssl
from collections.abc import Mapping

import asyncpg

from infra.postgres.url import LEAST, MOST, address, version_name

# The name that servers expect of a client that begins with TLS (sslnegotiation=direct).
_ALPN = "postgresql"


async def connect(
    url: str,
    *,
    timeout: float,
    settings: Mapping[str, str] | None = None,
    statements_max: int = 0,
) -> asyncpg.Connection:
    """Returns a connection.

    Args:
        url: the server's, as an operator wrote it.
        timeout: seconds, unless the URL has a `connect_timeout`.
        settings: of the session; behind a transaction pooler there is none.
        statements_max: how many statements stay prepared under names, the least recently used out
            first. With 0 statements have no names, and work behind a pooler in a transaction.

    Raises:
        OSError: it cannot be reached, or not in time.
        asyncpg.PostgresError: it refuses us.
        asyncpg.InterfaceError: a parameter of the URL cannot be used, as a missing certificate.
    """
    to = address(url)
    return await asyncpg.connect(
        to.url,
        timeout=to.timeout_s or timeout,
        ssl=None if to.tls is None else _context(to.tls),
        server_settings=None if settings is None else dict(settings),
        statement_cache_size=statements_max,
        # Zero lifetime and size mean no limit but the number.
        max_cached_statement_lifetime=0,
        max_cacheable_statement_size=0,
    )


def _context(tls: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols([_ALPN])
    if cert := tls.get("sslcert"):
        context.load_cert_chain(cert, tls.get("sslkey"), lambda: tls.get("sslpassword", ""))
    if crl := tls.get("sslcrl"):
        context.load_verify_locations(crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if least := tls.get(LEAST):
        context.minimum_version = ssl.TLSVersion[version_name(least)]
    if most := tls.get(MOST):
        context.maximum_version = ssl.TLSVersion[version_name(most)]
    return context
