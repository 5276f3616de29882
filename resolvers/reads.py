"""Root fields read one by one, each with its own outcome."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from domain.errors import Invisible, Unauthenticated, Unavailable
from domain.ids import UserId
from domain.paging import Page
from domain.reading import ChangeSlice, Reader, Row, ThePreferences, TheViewer
from resolvers.allowance import Allowance
from resolvers.preparation import Asked, Root
from resolvers.render import message_state, render
from resolvers.streams import GONE, SIGN_IN

# How long `atLeast` waits for its number; far longer than a commit takes to every replica.
REACH_WAIT_S = 2.0
REACH_POLL_FIRST_S = 0.01
REACH_POLL_LAST_S = 0.1


@dataclass(slots=True, kw_only=True)
class RootReads:
    """Reads for one request.

    `refused` says why a token that came with it was not good. All of its roots together wait at
    most `reach_wait_s` for what `atLeast` asks.
    """

    reader: Reader
    viewer: UserId | None
    refused: Unauthenticated | None
    pages: Sequence[Page]
    reach_wait_s: float
    allowance: Allowance
    _give_up_at: float | None = None

    async def answer(self, asked: Asked) -> bytes:
        """Returns the JSON text of a root's answer.

        Raises:
            DomainError: what the root's error says.
            GraphQLError: its arguments cannot be what they are.
        """
        root = asked.root
        if asked.fault is not None and not isinstance(asked.fault, Invisible):
            raise asked.fault
        if self.viewer is None:
            return self._anonymous(asked.read)
        try:
            if asked.fault is not None:
                raise asked.fault
            if isinstance(asked.read, ChangeSlice):
                answer = await self._log_page(root, self.viewer, asked.read)
            elif isinstance(asked.read, ThePreferences) and root.selection is not None:
                state = await self.reader.preferences(self.viewer)
                answer = orjson.dumps(render(root.selection, state))
            else:
                answer = await self._rows(root, self.viewer, asked.read)
        except Invisible:
            if root.is_list:
                raise
            return b"null"
        return self.allowance.take(answer)

    def _anonymous(self, read: Any) -> bytes:
        if isinstance(read, TheViewer) and self.refused is None:
            return b"null"
        raise self.refused or Unauthenticated(SIGN_IN)

    async def _rows(self, root: Root, viewer: UserId, read: Row) -> bytes:
        if root.read is None:
            raise TypeError(root)
        await self._reached(viewer, read)
        body = await root.read.read(viewer, [read], self.pages)
        if body is None:
            raise Invisible(GONE)
        # One field makes `{"key" : value}`.
        return body[len(root.key) + 6 : -1]

    async def _reached(self, viewer: UserId, read: Row) -> None:
        if getattr(read, "at_least", None) is None:
            return
        clock = asyncio.get_running_loop().time
        if self._give_up_at is None:
            self._give_up_at = clock() + self.reach_wait_s
        wait = REACH_POLL_FIRST_S
        while not await self.reader.has_reached(viewer, read):
            if clock() > self._give_up_at:
                raise Unavailable("The workspace has not come to `atLeast` yet; try again.")
            await asyncio.sleep(wait)
            wait = min(REACH_POLL_LAST_S, wait * 2)

    async def _log_page(self, root: Root, viewer: UserId, read: ChangeSlice) -> bytes:
        page = await self.reader.changes(viewer, read)
        if page is None or root.selection is None:
            raise Invisible(GONE)
        state = {
            "nodes": [],
            "has_next_page": page.has_next,
            "head": str(page.head),
            "resync_required": page.resync and message_state(page.resync),
        }
        answer = render(root.selection, state)
        for key, changes in root.changes.items():
            shown = [changes.show(change) for change in page.changes]
            answer[key] = [node for node, _ in shown]
            missing = [one for _, lacks in shown for one in lacks]
            if missing:
                await changes.fill(viewer, read.workspace, missing, self.pages, self.allowance)
        return orjson.dumps(answer)
