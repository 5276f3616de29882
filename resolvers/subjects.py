"""Changes of the log as they were selected."""

from collections.abc import Sequence
from typing import Any

from domain.changes import Change
from domain.ids import WorkspaceId
from domain.paging import Page
from domain.reading import Reader
from domain.selection import Missing, Selection
from resolvers.allowance import Allowance
from resolvers.present import Presents
from resolvers.render import change_state, render


class Changes:
    """Renders changes for one selection."""

    def __init__(self, selection: Selection, reader: Reader) -> None:
        self._selection = selection
        self._presents = Presents(reader)

    def show(self, change: Change) -> tuple[dict[str, Any], list[Missing]]:
        """Returns the answer as far as the change carries it, and what is missing in it."""
        missing: list[Missing] = []
        return render(self._selection, change_state(change), missing), missing

    async def fill(
        self,
        workspace: WorkspaceId,
        missing: Sequence[Missing],
        pages: Sequence[Page],
        allowance: Allowance,
    ) -> None:
        """Puts in what is there by now, by one statement; the pages are the selection's."""
        await self._presents.fill(None, workspace, missing, pages, allowance)
