"""Events that cannot be read, with the reason: onto the consumer's dead-letter topic."""

import base64
from uuid import uuid4

import orjson

from infra.dapr.sidecar import Sidecar

# A reader of the topic wants to see what it was; the rest is in the original topic.
BODY_MAX_BYTES = 100_000


class DaprDeadLetters:
    """Publishes to one dead-letter topic."""

    def __init__(self, sidecar: Sidecar, pubsub: str, topic: str) -> None:
        self._sidecar = sidecar
        self._path = f"/v1.0/publish/{pubsub}/{topic}"
        self._topic = topic

    async def put(self, body: bytes, reason: str) -> None:
        """Publishes the event's body, as base64, and why nobody could read it.

        Raises:
            OSError: it is not known to be published.
        """
        letter = {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": f"/{self._topic}",
            "type": "carillon.dead-letter",
            "datacontenttype": "application/json",
            "data": {
                "reason": reason,
                "body": base64.b64encode(body[:BODY_MAX_BYTES]).decode(),
                "bytes": len(body),
            },
        }
        answer = await self._sidecar.send(
            "POST",
            self._path,
            content=orjson.dumps(letter),
            content_type="application/cloudevents+json",
        )
        if not answer.is_success:
            raise ConnectionError(f"The dead letter was not taken: {answer.head}")
