"""Pages and messages of the log, as they are selected: states as they were, the deeper by now."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from domain.ids import WorkspaceId
from domain.messages import Message
from domain.paging import Page
from domain.reading import LogPage, Present, Reader
from domain.selection import Field, Selection
from resolvers.render import SUBJECTS, State, holds, message_state, render

# What a change shows of which more can be known than its state holds, with the kind of thing.
_DEEP = {"task": "Task", "member": "Member", "actor": "User"}


async def log_page(
    page: LogPage,
    workspace: WorkspaceId,
    selection: Selection,
    pages: Sequence[Page],
    reader: Reader,
) -> dict[str, Any]:
    """Returns a `ChangePage` as it is selected."""
    answer: dict[str, Any] = {}
    resync = None if page.resync is None else message_state(page.resync)
    state: State = {
        "has_next_page": page.has_next,
        "head": str(page.head),
        "resync_required": resync,
    }
    for field in selection.fields:
        if field.attribute == "nodes" and field.selection is not None:
            states = [message_state(change) for change in page.changes]
            rendered = await present(states, workspace, field.selection, pages, reader)
            answer[field.key] = rendered
        else:
            answer |= render(Selection(selection.kind, (field,)), state)
    return answer


def at_once(message: Message, selection: Selection) -> dict[str, Any] | None:
    """Returns a message that needs no query, None where it needs one."""
    state = message_state(message)
    return render(selection, state) if _is_held(selection, state) else None


async def present(
    states: Sequence[State],
    workspace: WorkspaceId,
    selection: Selection,
    pages: Sequence[Page],
    reader: Reader,
) -> list[dict[str, Any]]:
    """Returns changes as they are selected; one query for each field that needs the present."""
    answers = [render(selection, state) for state in states]
    for field in selection.fields:
        if field.attribute not in _DEEP or field.selection is None:
            continue
        wanting = [
            (answer, state[field.attribute])
            for answer, state in zip(answers, states, strict=True)
            if state[field.attribute] is not None
            and not holds(field.selection, state[field.attribute])
        ]
        if wanting:
            deep = _deep(field.selection, [state for _, state in wanting])
            found = await _now(deep, [s["id"] for _, s in wanting], workspace, pages, reader)
            for answer, state in wanting:
                now = found.get(state["id"])
                if now is not None:
                    answer[field.key] |= now
    return answers


def _is_held(selection: Selection, state: State) -> bool:
    return all(
        field.selection is None
        or state.get(field.attribute) is None
        or field.attribute not in (*SUBJECTS, "actor")
        or holds(field.selection, state[field.attribute])
        for field in selection.fields
    )


def _deep(selection: Selection, states: Sequence[State]) -> Selection:
    """Returns the fields that some of the states do not hold."""
    fields: list[Field] = [
        field
        for field in selection.fields
        if not all(holds(Selection(selection.kind, (field,)), state) for state in states)
    ]
    return Selection(selection.kind, tuple(fields))


async def _now(
    selection: Selection,
    ids: Sequence[str],
    workspace: WorkspaceId,
    pages: Sequence[Page],
    reader: Reader,
) -> dict[str, dict[str, Any]]:
    whole = Selection("", (Field("it", "it", selection),))
    read = Present(workspace=workspace, ids=tuple({UUID(one) for one in ids}))
    found = await reader.prepare(whole).read(None, [read], pages)
    answer: dict[str, dict[str, Any]] = orjson.loads(found or b'{"it":{}}')["it"]
    return answer
