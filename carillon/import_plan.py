"""What an import sends: the tasks of a calendar, parents first, with ids that repeat."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from domain.text import sort_key
from infra.ical import Calendar
from infra.vtodo import Item
from infra.vtodo_rule import LocalDue, Recurring

# Readable on light and dark ground; the name picks one, so that it is the same on every machine.
COLOURS = (
    *("#b3261e", "#c2571a", "#9a6700", "#4d7c0f", "#15803d", "#0f766e"),
    *("#0e7490", "#1d4ed8", "#4f46e5", "#7e22ce", "#a21caf", "#be185d"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A task to create; `parent` may be in the file, or there from an earlier import."""

    id: UUID
    item: Item
    parent: UUID | None


def task_id(workspace: UUID, name: str) -> UUID:
    """Returns the id that an item gets in a workspace, whenever it is imported."""
    return uuid5(workspace, f"ical:task:{name}")


def tag_input(workspace: UUID, name: str) -> dict[str, object]:
    """Returns the input that creates a tag."""
    key = sort_key(name)
    tag = uuid5(workspace, f"ical:tag:{key}")
    colour = COLOURS[hashlib.sha256(key.encode()).digest()[0] % len(COLOURS)]
    return {"id": str(tag), "name": name, "colour": colour, "clientMutationId": f"import:{tag}"}


def task_input(draft: Draft, tags: Iterable[str]) -> dict[str, object]:
    """Returns the input that creates a task; its key makes a repeat no second task."""
    item = draft.item
    given: dict[str, object] = {
        "id": str(draft.id),
        "title": item.title,
        "description": item.description,
        "status": item.status.name,
        "priority": item.priority.name,
        "tagIds": list(tags),
        "clientMutationId": f"import:{draft.id}",
    }
    if item.due is not None:
        given["due"] = _due(item.due)
    if item.recurrence is not None:
        given["recurrence"] = _recurrence(item.recurrence)
    if draft.parent is not None:
        given["parentId"] = str(draft.parent)
    return given


def drafts(calendar: Calendar, workspace: UUID) -> list[Draft]:
    """Returns the calendar's tasks, parents before children and otherwise in their order.

    Tasks that are their own ancestors get no parent, and say so.
    """
    items = {item.name: item for item in calendar.items}
    parents = _parents(calendar.items)
    names, circular = _parents_first({name: parents.get(name) for name in items})
    return [
        Draft(
            id=task_id(workspace, name),
            item=_told(items[name], name in circular),
            parent=None
            if name in circular or parents.get(name) is None
            else task_id(workspace, parents[name]),
        )
        for name in names
    ]


def _told(item: Item, is_circular: bool) -> Item:
    if len(item.parents) > 1:
        item = replace(item, lost=(*item.lost, "RELATED-TO (a second parent)"))
    if is_circular:
        message = "RELATED-TO makes it its own ancestor: it is imported without a parent."
        item = replace(item, problems=(*item.problems, message))
    return item


def _parents(items: Sequence[Item]) -> dict[str, str]:
    """Returns each item's parent by name; what an item says of itself goes before what others do.

    A UID stands for the recurring task, not for the exceptions to it, which have names of their
    own; those that it is the parent of hang below it.
    """
    parents = {item.name: item.parents[0] for item in items if item.parents}
    by_uid: dict[str, list[str]] = {}
    for item in items:
        by_uid.setdefault(item.uid, []).append(item.name)
    for item in items:
        for child in item.children:
            for name in by_uid.get(child, ()):
                parents.setdefault(name, item.name)
    return parents


def _parents_first(parents: Mapping[str, str | None]) -> tuple[list[str], set[str]]:
    """Returns the names, parents first, and those that are their own ancestors."""
    done: dict[str, None] = {}
    circular: set[str] = set()
    for name in parents:
        chain: dict[str, None] = {}
        at: str | None = name
        while at is not None and at in parents and at not in done and at not in chain:
            chain[at] = None
            at = parents[at]
        if at is not None and at in chain:
            above = list(chain)
            circular.update(above[above.index(at) :])
        done.update(dict.fromkeys(reversed(chain)))
    return list(done), circular


def _recurrence(recurrence: Recurring) -> dict[str, object]:
    start = _due(recurrence.start)
    zone = start.pop("timeZone", None)
    given: dict[str, object] = {"rule": recurrence.rule, "start": start}
    return given if zone is None else {**given, "timeZone": zone}


def _due(due: LocalDue) -> dict[str, str]:
    given = {"date": due.day.isoformat()}
    if due.at is not None:
        given["time"] = due.at.isoformat("seconds" if due.at.second else "minutes")
    if due.zone is not None:
        given["timeZone"] = due.zone
    return given
