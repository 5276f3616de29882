"""Values that replicas share, in the sidecar's state store. Implements domain.ports.StateStore."""

import http
from datetime import timedelta
from urllib.parse import quote

import orjson

from domain.errors import Unavailable
from infra.dapr.sidecar import Answer, Sidecar

# A store on the path of a request: whoever asks can do without its answer.
ANSWER_WAIT_S = 2.0


class DaprStateStore:
    """Gets and puts by the sidecar's HTTP API."""

    def __init__(self, sidecar: Sidecar, store: str) -> None:
        self._sidecar = sidecar
        self._path = f"/v1.0/state/{store}"

    async def get(self, key: str) -> str | None:
        """See `StateStore.get`."""
        answer = await self._send("GET", f"{self._path}/{quote(key, safe='')}")
        if answer.status == http.HTTPStatus.NO_CONTENT:
            return None
        value = orjson.loads(answer.body)
        return value if isinstance(value, str) else None

    async def put(self, key: str, value: str, keep: timedelta) -> None:
        """See `StateStore.put`."""
        seconds = str(max(1, round(keep.total_seconds())))
        entry = {"key": key, "value": value, "metadata": {"ttlInSeconds": seconds}}
        await self._send("POST", self._path, orjson.dumps([entry]))

    async def _send(self, method: str, path: str, content: bytes | None = None) -> Answer:
        try:
            answer = await self._sidecar.send(
                method, path, content=content, timeout_s=ANSWER_WAIT_S
            )
        except OSError as error:
            raise Unavailable(str(error)) from error
        if not answer.is_success:
            raise Unavailable(f"The state store answered {answer.status}.")
        return answer
