"""What Debian's own cron did (tests/golden/debian_cron.py writes it down) is what we do."""

import json
from datetime import date, datetime, time, timedelta
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from domain.recurrence.cron_text import parse_cron
from domain.recurrence.policies import policies_for
from domain.recurrence.rule import LocalStart
from domain.recurrence.schedule import occurrences
from tests.golden.debian_cron import WILDCARD

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "debian_cron.json").read_text())
MINUTE = timedelta(minutes=1)
# Debian's cron takes a change of three hours or more for a correction of the clock, and leaves out
# what lay in it (cron(8): "Time changes of more than 3 hours are considered to be corrections to
# the clock or the timezone"). A zone's own change is no correction: a daily job that the date line
# took from Apia is run after it, as after any gap. `gap: SKIP` says it Debian's way.
CORRECTION = timedelta(hours=3)


class Change(NamedTuple):
    """What ran around one change of a zone's clocks, by line, in minutes from `begin`."""

    zone: str
    begin: datetime
    end: datetime
    runs: dict[str, list[int]]


CHANGES = [
    Change(
        found["zone"],
        datetime.fromisoformat(found["begin"]),
        datetime.fromisoformat(found["end"]),
        found["runs"],
    )
    for found in GOLDEN["changes"]
]


def ran(line: str, change: Change) -> list[int]:
    """Returns the minutes in which we run the line."""
    rule = parse_cron(line)
    found = occurrences(
        rule,
        LocalStart(date(2000, 1, 1), time()),
        ZoneInfo(change.zone),
        policies_for(rule),
        change.begin - MINUTE,
    )
    return [
        (slot.instant - change.begin) // MINUTE
        for slot in takewhile(lambda slot: slot.instant < change.end, found)
    ]


def gap(change: Change) -> tuple[int, timedelta]:
    """Returns the minute in which the change comes, and by how much clocks jump forward."""
    zone = ZoneInfo(change.zone)
    middle = change.begin + (change.end - change.begin) / 2
    before = (middle - MINUTE).astimezone(zone).utcoffset()
    after = middle.astimezone(zone).utcoffset()
    assert before is not None
    assert after is not None
    return (middle - change.begin) // MINUTE, after - before


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.zone} {change.end:%F}")
def test_lines_run_around_a_clock_change_as_debian_runs_them(change: Change) -> None:
    minute, length = gap(change)
    for line, expected in change.runs.items():
        found = ran(line, change)
        if length >= CORRECTION and line not in WILDCARD:
            assert [at for at in found if at != minute] == [at for at in expected if at != minute]
        else:
            assert found == expected, line


def test_the_cases_hold_what_they_are_about() -> None:
    lengths = [gap(change)[1] for change in CHANGES]

    assert sum(len(change.runs) for change in CHANGES) == 792
    assert max(lengths) == timedelta(days=1)
    assert sum(length > timedelta() for length in lengths) == 17
    assert sum(length < timedelta() for length in lengths) == 15


@pytest.mark.parametrize("line", GOLDEN["days"]["runs"])
def test_days_are_those_of_debian(line: str) -> None:
    begin, length = date.fromisoformat(GOLDEN["days"]["begin"]), GOLDEN["days"]["length"]
    rule = parse_cron(f"0 12 {line}")
    found = occurrences(rule, LocalStart(begin, time()), ZoneInfo("UTC"), policies_for(rule))

    days = takewhile(lambda day: day < length, ((slot.local.date() - begin).days for slot in found))

    assert list(days) == GOLDEN["days"]["runs"][line]
