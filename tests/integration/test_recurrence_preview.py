"""`carillon recurrence preview`: one question, or a stream of them."""

import io
import json
import subprocess
import sys

import pytest

from carillon.__main__ import main
from carillon.recurrence_preview import COUNT_MAX, FAILED, LINE_MAX_BYTES, batch

NEW_YORK = ("--timezone", "America/New_York", "--start", "2027-03-13T02:30")


def preview(*arguments: str) -> int:
    return main(["recurrence", "preview", *arguments])


def answers(*lines: object) -> list[dict[str, object]]:
    """Returns what a batch of requests (or of bare lines) is answered with."""
    sent = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    out = io.BytesIO()
    assert batch(io.BytesIO(sent.encode()), out) == 0
    return [json.loads(line) for line in out.getvalue().splitlines()]


def asked(**fields: object) -> dict[str, object]:
    return {"id": 1, "timezone": "UTC", "start": "2027-01-01T09:00", "count": 2} | fields


@pytest.mark.parametrize(
    "_case, what, more, expected",
    [
        ("a rule", ("--rule", "FREQ=DAILY"), (), "13T02:30:00-05:00 14T03:30:00-04:00"),
        ("a line", ("--cron", "30 2 * * *"), (), "13T02:30:00-05:00 14T03:00:00-04:00"),
        (
            "a phrase",
            ("--phrase", "Feed the cat every day"),
            (),
            "13T02:30:00-05:00 14T03:30:00-04:00",
        ),
        ("gap", ("--rule", "FREQ=DAILY"), ("--gap", "skip"), "13T02:30:00-05:00 15T02:30:00-04:00"),
        (
            "gap",
            ("--rule", "FREQ=DAILY"),
            ("--gap", "run-after"),
            "13T02:30:00-05:00 14T03:00:00-04:00",
        ),
        (
            "month end",
            ("--rule", "FREQ=MONTHLY;BYMONTHDAY=31"),
            ("--month-end", "clamp"),
            "31T02:30:00-04:00 30T02:30:00-04:00",
        ),
        (
            "after",
            ("--rule", "FREQ=DAILY"),
            ("--after", "2027-03-14T07:30:00Z"),
            "15T02:30:00-04:00 16T02:30:00-04:00",
        ),
    ],
)
def test_one_question_is_answered_line_by_line(
    _case: str,
    what: tuple[str, ...],
    more: tuple[str, ...],
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = preview(*what, *NEW_YORK, *more, "--count", "2")

    out, err = capsys.readouterr()
    assert code == 0
    assert [line[8:] for line in out.splitlines()] == expected.split()
    assert err.count("\n") == 1


def test_both_equal_times_are_shown_with_their_offsets(capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--timezone", "America/New_York", "--start", "2027-11-07T01:30")

    assert preview("--rule", "FREQ=DAILY", *where, "--overlap", "both", "--count", "2") == 0

    out, err = capsys.readouterr()
    assert out.splitlines() == ["2027-11-07T01:30:00-04:00", "2027-11-07T01:30:00-05:00"]
    assert err == "Every day at 1:30\n"


def test_offsets_with_seconds_are_told_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--timezone", "Europe/Paris", "--start", "1880-01-01T12:00")

    assert preview("--rule", "FREQ=YEARLY", *where, "--count", "1") == 0

    assert capsys.readouterr().out == "1880-01-01T11:50:39+00:00\n"


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("--rule", "FREQ=DAILY;INTERVAL=0", *NEW_YORK), "rule: INTERVAL: '0'"),
        (
            ("--rule", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", *NEW_YORK),
            "rule: The rule finds no date",
        ),
        (("--cron", "5-1 * * * *", *NEW_YORK), "cron: In '5-1'"),
        (("--phrase", "everyday carry", *NEW_YORK), "phrase: No phrase is found"),
        (("--rule", "FREQ=DAILY"), "timezone: Write an IANA time zone name"),
        (("--rule", "FREQ=DAILY", "--timezone", "Mars/Base"), "timezone: Write"),
        (("--rule", "FREQ=DAILY", "--timezone", "America"), "timezone: Write"),
        (("--rule", "FREQ=DAILY", "--timezone", "Factory"), "timezone: Write"),
        (("--rule", "FREQ=DAILY", "--timezone", "../../etc/passwd"), "timezone: Write"),
        (("--rule", "FREQ=DAILY", "--timezone", "UTC"), "start: Write a local time"),
        (
            ("--rule", "FREQ=DAILY", "--timezone", "UTC", "--start", "2027-01-01T09:00Z"),
            "start: Write",
        ),
        (
            ("--rule", "FREQ=DAILY", *NEW_YORK, "--gap", "jump"),
            "gap: Write one of run-after|shift|skip",
        ),
        (
            ("--rule", "FREQ=DAILY", *NEW_YORK, "--after", "2027-01-01T09:00"),
            "after: Write an instant",
        ),
        (
            ("--rule", "FREQ=DAILY", *NEW_YORK, "--count", "0"),
            f"count: Write a number from 1 to {COUNT_MAX}",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_way_out(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert preview(*arguments) == FAILED

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says)


def test_a_batch_is_answered_in_order_and_a_bad_line_costs_itself() -> None:
    found = answers(
        asked(id="a", rule="RRULE:FREQ=DAILY"),
        "nonsense",
        asked(id={"any": "json"}, cron="0 9 30 2 *"),
        "",
        "[1]",
        asked(id=None, phrase="every weekday at 9", count=1),
        "[" * 100_000,
    )

    assert [answer["id"] for answer in found] == ["a", None, {"any": "json"}, None, None, None]
    assert found[0]["occurrences"] == ["2027-01-01T09:00:00+00:00", "2027-01-02T09:00:00+00:00"]
    assert found[4]["occurrences"] == ["2027-01-01T09:00:00+00:00"]
    assert ["error" in answer for answer in found] == [False, True, True, True, False, True]


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"rule": "FREQ=DAILY;COUNT=1", "rdate": ["2027-01-05T10:00", "20270106T100000"]},
         "01T09 05T10"),
        ({"rule": "FREQ=DAILY;COUNT=3", "exdate": ["2027-01-02T09:00"], "count": 9}, "01T09 03T09"),
        ({"rule": "FREQ=DAILY;COUNT=3", "exdate": ["2027-01-02"], "rdate": None, "count": 9},
         "01T09 03T09"),
        ({"cron": "0 9 * * *", "exdate": ["2027-01-02T09:00"]}, "01T09 03T09"),
        ({"cron": "0 9 * * *", "after": "2027-01-02T10:00:00+01:00"}, "03T09 04T09"),
        ({"cron": "0 9 * * *", "after": None, "gap": None, "what": "ever"}, "01T09 02T09"),
        ({"rule": "FREQ=MONTHLY;BYMONTHDAY=31", "month_end": "clamp", "start": "2027-01-31"},
         "31T00 28T00"),
        ({"rule": "FREQ=DAILY", "gap": "RUN_AFTER", "overlap": "Last"}, "01T09 02T09"),
        ({"phrase": "every day at 7", "start": "2027-01-01T09:00"}, "02T07 03T07"),
    ],
)  # fmt: skip
def test_the_fields_of_a_request(fields: dict[str, object], expected: str) -> None:
    (answer,) = answers(asked(**fields))

    occurrences = answer["occurrences"]
    assert isinstance(occurrences, list)
    assert [moment[8:13] for moment in occurrences] == expected.split()


@pytest.mark.parametrize(
    "fields, says",
    [
        ({}, "rule: Give exactly one of rule, cron and phrase"),
        ({"rule": "FREQ=DAILY", "cron": "@daily"}, "rule: Give exactly one"),
        ({"rule": 5}, "rule: Write a text"),
        ({"rule": "FREQ=DAILY", "timezone": 5}, "timezone: Write"),
        ({"rule": "FREQ=DAILY", "start": ["x"]}, "start: Write"),
        ({"rule": "FREQ=DAILY", "start": "2027-02-30"}, "start: Write"),
        ({"rule": "FREQ=DAILY", "count": True}, "count: Write"),
        ({"rule": "FREQ=DAILY", "count": "2"}, "count: Write"),
        ({"rule": "FREQ=DAILY", "count": 10**9}, "count: Write"),
        ({"rule": "FREQ=DAILY", "after": 5}, "after: Write"),
        ({"rule": "FREQ=DAILY", "after": "9999-12-31T23:59:59-23:59"}, "after: Write"),
        ({"rule": "FREQ=DAILY", "rdate": "2027-01-01"}, "rdate: Write a list"),
        ({"rule": "FREQ=DAILY", "exdate": ["soon"]}, "exdate: 'soon' is no local time"),
        ({"rule": "FREQ=DAILY", "overlap": 2}, "overlap: Write one of first|last|both"),
        ({"rule": "FREQ=DAILY;UNTIL=20260101"}, "rule: UNTIL: 20260101 lies before the start"),
    ],
)
def test_the_field_that_is_wrong_is_named(fields: dict[str, object], says: str) -> None:
    (answer,) = answers(asked(**fields))

    assert set(answer) == {"id", "error"}
    assert str(answer["error"]).startswith(says)


def test_a_line_too_long_is_passed_over() -> None:
    long = json.dumps(asked(rule="x" * (LINE_MAX_BYTES + 10)))

    found = answers(long, asked(id=2, cron="@daily"))

    assert "at most" in str(found[0]["error"])
    assert found[1]["id"] == 2
    assert "occurrences" in found[1]


def test_a_batch_answers_as_single_questions_do(capsys: pytest.CaptureFixture[str]) -> None:
    for kind, text in (("rule", "FREQ=HOURLY;INTERVAL=5"), ("cron", "*/7 1-3 * * *")):
        where = ("--timezone", "America/New_York", "--start", "2027-03-14T00:00", "--count", "30")
        assert preview(f"--{kind}", text, *where) == 0
        single = capsys.readouterr().out.splitlines()

        fields = {kind: text, "timezone": "America/New_York", "start": "2027-03-14T00:00"}
        assert answers(asked(**fields, count=30))[0]["occurrences"] == single


def test_each_line_is_answered_before_the_next_is_sent() -> None:
    command = [sys.executable, "-m", "carillon", "recurrence", "preview", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(json.dumps(asked(id=number, cron="@daily")).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait(timeout=10) == 0
