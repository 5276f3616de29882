"""A thousand series over three years: every slot has its occurrence, once, in order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.ids import SeriesId, TaskId, WorkspaceId
from domain.recurrence.cron_text import parse_cron
from domain.recurrence.policies import CatchUp, Choices, policies_for
from domain.recurrence.rrule_text import parse_rrule
from domain.recurrence.rule import LocalStart
from domain.recurrence.slots import Slot
from domain.recurrence_draft import first_slot
from domain.series import Recurrence, Series, Template
from domain.spawning import step
from domain.tasks import Priority

BEGIN, END = datetime(2027, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
ZONES = ("Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC")
RULES = (
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=WEEKLY",
    "FREQ=WEEKLY;BYDAY=MO,TH",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU",
    "FREQ=MONTHLY",
    "FREQ=MONTHLY;BYMONTHDAY=-1",
    "FREQ=MONTHLY;BYDAY=-1FR",
    "FREQ=YEARLY",
)
CRONS = ("30 2 * * sun", "0 9 1,15 * *", "15 2 l * *")
TEMPLATE = Template(
    title="Water",
    description="",
    priority=Priority.MEDIUM,
    category_id=None,
    tag_ids=frozenset(),
    assignee_id=None,
    parent_id=None,
)


def _series(number: int, random: Random) -> Series:
    cron = random.random() < 0.2
    rule = parse_cron(random.choice(CRONS)) if cron else parse_rrule(random.choice(RULES))
    begins = BEGIN + timedelta(days=random.randint(0, 30), hours=random.randint(0, 23))
    recurrence = Recurrence(
        rule=rule,
        start=LocalStart(begins.date(), begins.time().replace(minute=30)),
        zone=ZoneInfo(random.choice(ZONES)),
        policies=policies_for(rule, Choices(catch_up=random.choice(list(CatchUp)))),
    )
    first = first_slot(recurrence)
    return Series(
        id=SeriesId(UUID(int=number)),
        workspace_id=WorkspaceId(UUID(int=1)),
        recurrence=recurrence,
        template=TEMPLATE,
        current=TaskId(UUID(int=number)),
        done_until=first.instant,
        next_at=first.instant,
    )


def test_a_thousand_series_over_three_years() -> None:
    random = Random(20270101)
    made = 0

    for number in range(1_000):
        series = _series(number, random)
        policy = series.recurrence.policies.catch_up
        spawned, passed = list[Slot](), list[Slot]()
        now = BEGIN
        while series.next_at is not None and now < END:
            # Mostly in time; now and then the clock stands back, or nothing runs for weeks.
            late = random.choice([*[timedelta()] * 6, timedelta(days=40)])
            now = min(END, max(now, series.next_at + late))
            found = step(series, now, current=None)
            spawned += found.spawn
            passed += found.missed
            series = replace(series, done_until=found.done_until, next_at=found.next_at)
            if late:
                back = step(series, now - timedelta(hours=1), current=None)
                assert (back.spawn, back.missed, back.next_at) == ((), (), series.next_at)
            if now >= END and (series.next_at is None or series.next_at > END):
                break

        first, *rest = takewhile(
            lambda slot, last=series.done_until: slot.instant <= last,  # type: ignore[misc]
            series.recurrence.schedule.after(None),
        )
        assert sorted([*spawned, *passed], key=lambda slot: slot.instant) == rest
        assert [*spawned] == sorted(spawned, key=lambda slot: slot.instant)
        assert policy is not CatchUp.ALL or passed == []
        assert first not in spawned
        made += len(spawned)

    assert made > 100_000
