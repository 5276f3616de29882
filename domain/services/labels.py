"""What people do with categories and tags."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from domain import labels, text
from domain.errors import Problems, conflict, not_found, over_limit
from domain.ids import WorkspaceId
from domain.labels import Kind, Label
from domain.ports import Command, Needs, Seen, Writes
from domain.services.mutations import Decision, Mutations, Outcome
from domain.workspaces import Role, require

_MOST: Final = {"category": labels.CATEGORIES_MAX, "tag": labels.TAGS_MAX}
_PLURAL: Final = {"category": "categories", "tag": "tags"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPatch:
    """What shall change; an absent field is not in `given`."""

    name: str | None = None
    colour: str | None = None
    given: frozenset[str] = frozenset()


class LabelService:
    """Creates, changes and deletes categories and tags."""

    def __init__(self, mutations: Mutations, new_id: Callable[[], UUID]) -> None:
        self._mutations = mutations
        self._new_id = new_id

    async def create(
        self,
        command: Command,
        kind: Kind,
        workspace: WorkspaceId,
        id: UUID | None,
        patch: LabelPatch,
    ) -> Outcome:
        """Creates a category or tag.

        Raises:
            Refused: INVALID, NOT_FOUND, FORBIDDEN, CONFLICT (id or name taken), LIMIT_EXCEEDED.
        """
        new = id or self._new_id()
        command, name, colour = _checked(command, patch, frozenset(("name", "colour")))
        label = Label(kind=kind, id=new, workspace_id=workspace, name=name, colour=colour)

        def decide(seen: Seen, at: datetime) -> Decision:
            if seen.workspace is None:
                raise not_found("There is no such workspace.", "workspaceId")
            _require_editor(seen, kind)
            _require_free(seen, label)
            if seen.label_count >= _MOST[kind]:
                raise over_limit(f"A workspace has at most {_MOST[kind]} {_PLURAL[kind]}.")
            fact = labels.created(label)
            writes = replace(
                _writes(seen, label, at), facts=(fact,), labels_moved=True, labels_new=(label,)
            )
            return Decision(writes=writes, state=fact.state)

        needs = Needs(workspace=workspace, name=(kind, text.sort_key(name)))
        return await self._mutations.run(command, needs, decide)

    async def update(self, command: Command, kind: Kind, id: UUID, patch: LabelPatch) -> Outcome:
        """Renames or recolours; one change, however many tasks show it."""
        command, wanted_name, wanted_colour = _checked(command, patch, patch.given)

        def decide(seen: Seen, at: datetime) -> Decision:
            old = _existing(seen, kind)
            new = replace(old, name=wanted_name or old.name, colour=wanted_colour or old.colour)
            _require_free(seen, new)
            fact = labels.updated(old, new)
            if fact is None:
                return Decision(writes=_writes(seen, old, at), state=labels.label_state(old))
            writes = replace(
                _writes(seen, old, at), facts=(fact,), labels_moved=True, labels=(new,)
            )
            return Decision(writes=writes, state=fact.state)

        name = (kind, text.sort_key(wanted_name)) if wanted_name else None
        return await self._mutations.run(command, Needs(label=(kind, id), name=name), decide)

    async def delete(self, command: Command, kind: Kind, id: UUID) -> Outcome:
        """Deletes a category or tag; tasks lose it by this one change."""

        def decide(seen: Seen, at: datetime) -> Decision:
            old = _existing(seen, kind)
            fact = labels.deleted(old)
            writes = replace(
                _writes(seen, old, at), facts=(fact,), labels_moved=True, label_gone=old
            )
            return Decision(writes=writes, state=fact.state)

        return await self._mutations.run(command, Needs(label=(kind, id)), decide)


def _checked(
    command: Command, patch: LabelPatch, wanted: frozenset[str]
) -> tuple[Command, str, str]:
    """Returns name and colour, each empty where it is not wanted; the command says what is wrong.

    The look needs the name's key, so this comes before the decision.
    """
    problems = Problems(*command.problems)
    name = colour = None
    if "name" in wanted:
        longest = labels.NAME_MAX_CHARS
        name = problems.of(lambda: text.line(patch.name, ("input", "name"), longest=longest))
    if "colour" in wanted:
        colour = problems.of(lambda: labels.colour(patch.colour, "input", "colour"))
    return replace(command, problems=problems.found), name or "", colour or ""


def _require_editor(seen: Seen, kind: Kind) -> None:
    require(seen.role, Role.MEMBER, f"make you a member, who may change its {_PLURAL[kind]}")


def _existing(seen: Seen, kind: Kind) -> Label:
    if seen.label is None:
        raise not_found(f"There is no such {kind}.", "id")
    _require_editor(seen, kind)
    return seen.label


def _require_free(seen: Seen, label: Label) -> None:
    if seen.name_taken is not None and seen.name_taken != label.id:
        raise conflict(f"There is a {label.kind} of this name.", "input", "name")


def _writes(seen: Seen, label: Label, at: datetime) -> Writes:
    return Writes(
        workspace=label.workspace_id,
        subject=label.id,
        at=at,
        actor=seen.actor,
        roles_rev=seen.roles_rev,
        labels_rev=seen.labels_rev,
    )
