"""Categories and tags: a name and a colour, unique by name in their workspace."""

import re
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from domain.changes import Fact, State
from domain.errors import invalid
from domain.ids import WorkspaceId

NAME_MAX_CHARS = 100
CATEGORIES_MAX = 200
TAGS_MAX = 1_000

Kind = Literal["category", "tag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A category or a tag; `kind` says which."""

    kind: Kind
    id: UUID
    workspace_id: WorkspaceId
    name: str
    colour: str


def colour(value: str | None, *path: str) -> str:
    """Returns #rrggbb in lower case.

    Raises:
        Refused: INVALID; the value has another form.
    """
    if value is None or not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise invalid("Write the colour as #rrggbb, such as #3366cc.", *path)
    return value.lower()


def label_state(label: Label) -> State:
    """Returns a category or tag as its changes and tasks show it."""
    return {"id": str(label.id), "name": label.name, "colour": label.colour}


def created(label: Label) -> Fact:
    """Returns the change of a new category or tag."""
    state = label_state(label)
    return Fact(
        kind=f"{label.kind}.created",
        subject=label.id,
        fields=("name", "colour"),
        before={},
        state=state,
    )


def updated(old: Label, new: Label) -> Fact | None:
    """Returns the change from `old` to `new`, or None where nothing differs."""
    before, state = label_state(old), label_state(new)
    fields = tuple(name for name in ("name", "colour") if before[name] != state[name])
    if not fields:
        return None
    return Fact(
        kind=f"{new.kind}.updated",
        subject=new.id,
        fields=fields,
        before={name: before[name] for name in fields},
        state=state,
    )


def deleted(label: Label) -> Fact:
    """Returns the change of a category's or tag's end; tasks lose it by this one change."""
    state = label_state(label)
    return Fact(
        kind=f"{label.kind}.deleted",
        subject=label.id,
        fields=("name", "colour"),
        before=state,
        state=state,
    )
