"""Where series end: with the calendar, and nowhere before what their rules say."""

from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from domain.ids import SeriesId, TaskId, WorkspaceId
from domain.recurrence.policies import Anchor, Choices, policies_for
from domain.recurrence_draft import first_slot
from domain.series import Recurrence, Series, Template
from domain.spawning import step
from domain.tasks import Priority
from tests.recurrences import local_start, rule_of

TEMPLATE = Template(
    title="Water",
    description="",
    priority=Priority.MEDIUM,
    category_id=None,
    tag_ids=frozenset(),
    assignee_id=None,
    parent_id=None,
)


def series(rule: str, start: str, anchor: Anchor, zone: str = "UTC") -> Series:
    read = rule_of(rule)
    recurrence = Recurrence(
        rule=read,
        start=local_start(start),
        zone=ZoneInfo(zone),
        policies=policies_for(read, Choices(anchor=anchor)),
    )
    first = first_slot(recurrence)
    return Series(
        id=SeriesId(UUID(int=1)),
        workspace_id=WorkspaceId(UUID(int=1)),
        recurrence=recurrence,
        template=TEMPLATE,
        current=TaskId(UUID(int=2)),
        done_until=first.instant,
        next_at=first.instant,
    )


@pytest.mark.parametrize("anchor", Anchor)
@pytest.mark.parametrize("start", ["2027-12-31", "2027-12-31T09:00"])
def test_a_series_ends_before_the_day_that_has_no_end(anchor: Anchor, start: str) -> None:
    one = series("FREQ=YEARLY;INTERVAL=7972", start, anchor)

    found = step(one, datetime(2027, 12, 31, 12, tzinfo=UTC), current=None)

    assert (found.spawn, found.next_at, found.ends) == ((), None, True)
