"""A live field, prepared: its messages are rendered from the log, without the executor."""

from collections.abc import Awaitable, Hashable
from dataclasses import dataclass
from typing import Any

import orjson

from domain.changes import Change
from domain.ids import WorkspaceId
from domain.messages import Message
from domain.paging import Page
from domain.reading import ChangesAfter, Reader
from domain.selection import Selection
from resolvers.documents import Variant
from resolvers.histories import at_once, present
from resolvers.render import message_state


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStream:
    """`changes` as one document selects it. Implements resolvers.streams.Stream.

    What a change shows does not depend on who looks, once they may: so everybody who sends the
    same document shares a group.
    """

    key: str
    read: ChangesAfter
    variant: Variant
    pages: tuple[Page, ...]
    reader: Reader

    @property
    def workspace(self) -> WorkspaceId:
        """See `Stream.workspace`."""
        return self.read.workspace

    @property
    def after(self) -> int | None:
        """See `Stream.after`."""
        return self.read.after

    @property
    def group(self) -> Hashable:
        """See `Stream.group`."""
        return self.key, self.variant, self.pages

    def render(self, message: Message) -> bytes | Awaitable[bytes]:
        """See `Stream.render`."""
        selection = self.variant.messages[type(message).__name__]
        found = at_once(message, selection)
        if found is not None or not isinstance(message, Change):
            return self._response(found)
        return self._queried(message, selection)

    async def _queried(self, change: Change, selection: Selection) -> bytes:
        states = [message_state(change)]
        (found,) = await present(states, self.workspace, selection, self.pages, self.reader)
        return self._response(found)

    def _response(self, value: dict[str, Any] | None) -> bytes:
        return orjson.dumps({"data": {self.key: value}})
