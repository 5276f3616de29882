"""When reminders ring, and what they make of the ledger, in cases that people would name."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from domain.channels import Category, ChannelName
from domain.deliveries import (
    Delivery,
    Reason,
    State,
    begun,
    changed,
    claimed,
    put_off,
    sent,
    snoozed,
)
from domain.due import Due, due
from domain.errors import Code, Refused
from domain.ids import ReminderId, TaskId, UserId
from domain.reminders import (
    NAG_TIMES_MAX,
    NOTICE_MAX_DAYS,
    REMINDERS_MAX,
    At,
    Before,
    Nag,
    OnDay,
    Reconciled,
    Reminder,
    Wanted,
    When,
    deliveries_of,
    next_nag,
    overdue_of,
    reconcile,
    require_room,
    require_sound,
    rings_at,
)
from domain.tasks import Status, Task
from tests.task_rows import task

PARIS = ZoneInfo("Europe/Paris")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
APIA = ZoneInfo("Pacific/Apia")
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
ADA, BOB = UserId(UUID(int=1)), UserId(UUID(int=2))
MEMBERS = {ADA, BOB}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def timed(zone: ZoneInfo, *parts: int, fold: bool = False) -> Due:
    local = datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - the zone is beside it
    return due(local.date(), local.time(), zone, fold=fold)


def all_day(zone: ZoneInfo, *parts: int) -> Due:
    return due(date(*parts), None, zone, fold=False)


@pytest.mark.parametrize(
    "_case,when,task_due,expected",
    [
        ("an instant needs no due", At(instant=NOW), None, NOW),
        ("nothing is before no due", Before(days=1), None, None),
        (
            "half an hour before",
            Before(span=HOUR / 2),
            timed(PARIS, 2026, 6, 1, 9),
            utc(2026, 6, 1, 6, 30),
        ),
        ("at the due", Before(), timed(PARIS, 2026, 6, 1, 9), utc(2026, 6, 1, 7)),
        (
            "a day before a day of 23 hours",
            Before(days=1),
            timed(PARIS, 2026, 3, 29, 9),
            utc(2026, 3, 28, 8),
        ),
        (
            "24 hours before it",
            Before(span=24 * HOUR),
            timed(PARIS, 2026, 3, 29, 9),
            utc(2026, 3, 28, 7),
        ),
        (
            "a day before a day of 25 hours",
            Before(days=1),
            timed(NEW_YORK, 2026, 11, 1, 9),
            utc(2026, 10, 31, 13),
        ),
        (
            "a day before, in a gap",
            Before(days=1),
            timed(PARIS, 2026, 3, 30, 2, 30),
            utc(2026, 3, 29, 1, 30),
        ),
        (
            "at the second of two times",
            Before(),
            timed(PARIS, 2026, 10, 25, 2, 30, fold=True),
            utc(2026, 10, 25, 1, 30),
        ),
        (
            "half an hour is the shift",
            Before(span=HOUR),
            timed(LORD_HOWE, 2026, 10, 4, 3),
            utc(2026, 10, 3, 15),
        ),
        (
            "a day before the end of the day",
            Before(days=1),
            all_day(PARIS, 2026, 3, 29),
            utc(2026, 3, 28, 23),
        ),
        ("on the day at nine", OnDay(at=time(9)), all_day(PARIS, 2026, 3, 29), utc(2026, 3, 29, 7)),
        (
            "two days before at nine",
            OnDay(at=time(9), days_before=2),
            all_day(NEW_YORK, 2026, 3, 8),
            utc(2026, 3, 6, 14),
        ),
        (
            "on a day the zone skips",
            OnDay(at=time(9)),
            all_day(APIA, 2011, 12, 30),
            utc(2011, 12, 30, 19),
        ),
        (
            "the day before it",
            OnDay(at=time(9), days_before=1),
            all_day(APIA, 2011, 12, 30),
            utc(2011, 12, 29, 19),
        ),
        ("before the first day", Before(days=1), all_day(ZoneInfo("UTC"), 1, 1, 1), None),
        ("before the first hour", Before(span=48 * HOUR), all_day(ZoneInfo("UTC"), 1, 1, 1), None),
    ],
)
def test_the_instant_of_a_reminder(
    _case: str, when: When, task_due: Due | None, expected: datetime | None
) -> None:
    assert rings_at(when, task_due) == expected


def wanted(when: When, *channels: ChannelName, nag: Nag | None = None) -> Wanted:
    return Wanted(when=when, channels=frozenset(channels), nag=nag)


@pytest.mark.parametrize(
    "_case,of,path",
    [
        ("no channel", wanted(At(instant=NOW + HOUR)), ("channels",)),
        ("now is too late", wanted(At(instant=NOW), ChannelName.EMAIL), ("at",)),
        ("after the due", wanted(Before(span=-HOUR), ChannelName.EMAIL), ("beforeDue",)),
        (
            "days after the due",
            wanted(Before(days=-1, span=48 * HOUR), ChannelName.EMAIL),
            ("beforeDue",),
        ),
        (
            "more than a year",
            wanted(Before(days=NOTICE_MAX_DAYS, span=HOUR), ChannelName.EMAIL),
            ("beforeDue",),
        ),
        ("a million years", wanted(Before(days=10**12), ChannelName.EMAIL), ("beforeDue",)),
        (
            "days after the day",
            wanted(OnDay(at=time(9), days_before=-1), ChannelName.EMAIL),
            ("daysBefore",),
        ),
        (
            "an alarm clock",
            wanted(Before(), ChannelName.EMAIL, nag=Nag(every=HOUR / 61, times=1)),
            ("nag", "every"),
        ),
        (
            "once a month",
            wanted(Before(), ChannelName.EMAIL, nag=Nag(every=720 * HOUR, times=1)),
            ("nag", "every"),
        ),
        (
            "for ever",
            wanted(Before(), ChannelName.EMAIL, nag=Nag(every=HOUR, times=NAG_TIMES_MAX + 1)),
            ("nag", "times"),
        ),
    ],
)
def test_what_can_never_ring_or_never_ends_is_refused_with_its_path(
    _case: str, of: Wanted, path: tuple[str, ...]
) -> None:
    with pytest.raises(Refused) as refused:
        require_sound(of, NOW, "input")

    [problem] = refused.value.problems
    assert (problem.code, problem.path) == (Code.INVALID, ("input", *path))


def test_the_longest_notice_and_the_longest_nagging_are_allowed() -> None:
    nag = Nag(every=timedelta(days=7), times=NAG_TIMES_MAX)

    require_sound(wanted(Before(days=NOTICE_MAX_DAYS), ChannelName.PUSH, nag=nag), NOW)
    require_room(REMINDERS_MAX - 1)

    with pytest.raises(Refused) as refused:
        require_room(REMINDERS_MAX, "input")
    assert refused.value.problems[0].code is Code.LIMIT_EXCEEDED


MILK = task(1, title="Buy milk", due=timed(PARIS, 2026, 11, 23, 12), assignee_id=ADA)
EARLY = Reminder(
    id=ReminderId(UUID(int=10)),
    task_id=MILK.id,
    user_id=ADA,
    wanted=wanted(Before(span=HOUR), ChannelName.IN_APP, ChannelName.EMAIL),
    created_at=NOW,
)
RINGS = utc(2026, 11, 23, 10)


def rows_of(*reminders: Reminder, of: Task = MILK) -> tuple[Delivery, ...]:
    return deliveries_of(reminders, of, MEMBERS)


def after(existing: tuple[Delivery, ...], done: Reconciled) -> tuple[Delivery, ...]:
    written = {row.id: row for row in (*existing, *done.new, *done.cancelled, *done.revived)}
    return tuple(written.values())


def test_a_reminder_is_one_row_for_each_of_its_channels_named_after_all_it_is() -> None:
    rows = rows_of(EARLY)

    assert [(row.channel, row.due_at, row.state) for row in rows] == [
        (ChannelName.EMAIL, RINGS, State.PENDING),
        (ChannelName.IN_APP, RINGS, State.PENDING),
    ]
    assert rows_of(EARLY) == rows
    assert len({row.id for row in rows}) == 2
    others = (
        *rows_of(replace(EARLY, id=ReminderId(UUID(int=11)))),
        *rows_of(replace(EARLY, user_id=BOB)),
        *rows_of(EARLY, of=replace(MILK, id=TaskId(UUID(int=2)))),
        *rows_of(EARLY, of=replace(MILK, due=timed(PARIS, 2026, 11, 23, 13))),
    )
    assert len({row.id for row in (*rows, *others)}) == 10


@pytest.mark.parametrize(
    "_case,of",
    [
        ("done", replace(MILK, status=Status.DONE)),
        ("cancelled", replace(MILK, status=Status.CANCELLED)),
        ("deleted", replace(MILK, deleted_at=NOW)),
        ("without a due", replace(MILK, due=None)),
    ],
)
def test_what_no_longer_rings_is_taken_back_and_comes_again_when_that_is_undone(
    _case: str, of: Task
) -> None:
    rows = rows_of(EARLY)

    gone = reconcile(rows, rows_of(EARLY, of=of), NOW)
    assert [(row.state, row.reason) for row in gone.cancelled] == [
        (State.CANCELLED, Reason.WITHDRAWN)
    ] * 2
    back = reconcile(gone.cancelled, rows, NOW + HOUR / 2)

    assert (back.new, back.cancelled, back.revived) == ((), (), rows)


def test_what_comes_again_too_late_does_not_ring() -> None:
    gone = reconcile(rows_of(EARLY), (), NOW)

    assert reconcile(gone.cancelled, rows_of(EARLY), RINGS) == Reconciled(
        new=(), cancelled=(), revived=()
    )


def test_a_task_that_moves_there_and_back_rings_once() -> None:
    moved = replace(MILK, due=timed(PARIS, 2026, 11, 23, 15))
    rows = rows_of(EARLY)

    there = after(rows, reconcile(rows, rows_of(EARLY, of=moved), NOW))
    assert (
        sorted(row.due_at for row in there if row.state is State.PENDING)
        == [utc(2026, 11, 23, 13)] * 2
    )
    back = after(there, reconcile(there, rows, NOW))

    assert {row.id for row in back if row.state is State.PENDING} == {row.id for row in rows}
    assert len(back) == 4


def test_a_new_reminder_whose_instant_has_passed_makes_no_row() -> None:
    assert reconcile((), rows_of(EARLY), RINGS).new == ()
    assert reconcile((), rows_of(EARLY), RINGS - timedelta(microseconds=1)).new == rows_of(EARLY)


def test_a_row_that_is_late_stays_though_its_instant_has_passed() -> None:
    rows = rows_of(EARLY)

    assert reconcile(rows, rows, RINGS + HOUR).cancelled == ()


def test_who_left_the_workspace_is_reminded_of_nothing() -> None:
    assert deliveries_of([EARLY], MILK, {BOB}) == ()


def test_a_default_reminder_rings_while_the_task_is_nobody_elses() -> None:
    default, own = replace(EARLY, is_default=True), EARLY
    to_bob = replace(MILK, assignee_id=BOB)

    assert rows_of(default) == rows_of(own)
    assert rows_of(default, of=replace(MILK, assignee_id=None)) == rows_of(own)
    assert rows_of(default, of=to_bob) == ()
    assert rows_of(own, of=to_bob) == rows_of(own)


def test_what_was_sent_stays_sent_whatever_becomes_of_the_task() -> None:
    rang = tuple(sent(claimed(row)) for row in rows_of(EARLY))

    done = reconcile(rang, (), RINGS + HOUR)
    again = reconcile(rang, rows_of(EARLY), NOW)

    assert done == again == Reconciled(new=(), cancelled=(), revived=())


def test_an_open_task_tells_its_watchers_when_it_becomes_overdue() -> None:
    [row] = overdue_of(MILK, {ADA: [ChannelName.IN_APP]})

    assert (row.category, row.due_at) == (Category.OVERDUE, utc(2026, 11, 23, 11))
    assert overdue_of(replace(MILK, status=Status.DONE), {ADA: [ChannelName.IN_APP]}) == ()
    assert overdue_of(replace(MILK, due=None), {ADA: [ChannelName.IN_APP]}) == ()


def test_nags_follow_at_their_distance_and_end_at_their_limit() -> None:
    nag = Nag(every=HOUR, times=2)
    row = sent(claimed(rows_of(EARLY)[0]))

    first = next_nag(row, nag, RINGS + timedelta(milliseconds=3))
    assert first is not None
    assert (first.due_at, first.nag, first.state) == (RINGS + HOUR, 1, State.PENDING)
    second = next_nag(sent(claimed(first)), nag, RINGS + HOUR)
    assert second is not None
    assert (second.due_at, second.nag, second.root_at) == (RINGS + 2 * HOUR, 2, RINGS)

    assert next_nag(sent(claimed(second)), nag, RINGS + 2 * HOUR) is None
    assert next_nag(row, None, RINGS) is None


def test_nags_that_an_outage_swallowed_count_and_are_not_made_up_for() -> None:
    row = sent(claimed(rows_of(EARLY)[0]))

    following = next_nag(row, Nag(every=HOUR, times=5), RINGS + 3.5 * HOUR)

    assert following is not None
    assert (following.due_at, following.nag) == (RINGS + 4 * HOUR, 4)
    assert next_nag(row, Nag(every=HOUR, times=3), RINGS + 3.5 * HOUR) is None


def test_a_nag_goes_with_the_reminder_that_it_follows() -> None:
    row = sent(claimed(rows_of(EARLY)[0]))
    nag = next_nag(row, Nag(every=HOUR, times=5), RINGS)
    assert nag is not None

    gone = reconcile((row, nag), (), RINGS + HOUR / 2)

    assert [one.id for one in gone.cancelled] == [nag.id]


def test_a_snooze_rings_again_later_and_says_what_it_comes_from() -> None:
    row = sent(claimed(rows_of(EARLY)[0]))
    nag = next_nag(row, Nag(every=HOUR, times=5), RINGS)
    assert nag is not None

    old, dropped, new = snoozed([row, nag], RINGS + HOUR / 2, RINGS + HOUR / 4)

    assert (old.id, old.state) == (row.id, State.SNOOZED)
    assert (dropped.id, dropped.reason) == (nag.id, Reason.SNOOZED)
    assert (new.snoozed_from, new.root_at, new.state) == (row.id, RINGS, State.PENDING)
    assert (new.due_at, new.fire_at) == (RINGS + HOUR / 2,) * 2
    # Snoozed once more before it rang, to when the dropped nag would have rung.
    [_, third] = snoozed([old, dropped, new], nag.due_at, RINGS + HOUR / 4)
    assert (third.snoozed_from, third.id) == (new.id, nag.id)


@pytest.mark.parametrize(
    "_case,until", [("now", NOW), ("its own instant", RINGS), ("two years", NOW + 17_520 * HOUR)]
)
def test_a_snooze_to_no_later_instant_is_refused(_case: str, until: datetime) -> None:
    with pytest.raises(Refused) as refused:
        snoozed(rows_of(EARLY)[:1], until, NOW)

    assert refused.value.problems[0].code is Code.INVALID


def test_a_snooze_to_where_the_due_once_was_takes_nothing_from_it() -> None:
    later = replace(MILK, due=timed(PARIS, 2026, 11, 23, 15))
    [was] = reconcile(rows_of(EARLY, of=later)[:1], rows_of(EARLY)[:1], NOW).cancelled
    rang = sent(claimed(rows_of(EARLY)[0]))

    old, new = snoozed([rang], was.due_at, RINGS)
    rows = {row.id: row for row in (was, old, new)}
    done = reconcile(rows.values(), rows_of(EARLY, of=later)[:1], RINGS)

    assert [(row.id, row.due_at) for row in done.revived] == [(was.id, was.due_at)]
    assert [row.id for row in done.cancelled] == [new.id]


def test_what_does_not_ring_any_more_is_not_snoozed() -> None:
    gone = reconcile(rows_of(EARLY)[:1], (), NOW).cancelled

    with pytest.raises(Refused) as refused:
        snoozed(gone, RINGS + HOUR, NOW)

    assert refused.value.problems[0].code is Code.CONFLICT


def test_a_send_that_nobody_recorded_says_so_when_it_is_sent_again() -> None:
    email, in_app = (claimed(row) for row in rows_of(EARLY))

    first = begun(email, RINGS)
    assert (first.attempts, first.is_unsure, first.maybe_repeated) == (1, True, False)
    # A crash: the lease ran out, and another worker begins it.
    second = begun(first, RINGS + HOUR)
    assert (second.attempts, second.maybe_repeated) == (2, True)
    assert sent(second).is_unsure is False
    # The feed's row commits with its delivery: there is nothing to repeat.
    assert begun(begun(in_app, RINGS), RINGS).maybe_repeated is False


def test_a_failure_whose_end_is_known_repeats_nothing() -> None:
    first = begun(claimed(rows_of(EARLY)[0]), RINGS)

    known = put_off(first, RINGS + HOUR, "451 later")
    unsure = put_off(first, RINGS + HOUR, "cut off", is_unsure=True)

    assert begun(claimed(known), RINGS + HOUR).maybe_repeated is False
    assert begun(claimed(unsure), RINGS + HOUR).maybe_repeated is True


def test_nothing_begins_before_its_instant_or_unclaimed() -> None:
    row = rows_of(EARLY)[0]

    with pytest.raises(ValueError, match="not due"):
        begun(claimed(row), RINGS - timedelta(microseconds=1))
    with pytest.raises(ValueError, match="PENDING"):
        begun(row, RINGS)
    with pytest.raises(ValueError, match="does not become"):
        sent(row)


def test_each_step_is_a_change_that_names_what_is_different() -> None:
    row = rows_of(EARLY)[0]
    ended = sent(claimed(row), is_late=True)

    scheduled, rang = changed(None, row), changed(claimed(row), ended)

    assert (scheduled.kind, scheduled.subject, scheduled.before) == (
        "delivery.scheduled",
        row.id,
        {},
    )
    assert scheduled.state["due_at"] == "2026-11-23T10:00:00+00:00"
    assert (rang.kind, rang.fields) == ("delivery.sent", ("state", "is_late"))
    assert rang.before == {"state": "CLAIMED", "is_late": False}
    assert {**scheduled.state, "state": "SENT", "is_late": True} == rang.state
