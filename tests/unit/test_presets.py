"""The four presets: plain rules, with a month end that people expect."""

from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from domain.recurrence.policies import Choices, MonthEnd, policies_for
from domain.recurrence.presets import Preset, preset
from domain.recurrence.rrule_text import parse_rrule, text_of
from domain.recurrence.schedule import occurrences
from tests.recurrences import local_start


def days(name: Preset, start: str, choices: Choices | None = None) -> str:
    rule = preset(name)
    found = occurrences(rule, local_start(start), ZoneInfo("UTC"), policies_for(rule, choices))
    return " ".join(f"{slot.local:%Y-%m-%d}" for slot in islice(found, 3))


@pytest.mark.parametrize(
    "name, start, expected",
    [
        (Preset.DAILY, "2027-01-31", "2027-01-31 2027-02-01 2027-02-02"),
        (Preset.WEEKLY, "2027-01-31", "2027-01-31 2027-02-07 2027-02-14"),
        (Preset.MONTHLY, "2027-01-31", "2027-01-31 2027-02-28 2027-03-31"),
        (Preset.YEARLY, "2028-02-29", "2028-02-29 2029-02-28 2030-02-28"),
    ],
)
def test_a_preset_repeats_its_start(name: Preset, start: str, expected: str) -> None:
    assert days(name, start) == expected


def test_an_explicit_month_end_wins() -> None:
    skipped = days(Preset.MONTHLY, "2027-01-31", Choices(month_end=MonthEnd.SKIP))

    assert skipped == "2027-01-31 2027-03-31 2027-05-31"


@pytest.mark.parametrize("name", Preset)
def test_a_preset_is_kept_as_a_rule(name: Preset) -> None:
    assert parse_rrule(text_of(preset(name))) == preset(name)
    assert policies_for(parse_rrule(text_of(preset(name)))) == policies_for(preset(name))
