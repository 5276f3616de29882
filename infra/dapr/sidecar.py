"""The way to this process's Dapr sidecar: its HTTP API, with a bound on every wait."""

import asyncio
import logging
import random
from types import TracebackType
from typing import Self

import httpx

log = logging.getLogger(__name__)

# Answers come from the same machine or pod; what takes longer waits for a broker or a store.
CONNECT_WAIT_S = 2.0
ANSWER_WAIT_S = 35.0
# Calls at once: the relay's and a few others.
CONNECTIONS_MAX = 16
READY_WAIT_FIRST_S = 0.1
READY_WAIT_LAST_S = 5.0
TOKEN_HEADER = "dapr-api-token"  # noqa: S105 - a header's name


class Sidecar:
    """Sends requests to the sidecar; transport errors come as OSError or TimeoutError."""

    def __init__(self, url: str, *, api_token: str | None = None) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={TOKEN_HEADER: api_token} if api_token else {},
            timeout=httpx.Timeout(ANSWER_WAIT_S, connect=CONNECT_WAIT_S),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            # Never by a proxy of the environment: the sidecar is here.
            trust_env=False,
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
        await self._client.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        timeout_s: float = ANSWER_WAIT_S,
    ) -> httpx.Response:
        """Returns the sidecar's answer, whatever its status.

        Raises:
            OSError: no answer came; whether the request had its effect is not known.
        """
        try:
            return await self._client.request(
                method, path, content=content, headers=headers, params=params, timeout=timeout_s
            )
        except httpx.TimeoutException as error:
            raise TimeoutError(f"The sidecar did not answer {path} in time.") from error
        except httpx.TransportError as error:
            raise ConnectionError(f"The sidecar cannot be reached: {error}.") from error

    async def is_ready(self) -> bool:
        """Tells whether the sidecar can reach its components (it may still wait for this app)."""
        try:
            answer = await self.send("GET", "/v1.0/healthz/outbound", timeout_s=CONNECT_WAIT_S)
        except OSError:
            return False
        return answer.status_code == httpx.codes.NO_CONTENT

    async def ready(self) -> None:
        """Waits until the sidecar is ready, and tells once that it is waited for."""
        wait = READY_WAIT_FIRST_S
        told = False
        while not await self.is_ready():
            if not told:
                log.warning("sidecar.awaited", extra={"url": str(self._client.base_url)})
                told = True
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait = min(READY_WAIT_LAST_S, wait * 2)
        if told:
            log.info("sidecar.ready")
