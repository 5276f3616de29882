"""Series between rows and the domain: what a flush writes, and what a look found."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.ids import CategoryId, SeriesId, TagId, TaskId, UserId, WorkspaceId
from domain.ports import Followed, SeenParent, SeenSeries
from domain.recurrence.cron_text import parse_cron
from domain.recurrence.policies import Anchor, CatchUp, Gap, MonthEnd, Open, Overlap, Policies
from domain.recurrence.rrule_text import parse_rrule, text_of
from domain.recurrence.rule import Cron, LocalStart
from domain.series import LedgerSlot, Recurrence, Series, Template, clock_text
from domain.tasks import Priority, Task, instant_text

Row = Mapping[str, Any]

# Rules are read once for many turns: a few kB each, and 100 kB at the most.
_RECURRENCES_MAX = 1_024
# The columns that say when a series recurs.
_WHEN = (
    "rule",
    "cron",
    "start_day",
    "start_at",
    "zone",
    "gap",
    "overlap",
    "month_end",
    "anchor",
    "catch_up",
    "open",
)


def series_row(series: Series) -> dict[str, object]:
    """Returns what people said of a series."""
    when, own = series.recurrence, series.template
    is_cron, text = isinstance(when.rule.pattern, Cron), text_of(when.rule)
    policies = when.policies
    return {
        "id": series.id,
        "rule": None if is_cron else text,
        "cron": text if is_cron else None,
        "start_day": when.start.day.isoformat(),
        "start_at": clock_text(when.start.at),
        "zone": when.zone.key,
        "gap": policies.gap.name,
        "overlap": policies.overlap.name,
        "month_end": policies.month_end.name,
        "anchor": policies.anchor.name,
        "catch_up": policies.catch_up.name,
        "open": policies.open.name,
        "summary": when.summary,
        "title": own.title,
        "description": own.description,
        "priority": own.priority.value,
        "category_id": own.category_id,
        "tag_ids": sorted(own.tag_ids),
        "assignee_id": own.assignee_id,
        "parent_id": own.parent_id,
    }


def moved_row(series: Series) -> dict[str, object]:
    """Returns where a series stands."""
    return {
        "id": series.id,
        "current": series.current,
        "done_until": instant_text(series.done_until),
        "next_at": instant_text(series.next_at),
        "made": series.made,
        "skipped": sorted(series.skipped),
        "is_paused": series.is_paused,
        "ended_at": instant_text(series.ended_at),
        "version": series.version,
        "rev": series.rev,
    }


def ledger_row(slot: LedgerSlot) -> dict[str, object]:
    """Returns a slot of the ledger."""
    return {
        "series_id": slot.series_id,
        "slot": slot.slot,
        "origin": slot.origin,
        "instant": instant_text(slot.instant),
        "state": slot.state.value,
        "task_id": slot.task_id,
    }


def seen_series(row: Row, task_of: Callable[[Row], Task]) -> dict[SeriesId, SeenSeries]:
    """Returns what a look found of series, by their ids."""
    roots = {task.id: task for task in map(task_of, row.get("series_roots") or ())}
    below = defaultdict[UUID, list[Task]](list)
    for one in row.get("series_below") or ():
        below[UUID(one["root"])].append(task_of(one["task"]))
    followed = row.get("series_followed") or {}
    parents = row.get("series_parents") or {}
    cancelled = row.get("series_cancelled") or {}
    untouched = frozenset(TaskId(UUID(one)) for one in row.get("series_untouched") or ())
    later = row.get("series_later") or {}
    others = [task_of(one) for one in row.get("series_open") or ()]
    found = {}
    for one in row.get("series") or ():
        series = _series(one)
        after = followed.get(one["id"])
        found[series.id] = SeenSeries(
            series=series,
            current=roots.get(series.current),
            below={task: tuple(below[task]) for task in roots},
            followed=_followed(*after) if after else None,
            open=tuple(task for task in others if task.series_id == series.id),
            withdrawn={
                (slot["slot"], UUID(slot["origin"])): _with_below(slot["task_id"], roots, below)
                for slot in row.get("series_withdrawn") or ()
                if slot["series_id"] == one["id"]
            },
            parent=SeenParent(**parents[one["parent_id"]]) if one["parent_id"] in parents else None,
            cancelled_at=_sure(cancelled[one["id"]]) if cancelled.get(one["id"]) else None,
            untouched=untouched,
            later=frozenset(TaskId(UUID(task)) for task in later.get("ids") or () if task),
            since=_sure(later["since"]) if later.get("since") else None,
        )
    return found


def _followed(task: str, instant: str, origin: str) -> Followed:
    return Followed(task=TaskId(UUID(task)), instant=_sure(instant), origin=UUID(origin))


def _with_below(
    task: str, roots: Mapping[TaskId, Task], below: Mapping[UUID, list[Task]]
) -> tuple[Task, ...]:
    ident = TaskId(UUID(task))
    return (roots[ident], *below[ident]) if ident in roots else ()


def _series(row: Row) -> Series:
    return Series(
        id=SeriesId(UUID(row["id"])),
        workspace_id=WorkspaceId(UUID(row["workspace_id"])),
        recurrence=recurrence_of(*(row[name] for name in _WHEN)),
        template=Template(
            title=row["title"],
            description=row["description"],
            priority=Priority(row["priority"]),
            category_id=CategoryId(UUID(row["category_id"])) if row["category_id"] else None,
            tag_ids=frozenset(TagId(UUID(tag)) for tag in row["tag_ids"]),
            assignee_id=UserId(UUID(row["assignee_id"])) if row["assignee_id"] else None,
            parent_id=TaskId(UUID(row["parent_id"])) if row["parent_id"] else None,
        ),
        current=TaskId(UUID(row["current"])),
        done_until=_sure(row["done_until"]),
        next_at=_sure(row["next_at"]) if row["next_at"] else None,
        made=row["made"],
        skipped=frozenset(row["skipped"]),
        is_paused=row["is_paused"],
        ended_at=_sure(row["ended_at"]) if row["ended_at"] else None,
        version=row["version"],
        rev=row["rev"],
    )


@lru_cache(maxsize=_RECURRENCES_MAX)
def recurrence_of(  # noqa: PLR0913, PLR0917 - one a column
    rule: str | None,
    cron: str | None,
    start_day: str,
    start_at: str | None,
    zone: str,
    gap: str,
    overlap: str,
    month_end: str,
    anchor: str,
    catch_up: str,
    open: str,
) -> Recurrence:
    """Returns the recurrence that these columns describe."""
    return Recurrence(
        rule=parse_rrule(rule) if rule is not None else parse_cron(cron or ""),
        start=LocalStart(
            date.fromisoformat(start_day),
            None if start_at is None else time.fromisoformat(start_at),
        ),
        zone=ZoneInfo(zone),
        policies=Policies(
            gap=Gap[gap],
            overlap=Overlap[overlap],
            month_end=MonthEnd[month_end],
            anchor=Anchor[anchor],
            catch_up=CatchUp[catch_up],
            open=Open[open],
        ),
    )


def _sure(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
