"""Answers made from states that are at hand: a mutation's outcome, a change of the log."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import orjson

from domain.changes import Change
from domain.messages import CaughtUp, Message
from domain.selection import Field, Missing, Selection
from domain.tasks import instant_text

State: TypeAlias = Mapping[str, Any]

# The fields of a change that show its subject; a workspace's changes have none.
SUBJECTS: Final = ("task", "category", "tag", "member", "series")


# What of a person's stream the feed shows.
NOTIFICATIONS: Final = "notification."


def render(
    selection: Selection,
    state: State,
    missing: list[Missing] | None = None,
    place: tuple[dict[str, Any], str] | None = None,
) -> dict[str, Any]:
    """Returns the selected fields by response key; what the state does not hold is null.

    Args:
        selection: what is wanted.
        state: what is at hand.
        missing: gets what of the state's objects would have to be read.
        place: where the answer will stand in another one.
    """
    answer: dict[str, Any] = {}
    unknown: list[Field] = []
    for field in selection.fields:
        attribute = field.attribute
        if attribute in state:
            value = state[attribute]
            if field.selection is not None and value is not None:
                value = _below(field.selection, value, missing, (answer, field.key))
            answer[field.key] = value
        elif attribute == "__typename":
            answer[field.key] = selection.kind
        else:
            answer[field.key] = None
            unknown.append(field)
    if unknown and missing is not None:
        missing.append(Missing(selection.kind, state["id"], tuple(unknown), answer, place))
    return answer


def _below(
    selection: Selection,
    value: Any,
    missing: list[Missing] | None,
    place: tuple[dict[str, Any], str],
) -> Any:
    if isinstance(value, list):
        return [render(selection, item, missing) for item in value]
    return render(selection, value, missing, place)


def message_state(message: Message) -> State:
    """Returns what a live message says, by attribute."""
    if isinstance(message, Change):
        return change_state(message)
    if isinstance(message, CaughtUp):
        return {"seq": str(message.seq)}
    reason = message.reason.name
    return {"seq": str(message.seq), "reason": reason, "head": str(message.head)}


def notification_of(change: Change) -> State:
    """Returns the entry of the feed that a change of a person's stream shows."""
    return {**orjson.loads(change.payload), "seq": str(change.seq)}


def change_state(change: Change) -> State:
    """Returns a change by attribute; its subject is in the field of its kind, the others null."""
    area = change.kind.partition(".")[0]
    state: dict[str, Any] = dict.fromkeys(SUBJECTS)
    if area in SUBJECTS:
        state[area] = orjson.loads(change.payload)
    person = {"id": str(change.actor), "name": change.actor_name} if change.actor else None
    return {
        **state,
        "id": str(change.id),
        "workspace_id": str(change.stream),
        "seq": str(change.seq),
        "kind": change.kind,
        "at": instant_text(change.at),
        "actor": person,
        "client_mutation_id": change.key,
        "subject_id": str(change.subject),
        "fields": list(change.fields),
    }
