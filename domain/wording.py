"""The words of notifications, in plain text; channels give them their form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from domain.channels import Content, Entry, Section
from domain.due import Due
from domain.ids import TaskId
from domain.tasks import Task, clock_text

# A subject that shows in a list; the whole title stands in the text.
TITLE_MAX_CHARS = 120
# Of a digest or a summary; the rest is counted.
ENTRIES_MAX = 50

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whom the words are for: their zone, and how a task's page is found, if it can be."""

    zone: ZoneInfo
    link: Callable[[TaskId], str | None]


def reminder(task: Task, to: Reader, *, meant_for: datetime, nag: int = 0) -> Content:
    """Returns what a reminder says; `nag` tells how often it has rung before."""
    times = "once" if nag == 1 else f"{nag} times"
    again = (f"You have been reminded {times} before.",) if nag else ()
    return _about("Reminder", task, (*_due_lines(task, to, meant_for), *again), to)


def assignment(task: Task, by: str, to: Reader) -> Content:
    """Returns what tells a person that a task is theirs now."""
    lines = (f"Assigned by {by}.", *_due_lines(task, to, task.updated_at))
    return _about("Assigned to you", task, lines, to)


def overdue(task: Task, to: Reader) -> Content:
    """Returns what tells a person that a task has not been done in time."""
    return _about("Overdue", task, _was_due(task, to), to)


def verification(url: str | None) -> Content:
    """Returns what asks a person to show that a mailbox is theirs."""
    return Content(
        title="Is this your address?",
        lines=(
            "Somebody, hopefully you, gave this address to Carillon.",
            "Follow the link to get your notifications here. If it was not you, do nothing.",
        ),
        url=url,
    )


def test() -> Content:
    """Returns what a test says."""
    return Content(
        title="A test of Carillon's notifications", lines=("They reach you by this channel.",)
    )


def digest(due_today: Sequence[Task], late: Sequence[Task], day: date, to: Reader) -> Content:
    """Returns the digest of a day, in the reader's zone."""
    parts = [
        f"{len(tasks)} {what}"
        for tasks, what in ((due_today, "due today"), (late, "overdue"))
        if tasks
    ]
    summary = ", ".join(parts) or "nothing due today"
    sections = (_section("Due today", due_today, to), _section("Overdue", late, to))
    return Content(
        title=f"{day_text(day)}: {summary}",
        lines=() if parts else ("Nothing is due today, and nothing is overdue.",),
        sections=tuple(section for section in sections if section.entries),
    )


def summary(told: Sequence[Content]) -> Content:
    """Returns one content for several that are late, the newest first."""
    entries = tuple(
        Entry(title=one.title, detail=" ".join(one.lines), url=one.url)
        for one in told[:ENTRIES_MAX]
    )
    return Content(
        title=f"{len(told)} notifications that could not be sent in time",
        lines=("They were held up, and come together instead of one by one.",),
        sections=(Section(heading="Held up", entries=entries),),
    )


def late(content: Content, meant_for: datetime, zone: ZoneInfo) -> Content:
    """Returns the content with a word about its lateness, in the reader's time."""
    local = meant_for.astimezone(zone)
    at = f"{day_text(local.date())}, {local:%H:%M}"
    return replace(content, lines=(*content.lines, f"This comes late: it was meant for {at}."))


def due_text(task_due: Due, zone: ZoneInfo) -> str:
    """Returns a due as people say it; its zone only where it is not the reader's."""
    at = clock_text(task_due)
    clock = "" if at is None else f", {at}"
    where = "" if task_due.zone == zone.key else f" ({task_due.zone})"
    return f"{day_text(task_due.day)}{clock}{where}"


def day_text(day: date) -> str:
    """Returns such as `Sunday, 28 March 2027`, whatever the process's locale."""
    return f"{_DAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"


def _about(what: str, task: Task, lines: tuple[str, ...], to: Reader) -> Content:
    shown = shortened(task.title)
    whole = () if shown == task.title else (task.title,)
    return Content(title=f"{what}: {shown}", lines=(*whole, *lines), url=to.link(task.id))


def shortened(title: str) -> str:
    """Returns the title, cut where it is too long for a subject."""
    if len(title) <= TITLE_MAX_CHARS:
        return title
    return title[: TITLE_MAX_CHARS - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _due_lines(task: Task, to: Reader, at: datetime) -> tuple[str, ...]:
    if task.due is None:
        return ()
    if task.due.instant <= at:
        return _was_due(task, to)
    return (f"Due {due_text(task.due, to.zone)}.",)


def _was_due(task: Task, to: Reader) -> tuple[str, ...]:
    return () if task.due is None else (f"It was due {due_text(task.due, to.zone)}.",)


def _section(heading: str, tasks: Sequence[Task], to: Reader) -> Section:
    entries = [
        Entry(
            title=task.title,
            detail="" if task.due is None else due_text(task.due, to.zone),
            url=to.link(task.id),
        )
        for task in tasks[:ENTRIES_MAX]
    ]
    more = len(tasks) - len(entries)
    if more:
        entries.append(Entry(title=f"and {more} more", detail="", url=None))
    return Section(heading=heading, entries=tuple(entries))
