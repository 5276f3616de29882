"""Changes of the log as they were selected."""

from collections.abc import Sequence
from typing import Any

from domain.changes import Change
from domain.ids import UserId, WorkspaceId
from domain.paging import Page
from domain.reading import Reader
from domain.selection import Missing, Selection
from resolvers.allowance import Allowance
from resolvers.present import Presents
from resolvers.render import change_state, render

# What shows each viewer something else.
_PRIVATE = frozenset({("Task", "reminders")})


class Changes:
    """Renders changes for one selection."""

    def __init__(self, selection: Selection, reader: Reader) -> None:
        self._selection = selection
        self._presents = Presents(reader)
        self.is_private = _is_private(selection)

    def show(self, change: Change) -> tuple[dict[str, Any], list[Missing]]:
        """Returns the answer as far as the change carries it, and what is missing in it."""
        missing: list[Missing] = []
        return render(self._selection, change_state(change), missing), missing

    async def fill(
        self,
        viewer: UserId | None,
        workspace: WorkspaceId,
        missing: Sequence[Missing],
        pages: Sequence[Page],
        allowance: Allowance,
    ) -> None:
        """Puts in what is there by now, by one statement; the pages are the selection's."""
        await self._presents.fill(viewer, workspace, missing, pages, allowance)


def _is_private(selection: Selection) -> bool:
    """Tells whether two viewers may get different answers."""
    return any(
        (selection.kind, field.attribute) in _PRIVATE
        or (field.selection is not None and _is_private(field.selection))
        for field in selection.fields
    )
