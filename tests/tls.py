"""A certificate authority of the tests' own, and the two ends of a connection that trust it."""

import ssl
from functools import cache
from pathlib import Path

import trustme


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def server(*names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*names).configure_cert(context)
    return context


def client() -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


def write(folder: Path, *names: str) -> tuple[Path, Path]:
    """Writes the authority's certificate, and one for these names with its key, as PEM."""
    authority().cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority().issue_cert(*names)
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return folder / "ca.pem", folder / "server.pem"
