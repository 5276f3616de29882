"""The public schema keeps what clients rely on."""

from pathlib import Path

from graphql import build_schema, print_schema
from graphql.utilities import (
    BreakingChangeType,
    DangerousChangeType,
    find_breaking_changes,
    find_dangerous_changes,
)

from carillon.graphql import build, sdl

HERE = Path(__file__).parent
CONTRACT = (HERE / "contract.graphql").read_text()
SNAPSHOT = HERE.parents[1] / "schema" / "schema.graphql"

# What comes with series, reminders, notifications and live views. This list only shrinks.
NOT_YET = {
    "Duration was removed.",
    "GapPolicy was removed.",
    "OverlapPolicy was removed.",
    "MonthEndPolicy was removed.",
    "AnchorPolicy was removed.",
    "CatchUpPolicy was removed.",
    "OpenPolicy was removed.",
    "RecurrencePreset was removed.",
    "NotificationChannel was removed.",
    "TaskViewStepKind was removed.",
    "Series was removed.",
    "Occurrence was removed.",
    "Recurrence was removed.",
    "RecurrenceStart was removed.",
    "RecurrencePolicies was removed.",
    "RecurrencePreview was removed.",
    "RecurrenceInput was removed.",
    "RecurrenceStartInput was removed.",
    "RecurrencePoliciesInput was removed.",
    "Reminder was removed.",
    "ReminderAddInput was removed.",
    "ReminderRemoveInput was removed.",
    "ReminderAddPayload was removed.",
    "ReminderRemovePayload was removed.",
    "Notification was removed.",
    "NotificationPage was removed.",
    "NotificationMessage was removed.",
    "NotificationReadPayload was removed.",
    "TaskViewMessage was removed.",
    "TaskViewSnapshot was removed.",
    "TaskViewDelta was removed.",
    "TaskViewStep was removed.",
}


def test_the_schema_is_the_one_in_the_repository() -> None:
    assert sdl() == SNAPSHOT.read_text(), "run `make schema` and look at what changed"


def test_nothing_that_clients_rely_on_is_dropped_or_made_stricter() -> None:
    changes = find_breaking_changes(build_schema(CONTRACT), build_schema(sdl()))

    assert {change.description for change in changes} == NOT_YET


def test_no_default_has_changed() -> None:
    changes = find_dangerous_changes(build_schema(CONTRACT), build_schema(sdl()))

    changed = [c for c in changes if c.type is DangerousChangeType.ARG_DEFAULT_VALUE_CHANGE]
    assert changed == []


def test_a_dropped_field_would_be_found() -> None:
    less = CONTRACT.replace("title: String! description: String! status", "title: String! status")

    changes = find_breaking_changes(build_schema(CONTRACT), build_schema(less))

    assert BreakingChangeType.FIELD_REMOVED in {change.type for change in changes}


def test_the_printed_schema_is_complete() -> None:
    assert print_schema(build_schema(sdl())) == print_schema(build()._schema)
