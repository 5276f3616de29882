"""What states do not hold, as the database has it by now.

A state shows the moment: of a mutation's answer, a repeat of it, or a change of the log. Only what
is selected beyond it is read, and from the things that the state names: the address of whoever was
the assignee then.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from domain.ids import UserId, WorkspaceId
from domain.paging import Page
from domain.reading import OneWorkspace, PreparedRead, Present, Reader, Row
from domain.selection import Field, Missing, Selection
from resolvers.allowance import Allowance

# Of one operation: which objects lack something differs from change to change.
PREPARED_MAX = 16


class Presents:
    """Reads several things by one statement, which is kept for the next time."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._prepared: dict[tuple[Selection, ...], PreparedRead] = {}

    async def read(
        self,
        viewer: UserId | None,
        wanted: Sequence[tuple[Row, Selection]],
        pages: Sequence[Page],
        allowance: Allowance,
    ) -> list[Any]:
        """Returns the answer to each read, None where nothing is visible."""
        prepared = self._known(tuple(selection for _, selection in wanted))
        body = await prepared.read(viewer, [row for row, _ in wanted], pages)
        if body is None:
            return [None] * len(wanted)
        return list(orjson.loads(allowance.take(body)).values())

    async def fill(
        self,
        viewer: UserId | None,
        workspace: WorkspaceId,
        missing: Sequence[Missing],
        pages: Sequence[Page],
        allowance: Allowance,
    ) -> None:
        """Puts what is missing where it belongs; what is gone stays null.

        A purged task is null as a whole: the lists below a task are never null.
        """
        alike: dict[tuple[str, tuple[Field, ...]], list[Missing]] = {}
        for one in missing:
            alike.setdefault((one.kind, one.fields), []).append(one)
        wanted = [
            (_rows(workspace, group), Selection(kind, fields))
            for (kind, fields), group in alike.items()
        ]
        found = await self.read(viewer, wanted, pages, allowance)
        for group, (row, _), answer in zip(alike.values(), wanted, found, strict=True):
            by_id = answer if isinstance(row, Present) else {group[0].id: answer}
            _put(group, by_id)

    def _known(self, selections: tuple[Selection, ...]) -> PreparedRead:
        prepared = self._prepared.get(selections)
        if prepared is None:
            if len(self._prepared) >= PREPARED_MAX:
                del self._prepared[next(iter(self._prepared))]
            fields = (Field(f"r{n}", "present", one) for n, one in enumerate(selections))
            prepared = self._reader.prepare(Selection("Query", tuple(fields)))
            self._prepared[selections] = prepared
        return prepared


def _rows(workspace: WorkspaceId, group: Sequence[Missing]) -> Row:
    if group[0].kind == "Workspace":
        # Of it one shows more than names, so who asks matters; there is never another one.
        return OneWorkspace(id=workspace)
    ids = dict.fromkeys(one.id for one in group)
    return Present(workspace=workspace, ids=tuple(map(UUID, ids)))


def _put(group: Sequence[Missing], by_id: Mapping[str, Mapping[str, Any] | None]) -> None:
    for one in group:
        found = by_id.get(one.id)
        if found is not None:
            one.answer.update(found)
        elif one.kind == "Task" and one.place is not None:
            holder, key = one.place
            holder[key] = None
