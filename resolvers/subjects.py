"""Changes of the log as they were selected.

They carry what most selections ask for; what lies deeper is what the database shows by now.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from domain.changes import Change
from domain.ids import UserId, WorkspaceId
from domain.paging import Page
from domain.reading import PreparedRead, Present, Reader
from domain.selection import Field, Selection
from resolvers.render import State, change_state, holds, render

# The fields of a change below which a selection may ask for more than the change carries.
_DEEP = ("task", "member", "actor")
# What shows each viewer something else.
_PRIVATE = frozenset({("Task", "reminders")})


class Changes:
    """Renders changes for one selection; the pages are those of its nested connections."""

    def __init__(self, selection: Selection, reader: Reader) -> None:
        self._selection = selection
        self._deep = [f for f in selection.fields if f.attribute in _DEEP and f.selection]
        together = Selection(selection.kind, tuple(self._deep))
        self.is_private = _is_private(selection)
        self._present: PreparedRead | None = reader.prepare(together) if self._deep else None

    def at_once(self, change: Change) -> dict[str, Any] | None:
        """Returns the answer where the change carries all of it."""
        state = change_state(change)
        if any(_wanted(field, state) for field in self._deep):
            return None
        return render(self._selection, state)

    async def all(
        self,
        workspace: WorkspaceId,
        changes: Sequence[Change],
        pages: Sequence[Page],
        viewer: UserId,
    ) -> list[dict[str, Any]]:
        """Returns the answers of changes of one workspace, with at most one statement."""
        states = [change_state(change) for change in changes]
        answers = [render(self._selection, state) for state in states]
        wanted = [_ids(field, states) for field in self._deep]
        if self._present is None or not any(wanted):
            return answers
        reads = [Present(workspace=workspace, ids=ids) for ids in wanted]
        found = orjson.loads(await self._present.read(viewer, reads, pages) or b"{}")
        for field in self._deep:
            _deepen(field, found[field.key], states, answers)
        return answers


def _is_private(selection: Selection) -> bool:
    """Tells whether two viewers may get different answers."""
    return any(
        (selection.kind, field.attribute) in _PRIVATE
        or (field.selection is not None and _is_private(field.selection))
        for field in selection.fields
    )


def _wanted(field: Field, state: State) -> bool:
    value = state[field.attribute]
    return value is not None and field.selection is not None and not holds(field.selection, value)


def _ids(field: Field, states: Sequence[State]) -> tuple[UUID, ...]:
    ids = (state[field.attribute]["id"] for state in states if _wanted(field, state))
    return tuple(UUID(one) for one in dict.fromkeys(ids))


def _deepen(
    field: Field,
    found: Mapping[str, Any],
    states: Sequence[State],
    answers: Sequence[dict[str, Any]],
) -> None:
    """Puts in what is there by now; what is gone stays as the change shows it."""
    for state, answer in zip(states, answers, strict=True):
        if _wanted(field, state):
            answer[field.key] = found.get(state[field.attribute]["id"], answer[field.key])
