"""How to reach the brokers: addresses, and TLS with a client certificate where they ask for it."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """Where the brokers are.

    `servers`: `host:port`, comma-separated. `ca_file`: the authority that signed the brokers'
    certificates, with which the connection is encrypted; `cert_file` and `key_file`: ours. All are
    PEM files.
    """

    servers: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments by which each of aiokafka's clients connects."""
        found: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "client_id": "carillon",
            "request_timeout_ms": 10_000,
        }
        if self.ca_file is not None:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
            found |= {"security_protocol": "SSL", "ssl_context": context}
        return found


@contextmanager
def speaking_of_connections() -> Iterator[None]:
    """Turns what the brokers refuse or do not answer into an OSError, for whoever asks once."""
    try:
        yield
    except KafkaError as error:
        raise ConnectionError(str(error) or type(error).__name__) from error
