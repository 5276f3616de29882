"""Events that cannot be read, with the reason: onto the consumer's dead-letter topic."""

from infra.dapr.sidecar import Sidecar
from infra.letters import sealed


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
        answer = await self._sidecar.send(
            "POST",
            self._path,
            content=sealed(body, reason, topic=self._topic),
            content_type="application/cloudevents+json",
        )
        if not answer.is_success:
            raise ConnectionError(f"The dead letter was not taken: {answer.head}")
