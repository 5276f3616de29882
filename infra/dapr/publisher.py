"""Publishes changes in bulk by the sidecar's HTTP API. Implements domain.outbox.Publisher.

Not by gRPC, neither the SDK's: its bulk answer loses the list of the entries that failed.
"""

from collections.abc import Sequence
from typing import Final

import orjson

from domain.outbox import Entry, PublishFailed, Topic
from infra.dapr.sidecar import Answer, Sidecar
from infra.envelope import CONTENT_TYPE, event

# The sidecar gives the broker 30 s (its resiliency policy), and then answers itself.
PUBLISH_WAIT_S: Final = 35.0


class DaprPublisher:
    """Publishes to the topics of one pub/sub component."""

    def __init__(self, sidecar: Sidecar, pubsub: str) -> None:
        self._sidecar = sidecar
        self._path = f"/v1.0/publish/bulk/{pubsub}/"

    async def publish(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Entry]:
        """See `Publisher.publish`; the partition key is the stream, so a stream keeps its order."""
        body = orjson.dumps([_entry(topic, entry) for entry in entries])
        try:
            answer = await self._sidecar.send(
                "POST",
                self._path + topic,
                content=body,
                timeout_s=PUBLISH_WAIT_S,
            )
        except TimeoutError as error:
            raise PublishFailed("timeout", str(error)) from error
        except OSError as error:
            raise PublishFailed("unreachable", str(error)) from error
        if answer.is_success:
            return ()
        return _refused(answer, entries)


def _entry(topic: Topic, entry: Entry) -> dict[str, object]:
    return {
        "entryId": str(entry.change.id),
        "event": event(topic, entry),
        "contentType": CONTENT_TYPE,
        # In each entry: the request's own metadata does not reach them.
        "metadata": {"partitionKey": str(entry.change.stream)},
    }


def _refused(answer: Answer, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Returns the entries that the broker refused.

    Raises:
        PublishFailed: all were refused, or the answer does not say which.
    """
    try:
        found = orjson.loads(answer.body)
        failed = {one["entryId"]: str(one.get("error")) for one in found["failedEntries"]}
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise PublishFailed(f"status_{answer.status}", answer.head) from error
    refused = [entry for entry in entries if str(entry.change.id) in failed]
    if not refused or len(refused) == len(entries):
        raise PublishFailed(f"status_{answer.status}", next(iter(failed.values()), answer.head))
    return refused
