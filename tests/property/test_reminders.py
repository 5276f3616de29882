"""Whatever happens to a task and its reminders, each thing rings at most once, and it all ends."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.channels import ChannelName
from domain.deliveries import (
    LIVE,
    Delivery,
    State,
    begun,
    claimed,
    lineage,
    sent,
    snoozed,
)
from domain.due import Due, due
from domain.errors import Refused
from domain.ids import DeliveryId, ReminderId, UserId
from domain.reminders import (
    At,
    Before,
    Nag,
    OnDay,
    Reminder,
    Wanted,
    When,
    deliveries_of,
    next_nag,
    reconcile,
    rings_at,
)
from domain.tasks import Status, Task
from tests.task_rows import task

ADA, BOB = UserId(UUID(int=1)), UserId(UUID(int=2))
ZONES = [
    ZoneInfo(name)
    for name in (
        "Australia/Lord_Howe",
        "Europe/Paris",
        "America/New_York",
        "Pacific/Apia",
        "America/Santiago",
    )
]
# Around each zone's clock changes of that year, and Apia's lost day.
STARTS = [
    datetime(2026, 3, 28, tzinfo=UTC),
    datetime(2026, 10, 3, tzinfo=UTC),
    datetime(2011, 12, 29, tzinfo=UTC),
]
# One for everything in a history, so that its parts meet, also by the minute.
starts = st.shared(st.sampled_from(STARTS), key="start")
minutes = st.integers(0, 4 * 24 * 60).map(lambda count: timedelta(minutes=count))
tens = st.integers(1, 18).map(lambda count: timedelta(minutes=10 * count))
nags = st.none() | st.builds(Nag, every=tens, times=st.integers(1, 5))


def wishes(spans: st.SearchStrategy[timedelta]) -> st.SearchStrategy[When]:
    clock = st.times().map(lambda at: at.replace(second=0, microsecond=0))
    return st.one_of(
        st.builds(Before, days=st.sampled_from([0, 0, 1]), span=st.just(timedelta()) | spans),
        st.builds(OnDay, at=clock, days_before=st.integers(0, 2)),
        st.builds(At, instant=st.builds(lambda start, span: start + span, starts, spans)),
    )


def reminders_of(
    number: int, spans: st.SearchStrategy[timedelta] = minutes
) -> st.SearchStrategy[Reminder]:
    return st.builds(
        Reminder,
        id=st.just(ReminderId(UUID(int=number))),
        task_id=st.just(task(1).id),
        user_id=st.sampled_from([ADA, BOB]),
        wanted=st.builds(
            Wanted,
            when=wishes(spans),
            channels=st.sets(st.sampled_from(ChannelName), min_size=1).map(frozenset),
            nag=nags,
        ),
        created_at=st.just(STARTS[0]),
        is_default=st.booleans(),
    )


@st.composite
def dues(draw: st.DrawFn, spans: st.SearchStrategy[timedelta] = minutes) -> Due:
    zone = draw(st.sampled_from(ZONES))
    local = (draw(starts) + draw(spans)).astimezone(zone)
    at = draw(st.sampled_from([None, local.time().replace(microsecond=0)]))
    return due(local.date(), at, zone, fold=draw(st.booleans()))


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    return task(1, due=draw(dues()), assignee_id=draw(st.sampled_from([None, ADA, BOB])))


@dataclass
class Ledger:
    """The rows in memory, written as the database will: by id, the reminders' own by the rules."""

    at: datetime
    rows: dict[DeliveryId, Delivery] = field(default_factory=dict)
    rang: list[tuple[DeliveryId, datetime]] = field(default_factory=list)

    def put(self, *rows: Delivery) -> None:
        self.rows |= {row.id: row for row in rows}

    def follow(self, of: list[Reminder], task: Task, members: set[UserId], at: datetime) -> None:
        desired = deliveries_of(of, task, members)
        done = reconcile(self.rows.values(), desired, at)
        self.put(*done.new, *done.cancelled, *done.revived)
        again = reconcile(self.rows.values(), desired, at)
        assert (again.new, again.cancelled, again.revived) == ((), (), ())
        for row in desired:
            if row.due_at > at:
                kept = self.rows[row.id]
                assert lineage(kept) == lineage(row)
                assert kept.state in (State.PENDING, State.SNOOZED)

    def ring(self, of: list[Reminder], until: datetime) -> None:
        """Rings what is due, as workers do, in order."""
        nag_of = {reminder.id: reminder.wanted.nag for reminder in of}
        while waiting := [
            row for row in self.rows.values() if row.state in LIVE and row.fire_at <= until
        ]:
            row = min(waiting, key=lambda row: (row.fire_at, row.id))
            at = row.fire_at
            # What was made or came back after its instant would ring in the past.
            assert at > self.at or at == until == self.at
            ended = sent(begun(claimed(row), at))
            self.put(ended)
            self.rang.append((row.id, at))
            following = next_nag(ended, nag_of.get(ReminderId(row.source)), at)
            if following is not None:
                self.put(following)
        self.at = until

    def snooze(self, until: datetime) -> None:
        """Snoozes what comes next, or came last, in all its lineage."""
        if not self.rows:
            return
        chosen = lineage(max(self.rows.values(), key=lambda row: (row.state in LIVE, row.due_at)))
        family = [row for row in self.rows.values() if lineage(row) == chosen]
        try:
            self.put(*snoozed(family, until, self.at))
        except Refused:
            assert not any(row.due_at < until for row in family if row.state in LIVE)

    def check(self) -> None:
        live = [lineage(row) for row in self.rows.values() if row.state in LIVE]
        assert len(live) == len(set(live))
        assert len(self.rang) == len({key for key, _ in self.rang})
        assert all(at == self.rows[key].due_at for key, at in self.rang)


@dataclass
class World:
    """What there is at one moment of a history."""

    task: Task
    of: list[Reminder]
    members: set[UserId]
    snooze: timedelta | None = None


near = st.integers(0, 36).map(lambda count: timedelta(minutes=10 * count))


@st.composite
def worlds(draw: st.DrawFn) -> list[tuple[World, timedelta]]:
    """Small changes of one task and a few reminders, each with the time until the next."""
    some_dues = draw(st.lists(dues(near), min_size=1, max_size=2))
    some = [draw(reminders_of(10, near)), draw(reminders_of(11, near))]
    world = World(task(1, due=some_dues[0], assignee_id=ADA), some, {ADA, BOB})
    history = []
    for _ in range(draw(st.integers(2, 10))):
        history.append((world, draw(st.just(timedelta()) | tens)))
        shown, of, members, snooze = world.task, world.of, world.members, None
        match draw(
            st.sampled_from(["status", "due", "assignee", "less", "all", "leave", *3 * ["snooze"]])
        ):
            case "status":
                shown = replace(shown, status=draw(st.sampled_from([Status.OPEN, Status.DONE])))
            case "due":
                shown = replace(shown, due=draw(st.sampled_from([*some_dues, None])))
            case "assignee":
                shown = replace(shown, assignee_id=draw(st.sampled_from([None, ADA, BOB])))
            case "less":
                of = some[:1]
            case "all":
                of = some
            case "leave":
                members = draw(st.sampled_from([{ADA}, {ADA, BOB}]))
            case _:
                snooze = draw(tens)
        world = World(shown, of, members, snooze)
    return history


@settings(max_examples=400, deadline=None)
@given(history=worlds(), start=starts)
def test_whatever_happens_each_row_rings_once_at_its_instant_and_each_lineage_has_one_to_come(
    history: list[tuple[World, timedelta]], start: datetime
) -> None:
    ledger, at = Ledger(at=start), start
    for world, span in history:
        ledger.follow(world.of, world.task, world.members, at)
        if world.snooze is not None:
            ledger.snooze(at + world.snooze)
        ledger.check()
        at += span
        ledger.ring(world.of, at)
        ledger.check()
    # The end: nobody does anything any more, and it all has an end.
    ledger.ring(history[-1][0].of, start + timedelta(days=800))
    ledger.check()
    assert not any(row.state in LIVE for row in ledger.rows.values())


@settings(max_examples=300, deadline=None)
@given(of=reminders_of(10), task=tasks())
def test_what_is_done_leaves_nothing_to_ring(of: Reminder, task: Task) -> None:
    ledger, at = Ledger(at=STARTS[2]), STARTS[2]
    ledger.follow([of], task, {ADA, BOB}, at)

    ledger.follow([of], replace(task, status=Status.DONE), {ADA, BOB}, at)

    assert not any(row.state in LIVE for row in ledger.rows.values())
    ledger.follow([of], task, {ADA, BOB}, at)
    first = deliveries_of([of], task, {ADA, BOB})
    assert {row.id for row in ledger.rows.values() if row.state in LIVE} == {
        row.id for row in first if row.due_at > at
    }


@settings(max_examples=300, deadline=None)
@given(of=reminders_of(10), task=tasks(), nag=nags)
def test_a_nag_sequence_keeps_its_distance_and_ends(
    of: Reminder, task: Task, nag: Nag | None
) -> None:
    wanted = replace(of.wanted, nag=nag, channels=frozenset({ChannelName.PUSH}))
    long_ago = STARTS[2] - timedelta(days=5)
    ledger, reminder = Ledger(at=long_ago), replace(of, wanted=wanted)
    ledger.follow([reminder], task, {ADA, BOB}, long_ago)

    ledger.ring([reminder], STARTS[1] + timedelta(days=900))

    instants = [at for _, at in ledger.rang]
    if instants:
        assert len(instants) == 1 + (0 if nag is None else nag.times)
    for earlier, later in pairwise(instants):
        assert nag is not None
        assert later - earlier == nag.every


@settings(max_examples=500, deadline=None)
@given(zone=st.sampled_from(ZONES), start=starts, span=minutes, days=st.integers(0, 3))
def test_days_before_a_due_show_the_same_time_unless_clocks_skip_it(
    zone: ZoneInfo, start: datetime, span: timedelta, days: int
) -> None:
    local = (start + span).astimezone(zone)
    task_due = due(local.date(), local.time(), zone, fold=bool(local.fold))

    at = rings_at(Before(days=days), task_due)

    assert at is not None
    assert at <= task_due.instant or days == 0
    shown = at.astimezone(zone)
    expected = datetime.combine(local.date() - timedelta(days=days), local.time())
    back = expected.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    exists = back == expected
    assert (shown.replace(tzinfo=None) == expected) is exists
    if not exists:
        # RFC 5545, 3.3.5: as the offset before the gap reads it, so after the gap.
        assert shown.replace(tzinfo=None) > expected


@settings(max_examples=300, deadline=None)
@given(zone=st.sampled_from(ZONES), start=starts, span=minutes, at=st.times())
def test_a_reminder_on_the_day_rings_on_that_day_where_there_is_one(
    zone: ZoneInfo, start: datetime, span: timedelta, at: time
) -> None:
    day = (start + span).astimezone(zone).date()

    instant = rings_at(OnDay(at=at), due(day, None, zone, fold=False))

    assert instant is not None
    lost = zone.key == "Pacific/Apia" and (day.year, day.month, day.day) == (2011, 12, 30)
    shown = instant.astimezone(zone).date()
    assert shown == (day + timedelta(days=1) if lost else day)
