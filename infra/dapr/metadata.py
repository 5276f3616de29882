"""What a sidecar says of itself: whose it is, and what it has loaded."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from infra.dapr.sidecar import Sidecar

ANSWER_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """A sidecar's app-id, its version, and the components that it has loaded for this app."""

    app_id: str
    version: str
    components: frozenset[str]


async def metadata(sidecar: Sidecar) -> Metadata:
    """Asks the sidecar.

    Raises:
        OSError: it cannot be reached.
        PermissionError: it refuses our token.
    """
    answer = await sidecar.send("GET", "/v1.0/metadata", timeout_s=ANSWER_WAIT_S)
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise PermissionError("The sidecar refuses our token.")
    if not answer.is_success:
        raise ConnectionError(f"The sidecar answered {answer.status}.")
    said: Any = orjson.loads(answer.body)
    return Metadata(
        app_id=said["id"],
        version=said.get("runtimeVersion", "unknown"),
        components=frozenset(each["name"] for each in said.get("components", ())),
    )
