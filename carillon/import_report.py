"""What an import did, and what of the file found no place: nothing is lost in silence."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from infra.ical import Calendar

# What a screen shows of a list; the report file has all of it.
SHOWN = 5


@dataclass(slots=True)
class Report:
    """Filled while a file is imported; the lists hold UIDs."""

    file: str
    workspace: str
    created: int = 0
    there: int = 0
    trashed: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    changed: list[tuple[str, str]] = field(default_factory=list)
    kept: dict[str, list[str]] = field(default_factory=dict)
    lost: dict[str, list[str]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)

    def take(self, calendar: Calendar) -> None:
        """Takes what is known from reading the file."""
        self.others += calendar.others
        self.left_out += [(problem.uid, problem.reason) for problem in calendar.problems]
        for item in calendar.items:
            for part in item.kept:
                self.kept.setdefault(part, []).append(item.uid)
            for part in item.lost:
                self.lost.setdefault(part, []).append(item.uid)

    def is_complete(self) -> bool:
        """Tells whether every task of the file is in the workspace, as the file says."""
        return not self.left_out and not self.changed

    def lines(self) -> Iterator[str]:
        """Yields what a person wants to know, long lists cut."""
        if self.created:
            yield f"{self.file}: {self.created} tasks created in {self.workspace}."
        else:
            yield f"{self.file}: nothing changed in {self.workspace}."
        if self.there:
            yield f"  There already, left as they are: {self.there}"
        if self.trashed:
            yield f"  In the trash, left there: {_some(self.trashed)}"
        yield from _reasons("Left out", self.left_out)
        yield from _reasons("Not as the file says", self.changed)
        yield from _parts("Kept as text in the description", self.kept)
        yield from _parts("No place for, or missing", self.lost)
        if self.others:
            yield "  No tasks: " + ", ".join(f"{k} {n}" for k, n in sorted(self.others.items()))


def write(path: Path, reports: Sequence[Report]) -> None:
    """Writes all of the reports as JSON."""
    content = [asdict(report) for report in reports]
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _reasons(title: str, reasons: list[tuple[str, str]]) -> Iterator[str]:
    if reasons:
        yield f"  {title}: {len(reasons)}"
        for uid, reason in reasons[:SHOWN]:
            yield f"    {uid or 'the file'}: {reason}"
        if len(reasons) > SHOWN:
            yield f"    and {len(reasons) - SHOWN} more"


def _parts(title: str, parts: dict[str, list[str]]) -> Iterator[str]:
    if parts:
        yield f"  {title}:"
        for part, uids in sorted(parts.items()):
            yield f"    {part} {len(uids)}: {_some(uids)}"


def _some(uids: list[str]) -> str:
    shown = ", ".join(uid or "(no UID)" for uid in uids[:SHOWN])
    return shown if len(uids) <= SHOWN else f"{shown} and {len(uids) - SHOWN} more"
