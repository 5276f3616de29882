"""Reads the tasks of an iCalendar file (RFC 5545), and tells what of it finds no place.

One bad line costs that line, one bad component that component: files come from many programs.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from icalendar import Timezone
from icalendar.timezone import tzp

from infra.vtodo import BROKEN, Block, Item, item, name_of

# Components that stand beside each other, so that the next one ends one whose END is missing.
_SIBLINGS = frozenset({"VTODO", "VEVENT", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VAVAILABILITY"})
# What describes the file and not its tasks.
_OF_THE_FILE = frozenset({"PRODID", "VERSION", "METHOD", "CALSCALE"})
_FOLD = re.compile(r"(?:\r?\n)+[ \t]")
_LINE_END = re.compile(r"\r?\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What could not be read; `uid` is empty where it concerns the whole file."""

    uid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The tasks of a file in its order, and how many there are of what is no task."""

    items: tuple[Item, ...]
    others: Counter[str]
    problems: tuple[Problem, ...]


def read(data: bytes) -> Calendar:
    """Returns what a file holds; of one that is no calendar, nothing but problems."""
    problems: list[Problem] = []
    blocks = list(_blocks(_decoded(data, problems)))
    if not any(block.kind for block in blocks):
        problems.append(Problem(uid="", reason="This is no iCalendar file: it has no component."))
    # Zones that an earlier file defined under the same names are not meant here.
    tzp.use_default()
    for block in blocks:
        if block.kind == "VTIMEZONE":
            _define_zone(block, problems)
    items: dict[str, Item] = {}
    others: Counter[str] = Counter()
    for block in blocks:
        if block.kind == "VTODO":
            _add(block, items, problems)
        elif block.kind:
            others[block.kind] += block.kind != "VTIMEZONE"
        else:
            others.update(name for name in map(name_of, block.lines) if name not in _OF_THE_FILE)
    return Calendar(items=tuple(items.values()), others=+others, problems=tuple(problems))


def _decoded(data: bytes, problems: list[Problem]) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"What is not UTF-8 shows as \ufffd, the first at byte {error.start}."
        problems.append(Problem(uid="", reason=reason))
        return data.decode("utf-8-sig", "replace")


def _blocks(text: str) -> Iterator[Block]:
    """Yields the components below VCALENDAR, and VCALENDAR's own lines as one without a kind."""
    calendar = Block(kind="")
    block: Block | None = None
    for line in _LINE_END.split(_FOLD.sub("", text)):
        word, _, kind = (part.strip().upper() for part in line.partition(":"))
        if block is not None and _ends_early(word, kind):
            yield block
            block = None
        if block is not None:
            block.take(line, word, kind)
            if block.depth == 0:
                yield block
                block = None
        elif word == "BEGIN" and kind != "VCALENDAR":
            block = Block(kind=kind, whole=[line])
        elif word not in ("", "BEGIN", "END"):
            calendar.lines.append(line)
    if block is not None:
        yield block
    yield calendar


def _ends_early(word: str, kind: str) -> bool:
    return (word, kind) == ("END", "VCALENDAR") or (word == "BEGIN" and kind in _SIBLINGS)


def _define_zone(block: Block, problems: list[Problem]) -> None:
    try:
        # A zone that was parsed is known to whatever is parsed after it.
        Timezone.from_ical("\r\n".join([*block.whole, ""]))
    except BROKEN as error:
        problems.append(Problem(uid="", reason=f"A VTIMEZONE cannot be read: {error}"))


def _add(block: Block, items: dict[str, Item], problems: list[Problem]) -> None:
    uid = next((line.partition(":")[2] for line in block.lines if name_of(line) == "UID"), "")
    if block.depth:
        problems.append(Problem(uid=uid, reason="It has no END and may be cut off: left out."))
        return
    try:
        found = item(block)
    except BROKEN as error:
        problems.append(Problem(uid=uid, reason=f"It cannot be read: {error}"))
        return
    if found.name in items:
        problems.append(Problem(uid=uid, reason="Another task before has this UID: left out."))
        return
    items[found.name] = found
