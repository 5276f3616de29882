"""Where series end: with the calendar, and nowhere before what their rules say."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from domain.errors import Refused
from domain.ids import SeriesId, TaskId, WorkspaceId
from domain.recurrence.policies import Anchor, Choices, policies_for
from domain.recurrence.rule import RRule, Rule
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


def test_a_rare_rule_goes_on() -> None:
    one = series(
        "FREQ=MINUTELY;INTERVAL=2399;BYHOUR=9;BYMINUTE=0",
        "2027-01-01T09:00",
        Anchor.SCHEDULE,
        "Europe/Paris",
    )
    came = list[str]()

    while len(came) < 6 and one.next_at is not None:
        found = step(one, one.next_at, current=None)
        came += [slot.text for slot in found.spawn]
        one = replace(one, done_until=found.done_until, next_at=found.next_at)

    assert came[:3] == ["2027-04-11T09:00", "2040-02-20T09:00", "2040-05-30T09:00"]
    assert len(came) == 6


def test_a_count_that_cannot_be_told_is_no_end() -> None:
    one = series("FREQ=HOURLY;BYHOUR=9,10,11,12;COUNT=10000", "2027-01-01T09:00", Anchor.SCHEDULE)
    pattern = one.recurrence.rule.pattern
    assert isinstance(pattern, RRule)
    # As kept before such counts were refused.
    more = replace(one.recurrence, rule=Rule(pattern=replace(pattern, count=20_000)))
    late = datetime(2034, 1, 1, tzinfo=UTC)

    with pytest.raises(Refused, match="COUNT"):
        step(replace(one, recurrence=more, done_until=late), late, current=None)
