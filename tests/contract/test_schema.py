"""The public schema keeps what clients rely on."""

from pathlib import Path

from graphql import build_schema
from graphql.utilities import (
    BreakingChangeType,
    DangerousChangeType,
    find_breaking_changes,
    find_dangerous_changes,
)

from carillon.graphql import sdl

HERE = Path(__file__).parent
CONTRACT = (HERE / "contract.graphql").read_text()
SNAPSHOT = HERE.parents[1] / "schema" / "schema.graphql"

# What comes with live views. This list only shrinks.
NOT_YET = {
    "Field Subscription.taskView was removed.",
    "TaskViewDelta was removed.",
    "TaskViewMessage was removed.",
    "TaskViewSnapshot was removed.",
    "TaskViewStep was removed.",
    "TaskViewStepKind was removed.",
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
