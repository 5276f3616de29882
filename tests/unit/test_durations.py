"""Durations, as texts and back."""

from datetime import timedelta

import pytest

from domain.durations import Duration, duration_text, parse


@pytest.mark.parametrize(
    "text, days, span",
    [
        ("PT30M", 0, timedelta(minutes=30)),
        ("P1D", 1, timedelta()),
        ("P2W", 14, timedelta()),
        ("P1DT2H3M4S", 1, timedelta(hours=2, minutes=3, seconds=4)),
        ("PT0S", 0, timedelta()),
        ("PT24H", 0, timedelta(hours=24)),
    ],
)
def test_a_duration_is_read(text: str, days: int, span: timedelta) -> None:
    assert parse(text) == Duration(days=days, span=span)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1DT",
        "1D",
        "P1M",
        "P1Y",
        "PT1.5H",
        "-P1D",
        "P1D ",
        "PT1S1M",
        "P\N{ARABIC-INDIC DIGIT ONE}D",
    ],
)
def test_what_has_no_one_length_or_form_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("P1W", "P7D"),
        ("PT90M", "PT1H30M"),
        ("PT24H", "PT24H"),
        ("P0D", "PT0S"),
        ("P1DT30S", "P1DT30S"),
    ],
)
def test_each_duration_has_one_text(text: str, canonical: str) -> None:
    found = parse(text)
    assert found is not None
    assert duration_text(found) == canonical
    assert parse(canonical) == found
