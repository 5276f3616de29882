"""What an import sends: ids that repeat, parents before children, circles broken and told."""

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from carillon.import_plan import drafts, tag_input, task_id, task_input
from carillon.import_report import SHOWN, Report
from domain.tasks import DESCRIPTION_MAX_CHARS
from infra.ical import Calendar, read

HOME = UUID("5f0e6e0e-0000-4000-8000-000000000001")
WORK = UUID("5f0e6e0e-0000-4000-8000-000000000002")


def _calendar(*tasks: tuple[str, ...]) -> Calendar:
    lines = [
        line
        for uid, *more in tasks
        for line in ("BEGIN:VTODO", f"UID:{uid}", f"SUMMARY:{uid}", *more, "END:VTODO")
    ]
    return read("\r\n".join(lines).encode())


def test_ids_and_keys_repeat_in_one_workspace_and_differ_in_another() -> None:
    calendar = _calendar(("milk",))
    [first], [again], [elsewhere] = (
        drafts(calendar, HOME),
        drafts(calendar, HOME),
        drafts(calendar, WORK),
    )

    assert task_input(first, []) == task_input(again, [])
    assert task_input(first, [])["clientMutationId"] == f"import:{first.id}"
    assert first.id != elsewhere.id
    assert tag_input(HOME, "Shop") | {"name": ""} == tag_input(HOME, "SHOP") | {"name": ""}
    assert tag_input(HOME, "Shop")["id"] != tag_input(WORK, "Shop")["id"]


def test_a_task_is_sent_with_what_the_file_says() -> None:
    lines = ("STATUS:IN-PROCESS", "PRIORITY:1", "DUE;TZID=Europe/Paris:20261124T083000")
    [draft] = drafts(_calendar(("milk", *lines)), HOME)

    assert task_input(draft, ["a", "b"]) == {
        "id": str(draft.id),
        "title": "milk",
        "description": "",
        "status": "IN_PROGRESS",
        "priority": "URGENT",
        "due": {"date": "2026-11-24", "time": "08:30", "timeZone": "Europe/Paris"},
        "tagIds": ["a", "b"],
        "clientMutationId": f"import:{draft.id}",
    }


def test_parents_come_before_their_children_and_all_else_stays_in_order() -> None:
    calendar = _calendar(
        *(("first",), ("leaf", "RELATED-TO:branch"), ("last",), ("branch", "RELATED-TO:root")),
        *(("root", "RELATED-TO;RELTYPE=CHILD:twig"), ("twig",)),
    )

    planned = drafts(calendar, HOME)

    assert [draft.item.uid for draft in planned] == [
        *("first", "root", "branch", "leaf", "last", "twig"),
    ]
    parents = {draft.item.uid: draft.parent for draft in planned if draft.parent is not None}
    assert parents == {
        "leaf": task_id(HOME, "branch"),
        "branch": task_id(HOME, "root"),
        "twig": task_id(HOME, "root"),
    }


def test_a_parent_outside_the_file_may_be_there_from_an_earlier_import() -> None:
    [draft] = drafts(_calendar(("leaf", "RELATED-TO:root")), HOME)

    assert draft.parent == task_id(HOME, "root")


def test_a_circle_is_broken_and_told() -> None:
    calendar = _calendar(
        *(("tail", "RELATED-TO:one"), ("one", "RELATED-TO:two"), ("two", "RELATED-TO:one")),
        ("self", "RELATED-TO:self"),
    )

    planned = {draft.item.uid: draft for draft in drafts(calendar, HOME)}

    assert planned["tail"].parent == task_id(HOME, "one")
    assert [uid for uid, draft in planned.items() if draft.item.problems] == ["two", "one", "self"]
    assert {planned[uid].parent for uid in ("one", "two", "self")} == {None}


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30))
def test_of_any_relations_every_task_is_sent_once_after_its_parent(parents: list[int]) -> None:
    calendar = _calendar(*((str(n), f"RELATED-TO:{parent}") for n, parent in enumerate(parents)))

    planned = drafts(calendar, HOME)

    place = {draft.id: at for at, draft in enumerate(planned)}
    assert len(place) == len(planned) == len(parents)
    assert all(place.get(d.parent, -1) < place[d.id] for d in planned if d.parent is not None)


def test_a_chain_of_20000_tasks_needs_no_recursion() -> None:
    calendar = _calendar(*((str(n), f"RELATED-TO:{n + 1}") for n in range(200)))
    [item] = calendar.items[:1]
    items = tuple(
        replace(item, name=str(n), uid=str(n), parents=(str(n + 1),)) for n in range(20_000)
    )

    planned = drafts(replace(calendar, items=items), HOME)

    assert [draft.item.uid for draft in planned] == [str(n) for n in reversed(range(20_000))]


def test_the_longest_description_fits_into_a_batch_of_its_own() -> None:
    [draft] = drafts(_calendar(("milk",)), HOME)
    long = replace(draft, item=replace(draft.item, description="x" * DESCRIPTION_MAX_CHARS))

    assert len(str(task_input(long, []))) < 524_288


def test_a_report_tells_a_person_the_gist() -> None:
    report = Report(file="home.ics", workspace="Home")
    report.take(_calendar(*((str(n), "LOCATION:Shop", "RRULE:FREQ=DAILY") for n in range(7))))
    report.created = 7

    assert list(report.lines()) == [
        "home.ics: 7 tasks created in Home.",
        "  Kept as text in the description:",
        "    RRULE 7: 0, 1, 2, 3, 4 and 2 more",
        "  No place for, or missing:",
        "    LOCATION 7: 0, 1, 2, 3, 4 and 2 more",
    ]
    assert report.is_complete()
    assert len(report.lost["LOCATION"]) == 7 > SHOWN


def test_a_report_of_a_second_run_says_that_nothing_changed() -> None:
    report = Report(file="home.ics", workspace="Home", there=2, trashed=["milk"])

    assert list(report.lines()) == [
        "home.ics: nothing changed in Home.",
        "  There already, left as they are: 2",
        "  In the trash, left there: milk",
    ]
    assert report.is_complete()
