"""Prepared subscriptions: to a workspace's changes, to a person's feed. Implement Stream."""

from collections.abc import Awaitable, Hashable, Mapping, Sequence
from typing import Any

from domain.changes import Change
from domain.ids import UserId, WorkspaceId
from domain.messages import Message
from domain.paging import Page
from domain.reading import ChangesAfter, NotificationsAfter, too_large
from domain.selection import Missing, Selection
from resolvers.allowance import Allowance
from resolvers.preparation import Root
from resolvers.render import NOTIFICATIONS, message_state, notification_of, render
from resolvers.responses import encoded

# A state in the log has up to 900 kB; each reader that is behind may have a message waiting.
MESSAGE_MAX_BYTES = 1_048_576


class ChangeStream:
    """What one subscription selects of each message; few selections depend on the viewer."""

    def __init__(
        self, root: Root, read: ChangesAfter, pages: Sequence[Page], cost: int, viewer: UserId
    ) -> None:
        self.cost = cost
        self._root = root
        self._read = read
        self._viewer = viewer
        self._pages = tuple(pages)
        self._changes = root.changes[root.key]

    @property
    def key(self) -> str:
        """See `Stream.key`."""
        return self._root.key

    @property
    def workspace(self) -> WorkspaceId:
        """See `Stream.workspace`."""
        return self._read.workspace

    @property
    def after(self) -> int | None:
        """See `Stream.after`."""
        return self._read.after

    @property
    def group(self) -> Hashable:
        """See `Stream.group`; a document's preparation stands for all that it selects."""
        return (id(self._root), self._pages, self._viewer if self._changes.is_private else None)

    def render(self, message: Message) -> bytes | Awaitable[bytes]:
        """See `Stream.render`."""
        if not isinstance(message, Change):
            selection = self._selections[type(message).__name__]
            return self._body(render(selection, message_state(message)))
        answer, missing = self._changes.show(message)
        return self._deeply(answer, missing) if missing else self._body(answer)

    async def _deeply(self, answer: Mapping[str, Any], missing: Sequence[Missing]) -> bytes:
        allowance = Allowance(MESSAGE_MAX_BYTES)
        await self._changes.fill(self._viewer, self.workspace, missing, self._pages, allowance)
        return self._body(answer)

    def _body(self, answer: Mapping[str, Any]) -> bytes:
        body = b'{"data":' + encoded({self.key: answer}) + b"}"
        if len(body) > MESSAGE_MAX_BYTES:
            raise too_large(MESSAGE_MAX_BYTES)
        return body

    @property
    def _selections(self) -> Mapping[str, Selection]:
        return self._root.messages


class NotificationStream:
    """A person's feed: of the changes of their stream, those of notifications."""

    def __init__(self, root: Root, read: NotificationsAfter, cost: int, viewer: UserId) -> None:
        self.cost = cost
        self._root = root
        self._read = read
        self._viewer = viewer

    @property
    def key(self) -> str:
        """See `Stream.key`."""
        return self._root.key

    @property
    def workspace(self) -> WorkspaceId:
        """See `Stream.workspace`."""
        return WorkspaceId(self._viewer)

    @property
    def after(self) -> int | None:
        """See `Stream.after`."""
        return self._read.after

    @property
    def group(self) -> Hashable:
        """See `Stream.group`."""
        return id(self._root)

    def render(self, message: Message) -> bytes:
        """See `Stream.render`."""
        kind = type(message).__name__
        state = message_state(message) if not isinstance(message, Change) else None
        if isinstance(message, Change):
            if not message.kind.startswith(NOTIFICATIONS):
                return b""
            kind, state = "Notification", notification_of(message)
        answer = render(self._root.messages[kind], state or {})
        return b'{"data":' + encoded({self.key: answer}) + b"}"
