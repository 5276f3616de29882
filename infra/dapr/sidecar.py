"""The way to this process's Dapr sidecar: its HTTP API, with a bound on every wait.

By HTTP and aiohttp, not by the SDK's gRPC: docs/decisions/0034 has the figures.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Self

import aiohttp

log = logging.getLogger(__name__)

# Answers come from the same machine or pod; what takes longer waits for a broker or a store.
CONNECT_WAIT_S = 2.0
ANSWER_WAIT_S = 35.0
# Calls at once: the relay's and a few others.
CONNECTIONS_MAX = 16
READY_WAIT_FIRST_S = 0.1
READY_WAIT_LAST_S = 5.0
TOKEN_HEADER = "dapr-api-token"  # noqa: S105 - a header's name


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sidecar said."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300

    @property
    def head(self) -> str:
        """The beginning of the body, for a line of the log."""
        return self.body[:300].decode(errors="replace")


class Sidecar:
    """Sends requests to the sidecar; transport errors come as OSError or TimeoutError."""

    def __init__(self, url: str, *, api_token: str | None = None) -> None:
        self.url = url
        self._headers = {TOKEN_HEADER: api_token} if api_token else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Makes the client; connections open when they are needed."""
        self._session = aiohttp.ClientSession(
            self.url,
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            # Never by a proxy of the environment: the sidecar is here.
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_WAIT_S,
    ) -> Answer:
        """Returns the sidecar's answer, whatever its status.

        Raises:
            OSError: no answer came; whether the request had its effect is not known.
        """
        if self._session is None:
            raise RuntimeError("The sidecar's client is not open.")
        sent = {**(headers or {}), **({"content-type": content_type} if content else {})}
        timeout = aiohttp.ClientTimeout(timeout_s, sock_connect=CONNECT_WAIT_S)
        try:
            async with self._session.request(
                method, path, data=content and BytesIO(content), headers=sent, timeout=timeout
            ) as answer:
                return Answer(answer.status, await answer.read())
        except TimeoutError as error:
            raise TimeoutError(f"The sidecar did not answer {path} in time.") from error
        except aiohttp.ClientError as error:
            raise ConnectionError(f"The sidecar cannot be reached: {error}.") from error

    async def is_ready(self) -> bool:
        """Tells whether the sidecar can reach its components (it may still wait for this app)."""
        try:
            answer = await self.send("GET", "/v1.0/healthz/outbound", timeout_s=CONNECT_WAIT_S)
        except OSError:
            return False
        return answer.is_success

    async def ready(self) -> None:
        """Waits until the sidecar is ready, and tells once that it is waited for."""
        wait = READY_WAIT_FIRST_S
        told = False
        while not await self.is_ready():
            if not told:
                log.warning("sidecar.awaited", extra={"url": self.url})
                told = True
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait = min(READY_WAIT_LAST_S, wait * 2)
        if told:
            log.info("sidecar.ready")
