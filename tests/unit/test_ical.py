"""What an iCalendar file says in Carillon's terms, and what of it is told to find no place."""

from datetime import date, time
from importlib.metadata import files
from pathlib import Path

import pytest

from domain.tasks import Priority, Status
from infra.ical import Calendar, read
from infra.vtodo import NO_TITLE, Item
from infra.vtodo_rule import LocalDue


def _calendar(*lines: str) -> Calendar:
    return read("\r\n".join(["BEGIN:VCALENDAR", *lines, "END:VCALENDAR", ""]).encode())


def _one(*lines: str) -> Item:
    calendar = _calendar("BEGIN:VTODO", "UID:milk", "SUMMARY:Buy milk", *lines, "END:VTODO")
    assert calendar.problems == ()
    [item] = calendar.items
    return item


def test_a_task_has_its_parts() -> None:
    item = _one(
        "DESCRIPTION:Two litres\\, cold.\\nNot the",
        "  skimmed one.",
        "STATUS:IN-PROCESS",
        "PRIORITY:2",
        "CATEGORIES:Shop,Food\\, cold",
        "CATEGORIES:shop",
        "RELATED-TO:errands",
        "RELATED-TO;RELTYPE=CHILD:bottle",
    )

    assert item == Item(
        name="milk",
        uid="milk",
        title="Buy milk",
        description="Two litres, cold.\nNot the skimmed one.",
        status=Status.IN_PROGRESS,
        priority=Priority.HIGH,
        due=None,
        tags=("shop", "Food, cold"),
        parents=("errands",),
        children=("bottle",),
        recurrence=None,
        kept=(),
        lost=(),
        problems=(),
    )


@pytest.mark.parametrize(
    "_case,lines,due",
    [
        ("a date", ["DUE;VALUE=DATE:20261124"], (date(2026, 11, 24), None, None)),
        ("UTC", ["DUE:20261124T083000Z"], (date(2026, 11, 24), time(8, 30), "UTC")),
        ("floating", ["DUE:20261124T083000"], (date(2026, 11, 24), time(8, 30), None)),
        (
            "an IANA zone without its definition",
            ["DUE;TZID=Europe/Paris:20261124T083015"],
            (date(2026, 11, 24), time(8, 30, 15), "Europe/Paris"),
        ),
        (
            "a zone of Windows",
            ["DUE;TZID=Romance Standard Time:20261124T083000"],
            (date(2026, 11, 24), time(8, 30), "Europe/Paris"),
        ),
        (
            "a zone with its maker's prefix",
            ["DUE;TZID=/freeassociation.sourceforge.net/Europe/Paris:20261124T083000"],
            (date(2026, 11, 24), time(8, 30), "Europe/Paris"),
        ),
        (
            "days and hours over a clock change",
            ["DTSTART;TZID=Europe/Paris:20260328T083000", "DURATION:P1DT1H"],
            (date(2026, 3, 29), time(9, 30), "Europe/Paris"),
        ),
        (
            "a day after a date",
            ["DTSTART;VALUE=DATE:20261124", "DURATION:P2D"],
            (date(2026, 11, 26), None, None),
        ),
        (
            "hours after a date",
            ["DTSTART;VALUE=DATE:20261124", "DURATION:PT10H"],
            (date(2026, 11, 24), time(10), None),
        ),
    ],
)
def test_a_due_keeps_its_local_date_time_and_zone(
    _case: str, lines: list[str], due: tuple[date, time | None, str | None]
) -> None:
    item = _one(*lines)

    assert item.due == LocalDue(day=due[0], at=due[1], zone=due[2])
    assert (item.lost, item.problems) == ((), ())


def test_a_zone_that_only_the_file_knows_is_kept_as_an_instant() -> None:
    zone = ["BEGIN:VTIMEZONE", "TZID:Moonbase", "BEGIN:STANDARD", "DTSTART:19700101T000000"]
    zone += ["TZOFFSETFROM:+0130", "TZOFFSETTO:+0130", "END:STANDARD", "END:VTIMEZONE"]
    task = ["BEGIN:VTODO", "UID:milk", "SUMMARY:Milk", "DUE;TZID=Moonbase:20261124T083000"]

    [item] = _calendar(*zone, *task, "END:VTODO").items

    assert item.due == LocalDue(day=date(2026, 11, 24), at=time(7, 0), zone="UTC")
    assert item.problems == ("TZID Moonbase is no IANA zone: its times are kept in UTC.",)


def test_a_zone_that_nobody_knows_is_told() -> None:
    [item] = _calendar(
        "BEGIN:VTODO", "UID:milk", "SUMMARY:Milk", "DUE;TZID=Moonbase:20261124T083000", "END:VTODO"
    ).items

    assert item.due == LocalDue(day=date(2026, 11, 24), at=time(8, 30), zone=None)
    assert item.problems == ("TZID Moonbase is unknown: its times are taken as yours.",)


@pytest.mark.parametrize(
    "written,priority",
    [
        (0, Priority.MEDIUM),
        (1, Priority.URGENT),
        (4, Priority.HIGH),
        (5, Priority.MEDIUM),
        (6, Priority.LOW),
        (9, Priority.LOW),
    ],
)
def test_ten_priorities_become_four(written: int, priority: Priority) -> None:
    assert _one(f"PRIORITY:{written}").priority is priority


@pytest.mark.parametrize(
    "_case,lines,status",
    [
        ("nothing said", [], Status.OPEN),
        ("done", ["STATUS:COMPLETED"], Status.DONE),
        ("done, said by its time", ["COMPLETED:20261123T090000Z"], Status.DONE),
        ("called off", ["STATUS:cancelled"], Status.CANCELLED),
    ],
)
def test_a_status_has_its_counterpart(_case: str, lines: list[str], status: Status) -> None:
    assert _one(*lines).status is status


@pytest.mark.parametrize(
    "_case, lines, rule, start",
    [
        (
            "from its start",
            [
                "DTSTART;TZID=Europe/Paris:20261124T083000",
                "RRULE:FREQ=WEEKLY;BYDAY=TU",
                "EXDATE;TZID=Europe/Paris:20261201T083000",
            ],
            "RRULE:FREQ=WEEKLY;BYDAY=TU\nEXDATE:20261201T083000",
            (date(2026, 11, 24), time(8, 30), "Europe/Paris"),
        ),
        (
            "from its due",
            ["DTSTART;VALUE=DATE:20261120", "DUE;VALUE=DATE:20261124", "RRULE:FREQ=MONTHLY"],
            "FREQ=MONTHLY",
            (date(2026, 11, 24), None, None),
        ),
        (
            "in UTC",
            ["DUE:20261124T083000Z", "RRULE:FREQ=DAILY", "EXDATE:20261125T083000Z"],
            "RRULE:FREQ=DAILY\nEXDATE:20261125T083000",
            (date(2026, 11, 24), time(8, 30), "UTC"),
        ),
    ],
)
def test_a_rule_makes_a_series(
    _case: str, lines: list[str], rule: str, start: tuple[date, time | None, str | None]
) -> None:
    item = _one(*lines, "DESCRIPTION:Two litres.")

    assert item.recurrence is not None
    begins = item.recurrence.start
    assert (item.recurrence.rule, (begins.day, begins.at, begins.zone)) == (rule, start)
    assert (item.description, item.kept, item.problems) == ("Two litres.", (), ())


@pytest.mark.parametrize(
    "_case, lines, problems",
    [
        ("done", ["STATUS:COMPLETED"], 0),
        ("cancelled", ["STATUS:CANCELLED"], 0),
        ("a rule that does not hit the due", ["DUE;TZID=Europe/Paris:20261125T083000"], 1),
        ("dates of another zone", ["EXDATE;TZID=Asia/Tokyo:20261201T083000"], 1),
    ],
)
def test_what_can_be_no_series_is_kept_as_text(_case: str, lines: list[str], problems: int) -> None:
    rule = ("DTSTART;TZID=Europe/Paris:20261124T083000", "RRULE:FREQ=WEEKLY;BYDAY=TU")

    item = _one(*rule, *lines)

    assert item.recurrence is None
    assert "RRULE:FREQ=WEEKLY;BYDAY=TU" in item.description
    assert len(item.problems) == problems


def test_the_recurrence_stands_as_it_was_written_at_the_end_of_the_description() -> None:
    item = _one(
        "STATUS:COMPLETED",
        "DTSTART;TZID=Europe/Paris:20261124T083000",
        "RRULE:FREQ=WEEKLY;BYDAY=TU",
        "EXDATE;TZID=Europe/Paris:20261201T083000",
        "DESCRIPTION:Two litres.",
    )

    assert item.description == (
        "Two litres.\n\n"
        "```ics\n"
        "DTSTART;TZID=Europe/Paris:20261124T083000\n"
        "RRULE:FREQ=WEEKLY;BYDAY=TU\n"
        "EXDATE;TZID=Europe/Paris:20261201T083000\n"
        "```"
    )
    assert (item.kept, item.lost) == (("DTSTART", "RRULE", "EXDATE"), ())


def test_whatever_finds_no_place_is_named() -> None:
    item = _one(
        "DTSTART:20261124T083000Z",
        "LOCATION:Corner shop",
        "SUMMARY;LANGUAGE=en:Buy more milk",
        "ATTACH:https://example.com/milk.png",
        "X-APPLE-SORT-ORDER:7",
        "RELATED-TO;RELTYPE=SIBLING:bread",
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        "TRIGGER:-PT15M",
        "END:VALARM",
    )

    assert sorted(item.lost) == [
        "ATTACH",
        "DTSTART",
        "LOCATION",
        "RELATED-TO;RELTYPE=SIBLING",
        "SUMMARY;LANGUAGE",
        "VALARM",
        "X-APPLE-SORT-ORDER",
    ]
    assert item.problems == ("SUMMARY stands there 2 times: the first counts.",)


def test_what_is_no_task_is_counted() -> None:
    calendar = _calendar(
        *("X-WR-CALNAME:Home", "PRODID:-//Somebody//EN"),
        *("BEGIN:VEVENT", "UID:1", "END:VEVENT", "BEGIN:VEVENT", "UID:2", "END:VEVENT"),
    )

    assert (calendar.items, calendar.others) == ((), {"VEVENT": 2, "X-WR-CALNAME": 1})


def test_one_bad_line_costs_that_line() -> None:
    item = _one(
        *("DUE:tomorrow", "PRIORITY:high", "no property at all", "STATUS:LOST"),
        *("RRULE:FREQ=SOMETIMES", "DESCRIPTION:Two litres."),
    )

    assert (item.title, item.due, item.priority) == ("Buy milk", None, Priority.MEDIUM)
    assert item.description == "Two litres.\n\n```ics\nRRULE:FREQ=SOMETIMES\n```"
    told = [problem.split()[0] for problem in item.problems]
    assert sorted(told) == ["DUE", "NO", "PRIORITY", "RRULE", "STATUS"]


@pytest.mark.parametrize("zone", ["America", "../../etc/passwd", "Europe/", "\x7f"])
def test_a_zone_that_is_none_costs_the_due_date(zone: str) -> None:
    item = _one(f'DUE;TZID="{zone}":20261124T083000', "PRIORITY:1")

    assert item.priority is Priority.URGENT
    assert len(item.problems) == 1


def test_one_bad_task_costs_that_task() -> None:
    calendar = _calendar(
        *("BEGIN:VTODO", "UID:cut", "SUMMARY:Cut off"),
        *("BEGIN:VTODO", "UID:milk", "SUMMARY:Buy milk", "END:VTODO"),
        *("BEGIN:VTODO", "UID:milk", "SUMMARY:Buy milk again", "END:VTODO"),
        *("BEGIN:VTODO", "UID:last", "SUMMARY:Cut off by the end"),
    )

    assert [item.title for item in calendar.items] == ["Buy milk"]
    assert [problem.uid for problem in calendar.problems] == ["cut", "milk", "last"]


def test_a_task_without_uid_and_summary_is_named_by_its_text() -> None:
    first, second = (_calendar("BEGIN:VTODO", "PRIORITY:1", "END:VTODO").items for _ in range(2))

    assert first == second
    assert (first[0].title, first[0].uid) == (NO_TITLE, "")
    assert first[0].lost == ("UID (missing)", "SUMMARY (missing)")


def test_an_exception_of_a_recurring_task_is_a_task_beside_it() -> None:
    rule = ("BEGIN:VTODO", "UID:milk", "SUMMARY:Milk", "RRULE:FREQ=DAILY", "END:VTODO")
    moved = ("BEGIN:VTODO", "UID:milk", "RECURRENCE-ID:20261124T080000Z", "SUMMARY:Later")

    calendar = _calendar(*rule, *moved, "END:VTODO")

    assert [item.title for item in calendar.items] == ["Milk", "Later"]
    assert len({item.name for item in calendar.items}) == 2
    assert calendar.items[1].kept == ("RECURRENCE-ID",)


@pytest.mark.parametrize(
    "_case,data,problems",
    [
        ("empty", b"", 1),
        ("text", b"Buy milk", 1),
        ("zeros", b"\0" * 1_000, 1),
        ("no UTF-8 and no calendar", b"\xff\xfe\xfd", 2),
        ("an END alone", b"END:VTODO\nEND:VCALENDAR\n", 1),
        ("a BEGIN alone", b"BEGIN:VTODO", 1),
        ("a deep nest", b"BEGIN:VTODO\n" + b"BEGIN:X\n" * 10_000, 1),
    ],
)
def test_what_is_no_calendar_holds_nothing_but_problems(
    _case: str, data: bytes, problems: int
) -> None:
    calendar = read(data)

    assert (calendar.items, len(calendar.problems)) == ((), problems)


def test_bytes_that_are_no_text_are_told() -> None:
    calendar = read(b"BEGIN:VTODO\r\nUID:1\r\nSUMMARY:Caf\xe9\r\nEND:VTODO\r\n")

    assert [item.title for item in calendar.items] == ["Caf\ufffd"]
    assert len(calendar.problems) == 1


def _carried() -> list[Path]:
    """Returns the calendars with tasks that the installed packages carry for their own tests."""
    packages = ("icalendar", "recurring-ical-events")
    paths = [
        Path(str(f.locate())) for name in packages for f in files(name) or () if f.suffix == ".ics"
    ]
    return [path for path in paths if b"BEGIN:VTODO" in path.read_bytes()]


@pytest.mark.parametrize("path", _carried(), ids=lambda path: path.stem)
def test_every_task_of_a_carried_calendar_is_read(path: Path) -> None:
    data = path.read_bytes()

    calendar = read(data)

    assert len(calendar.items) == data.count(b"BEGIN:VTODO")
    assert calendar.problems == ()
    assert [item.problems for item in calendar.items if item.problems] == []
