"""Messages on their way out: rendered one after another, and what is said where that fails."""

import json
import logging
from collections.abc import AsyncGenerator, Sequence

from domain.changes import Change
from domain.errors import OverLimit
from domain.ids import WorkspaceId
from domain.messages import Message, ResyncRequired
from resolvers.batches import BATCH_MAX_BYTES, Batch
from resolvers.feed import patiently
from resolvers.streams import Error, Stream, problem

log = logging.getLogger(__name__)

REMOVED = "member.removed"


def cursor(message: Message) -> int:
    """Returns where a reader is after a message."""
    return message.head if isinstance(message, ResyncRequired) else message.seq


def removed(change: Change) -> str | None:
    """Returns the id of the user who ceased to be a member by this change."""
    if change.kind != REMOVED:
        return None
    member: dict[str, dict[str, str]] = json.loads(change.payload)
    return member["user"]["id"]


async def in_batches(stream: Stream, messages: Sequence[Message]) -> AsyncGenerator[Batch, None]:
    """Yields the messages in batches, each as soon as it is full: no more of them is in memory."""
    cursors: list[int] = []
    bodies: list[bytes] = []
    size = 0
    for message in messages:
        body = await _rendered(stream, message)
        if bodies and size + len(body) > BATCH_MAX_BYTES:
            yield Batch(cursors, bodies)
            cursors, bodies, size = [], [], 0
        cursors.append(cursor(message))
        bodies.append(body)
        size += len(body)
    if bodies:
        yield Batch(cursors, bodies)


async def _rendered(stream: Stream, message: Message) -> bytes:
    """Returns a message's text, once the database answers."""

    async def render() -> bytes:
        body = stream.render(message)
        return body if isinstance(body, bytes) else await body

    return await patiently(render)


def failed(failure: Exception, workspace: WorkspaceId) -> Error:
    """Returns why a stream ends; a bug is logged, and its victims learn no more than that."""
    if isinstance(failure, OverLimit):
        return problem("LIMIT_EXCEEDED", str(failure))
    error = problem("INTERNAL", "Internal error; the trace id finds it in the log.")
    extra = {"workspace": str(workspace), "error": error["extensions"]}
    log.error("live.stream_failed", exc_info=failure, extra=extra)
    return error
