"""What people read: titles that stand in a list, times as they say them, nothing left out."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from uuid import UUID
from zoneinfo import ZoneInfo

from domain import wording
from domain.channels import Category, ChannelName, Content
from domain.deliveries import first
from domain.due import due
from domain.ids import TaskId, UserId
from domain.notifications import archived, created, notification, notification_state, read
from domain.wording import ENTRIES_MAX, TITLE_MAX_CHARS, Reader
from tests.task_rows import task

PARIS = ZoneInfo("Europe/Paris")
AT = datetime(2027, 3, 28, 6, tzinfo=UTC)


def link(task: TaskId) -> str | None:
    return f"https://carillon.example/tasks/{task}"


ADA = Reader(zone=PARIS, link=link)
MILK = task(1, title="Buy milk", due=due(date(2027, 3, 28), time(9, 30), PARIS, fold=False))


def test_a_reminder_says_what_is_due_when_and_where_it_is_found() -> None:
    assert wording.reminder(MILK, ADA, meant_for=AT) == Content(
        title="Reminder: Buy milk",
        lines=("Due Sunday, 28 March 2027, 09:30.",),
        url=link(MILK.id),
    )


def test_a_zone_is_named_where_it_is_not_the_readers() -> None:
    abroad = Reader(zone=ZoneInfo("America/New_York"), link=lambda _task: None)

    told = wording.reminder(MILK, abroad, meant_for=AT, nag=2)

    assert told.lines == (
        "Due Sunday, 28 March 2027, 09:30 (Europe/Paris).",
        "You have been reminded 2 times before.",
    )
    assert told.url is None


def test_an_all_day_due_has_no_time_and_a_task_may_have_no_due() -> None:
    all_day = replace(MILK, due=due(date(2027, 3, 28), None, PARIS, fold=False))

    assert wording.reminder(all_day, ADA, meant_for=AT).lines == ("Due Sunday, 28 March 2027.",)
    assert wording.reminder(replace(MILK, due=None), ADA, meant_for=AT).lines == ()


def test_what_is_over_was_due() -> None:
    assert MILK.due is not None
    told = wording.reminder(MILK, ADA, meant_for=MILK.due.instant, nag=1)

    assert told.lines == (
        "It was due Sunday, 28 March 2027, 09:30.",
        "You have been reminded once before.",
    )
    assert wording.overdue(MILK, ADA).title == "Overdue: Buy milk"
    assert wording.overdue(MILK, ADA).lines == told.lines[:1]


def test_a_long_title_is_cut_in_the_subject_and_whole_in_the_text() -> None:
    title = "\N{BELL} " + "x" * 498

    told = wording.assignment(replace(MILK, title=title), "Bob", ADA)

    assert len(told.title) == len("Assigned to you: ") + TITLE_MAX_CHARS
    assert told.title.endswith("x\N{HORIZONTAL ELLIPSIS}")
    assert told.lines[:2] == (title, "Assigned by Bob.")


def test_lateness_is_said_in_the_readers_time() -> None:
    told = wording.late(wording.overdue(MILK, ADA), AT, PARIS)

    assert told.lines[-1] == "This comes late: it was meant for Sunday, 28 March 2027, 08:00."


def test_a_digest_counts_and_lists_what_is_due_and_what_is_overdue() -> None:
    many = [replace(MILK, id=TaskId(UUID(int=n))) for n in range(ENTRIES_MAX + 3)]

    told = wording.digest(many[:2], many, date(2027, 3, 28), ADA)

    assert told.title == f"Sunday, 28 March 2027: 2 due today, {ENTRIES_MAX + 3} overdue"
    assert [(one.heading, len(one.entries)) for one in told.sections] == [
        ("Due today", 2),
        ("Overdue", ENTRIES_MAX + 1),
    ]
    assert told.sections[1].entries[-1].title == "and 3 more"
    assert told.sections[0].entries[0].url == link(many[0].id)
    nothing = wording.digest([], [], date(2027, 3, 28), ADA)
    assert nothing.title == "Sunday, 28 March 2027: nothing due today"
    assert nothing.sections == ()


def test_several_that_are_late_are_told_as_one() -> None:
    told = wording.summary([wording.overdue(MILK, ADA), wording.reminder(MILK, ADA, meant_for=AT)])

    assert told.title == "2 notifications that could not be sent in time"
    [section] = told.sections
    assert [(entry.title, entry.detail) for entry in section.entries] == [
        ("Overdue: Buy milk", "It was due Sunday, 28 March 2027, 09:30."),
        ("Reminder: Buy milk", "Due Sunday, 28 March 2027, 09:30."),
    ]


def test_an_entry_of_the_feed_is_read_once_and_put_away_once() -> None:
    delivery = first(
        Category.REMINDER, UUID(int=9), MILK, (UserId(UUID(int=1)), ChannelName.IN_APP), AT
    )
    new = notification(delivery, wording.reminder(MILK, ADA, meant_for=AT), AT)
    later = datetime(2027, 3, 29, tzinfo=UTC)

    assert created(new).state == {
        "id": str(delivery.id),
        "kind": "reminder",
        "title": "Reminder: Buy milk",
        "body": "Due Sunday, 28 March 2027, 09:30.",
        "workspace_id": str(MILK.workspace_id),
        "task_id": str(MILK.id),
        "created_at": "2027-03-28T06:00:00+00:00",
        "read_at": None,
        "archived_at": None,
    }
    first_time = read(new, later)
    assert first_time is not None
    shown, fact = first_time
    assert (fact.kind, fact.fields, fact.before) == (
        "notification.read",
        ("read_at",),
        {"read_at": None},
    )
    assert fact.state == notification_state(shown)
    assert read(shown, later) is None
    put_away = archived(new, later)
    assert put_away is not None
    assert put_away[1].fields == ("read_at", "archived_at")
    assert archived(put_away[0], later) is None
