"""One VTODO (RFC 5545, 3.6.2) in Carillon's terms."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import available_timezones

from icalendar import Todo
from icalendar.error import GloballyUniqueTZIDGuessed

from domain.tasks import Priority, Status
from domain.text import sort_key
from infra.vtodo_rule import LocalDue, Recurring, recurring

# Some files leave out the UID that RFC 5545 demands; the text itself then names the task.
NAMELESS = UUID("6f0c1c1e-5c55-5a9e-9b1a-0d9d4f1b7c11")
NO_TITLE = "(no title)"
REASON_MAX_CHARS = 200

# Whatever a parser may raise over a text that somebody else's program wrote; OSError for a TZID
# that is a folder of the zone data, such as America.
BROKEN = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, OSError)

_RECURRENCE = frozenset({"RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"})
# With a start these make a series; the others are of one occurrence, or of a calendar long gone.
_SERIES = frozenset({"RRULE", "RDATE", "EXDATE"})
_USED = frozenset(
    {"UID", "SUMMARY", "DESCRIPTION", "DUE", "PRIORITY", "STATUS", "CATEGORIES", "RELATED-TO"}
)
_USED_PARAMETERS = frozenset({"TZID", "VALUE", "RELTYPE"})
_STATUS = {
    "NEEDS-ACTION": Status.OPEN,
    "IN-PROCESS": Status.IN_PROGRESS,
    "COMPLETED": Status.DONE,
    "CANCELLED": Status.CANCELLED,
}
_CLOSED = frozenset({Status.DONE, Status.CANCELLED})
# By RFC 5545, 3.8.1.9: 1 to 4 are high, 5 is medium, 6 to 9 are low; 0 is none, which we lack.
_PRIORITY = (
    Priority.MEDIUM,
    Priority.URGENT,
    *[Priority.HIGH] * 3,
    Priority.MEDIUM,
    *[Priority.LOW] * 4,
)


@dataclass(slots=True, kw_only=True)
class Block:
    """A component as text: its own unfolded lines, and the kinds of those inside it."""

    kind: str
    lines: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    depth: int = 1

    def take(self, line: str, word: str, kind: str) -> None:
        """Takes the next line; `depth` is 0 once the component has its END."""
        self.whole.append(line)
        if word == "BEGIN":
            self.inside.append(kind)
            self.depth += 1
        elif word == "END":
            self.depth -= 1
        elif self.depth == 1 and line:
            self.lines.append(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One task of a file.

    `name` is unique in its file and the same whenever it is read. `kept` names the parts that
    stand as text at the end of the description, `lost` those that find no place or are missing;
    `problems` says what could not be read.
    """

    name: str
    uid: str
    title: str
    description: str
    status: Status
    priority: Priority
    due: LocalDue | None
    tags: tuple[str, ...]
    parents: tuple[str, ...]
    children: tuple[str, ...]
    recurrence: Recurring | None
    kept: tuple[str, ...]
    lost: tuple[str, ...]
    problems: tuple[str, ...]


def name_of(line: str) -> str:
    """Returns the name of the property in a content line."""
    return line.partition(":")[0].partition(";")[0].strip().upper()


def item(block: Block) -> Item:
    """Returns the task that a VTODO describes; what cannot be read of it is among its problems."""
    with warnings.catch_warnings():
        # The guess, Europe/Berlin for /freeassociation.sourceforge.net/Europe/Berlin, is wanted.
        warnings.simplefilter("ignore", GloballyUniqueTZIDGuessed)
        return _Reading(block).item()


class _Reading:
    """One pass over a component, which notes what it cannot use."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._kept: list[str] = []
        self._lost: list[str] = list(block.inside)
        self._problems: list[str] = []
        self._todo = self._parsed(block.lines)

    def item(self) -> Item:
        uid = str(self._first("UID") or "").strip()
        if not uid:
            self._lost.append("UID (missing)")
        repetition = next((x for x in self._block.lines if name_of(x) == "RECURRENCE-ID"), "")
        due = self._due()
        status = self._status()
        recurrence = None if status in _CLOSED else self._recurrence(due)
        parents, children = self._relations()
        return Item(
            name=(uid or str(uuid5(NAMELESS, "\n".join(self._block.whole)))) + repetition,
            uid=uid,
            title=self._title(),
            description=self._description(recurrence),
            status=status,
            priority=self._priority(),
            due=due,
            tags=self._tags(),
            parents=parents,
            children=children,
            recurrence=recurrence,
            kept=tuple(self._kept),
            lost=(*self._lost, *self._unused(recurrence)),
            problems=tuple(self._problems),
        )

    def _parsed(self, lines: list[str]) -> Todo:
        try:
            return _todo(lines)
        except BROKEN:
            good = [line for line in lines if self._is_readable(line)]
            return _todo(good)

    def _is_readable(self, line: str) -> bool:
        try:
            _todo([line])
        except BROKEN as error:
            reason = f"{name_of(line)} cannot be read: {error}"
            self._problems.append(reason[:REASON_MAX_CHARS])
            return False
        return True

    def _all(self, name: str) -> list[Any]:
        value = self._todo.get(name, [])
        return value if isinstance(value, list) else [value]

    def _first(self, name: str) -> Any:
        values = self._all(name)
        if len(values) > 1:
            self._problems.append(f"{name} stands there {len(values)} times: the first counts.")
        return values[0] if values else None

    def _title(self) -> str:
        summary = " ".join(str(self._first("SUMMARY") or "").split())
        if not summary:
            self._lost.append("SUMMARY (missing)")
        return summary or NO_TITLE

    def _recurrence(self, due: LocalDue | None) -> Recurring | None:
        """Returns the series that the task is of, None where it does not recur or cannot here."""
        lines = [line for line in self._block.lines if name_of(line) in _RECURRENCE]
        names = {name_of(line) for line in lines}
        start = due or self._start()
        if "RRULE" not in names or not names <= _SERIES or start is None:
            return None
        found = recurring(lines, start, due)
        if isinstance(found, Recurring):
            return found
        self._problems.append(f"RRULE is kept as text: {found}"[:REASON_MAX_CHARS])
        return None

    def _start(self) -> LocalDue | None:
        try:
            start = self._first("DTSTART")
            return None if start is None else self._local(start.dt, start.params.get("TZID"))
        except BROKEN as error:
            self._problems.append(f"The start cannot be read: {error}"[:REASON_MAX_CHARS])
            return None

    def _description(self, recurrence: Recurring | None) -> str:
        """Returns the text; a recurrence that is no series stands as it was written at its end.

        A start means nothing to a task, but anchors its rule.
        """
        written = str(self._first("DESCRIPTION") or "").strip()
        lines = [line for line in self._block.lines if name_of(line) in _RECURRENCE]
        if not lines or recurrence is not None:
            return written
        anchor = [line for line in self._block.lines if name_of(line) == "DTSTART"]
        self._kept.extend(dict.fromkeys(name_of(line) for line in anchor + lines))
        fenced = "\n".join(["```ics", *anchor, *lines, "```"])
        return f"{written}\n\n{fenced}" if written else fenced

    def _status(self) -> Status:
        written = self._first("STATUS")
        if written is None:
            return Status.DONE if "COMPLETED" in self._todo else Status.OPEN
        status = _STATUS.get(str(written).strip().upper())
        if status is None:
            self._problems.append(f"STATUS {written!s:.40} is unknown: it is taken as open.")
        return status or Status.OPEN

    def _priority(self) -> Priority:
        written = self._first("PRIORITY")
        if written is None:
            return Priority.MEDIUM
        if not 0 <= int(written) < len(_PRIORITY):
            self._problems.append(f"PRIORITY {int(written)} is not 0 to 9: it is taken as medium.")
            return Priority.MEDIUM
        return _PRIORITY[int(written)]

    def _tags(self) -> tuple[str, ...]:
        names = (
            " ".join(str(name).split()) for value in self._all("CATEGORIES") for name in value.cats
        )
        return tuple({sort_key(name): name for name in names if name}.values())

    def _relations(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        parents: list[str] = []
        children: list[str] = []
        for value in self._all("RELATED-TO"):
            kind = str(value.params.get("RELTYPE", "PARENT")).upper()
            if kind == "PARENT":
                parents.append(str(value).strip())
            elif kind == "CHILD":
                children.append(str(value).strip())
            else:
                self._lost.append(f"RELATED-TO;RELTYPE={kind}")
        return tuple(parents), tuple(children)

    def _due(self) -> LocalDue | None:
        try:
            due = self._first("DUE")
            if due is not None:
                return self._local(due.dt, due.params.get("TZID"))
            start, duration = self._first("DTSTART"), self._first("DURATION")
            if start is None or duration is None:
                return None
            return self._local(_end(start.dt, duration.dt), start.params.get("TZID"))
        except BROKEN as error:
            self._problems.append(f"The due date cannot be read: {error}"[:REASON_MAX_CHARS])
            return None

    def _local(self, moment: date, zone: str | None) -> LocalDue:
        if not isinstance(moment, datetime):
            return LocalDue(day=moment, at=None, zone=None)
        if moment.tzinfo is None:
            if zone is not None:
                self._problems.append(f"TZID {zone:.80} is unknown: its times are taken as yours.")
            return LocalDue(day=moment.date(), at=moment.time(), zone=None)
        known = getattr(moment.tzinfo, "key", None)
        if known not in _zones():
            self._problems.append(f"TZID {zone!s:.80} is no IANA zone: its times are kept in UTC.")
            moment, known = moment.astimezone(UTC), "UTC"
        return LocalDue(day=moment.date(), at=moment.time(), zone=known)

    def _unused(self, recurrence: Recurring | None) -> Iterator[str]:
        used = _USED | _RECURRENCE | set(self._kept)
        if recurrence is not None and "DUE" not in self._todo:
            used |= {"DTSTART"}
        if "DUE" not in self._todo and "DURATION" in self._todo and "DTSTART" in self._todo:
            used |= {"DTSTART", "DURATION"}
        for name in self._todo:
            if name not in used:
                yield name
                continue
            for value in self._all(name):
                parameters = getattr(value, "params", {})
                yield from (f"{name};{key}" for key in parameters if key not in _USED_PARAMETERS)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _todo(lines: list[str]) -> Todo:
    parsed = Todo.from_ical("\r\n".join(["BEGIN:VTODO", *lines, "END:VTODO", ""]))
    if not isinstance(parsed, Todo):
        raise TypeError("no VTODO")
    return parsed


def _end(start: date, length: timedelta) -> date:
    """Returns the start moved on: days on the calendar, the rest on the clock (RFC 5545, 3.3.6)."""
    if not isinstance(start, datetime) and not length.seconds:
        return start + length
    moment = start if isinstance(start, datetime) else datetime.combine(start, time())
    day = moment + timedelta(days=length.days)
    rest = timedelta(seconds=length.seconds)
    if day.tzinfo is None:
        return day + rest
    return (day.astimezone(UTC) + rest).astimezone(day.tzinfo)
