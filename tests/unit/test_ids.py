"""Ids."""

import time

import pytest

from domain.ids import parse_uuid
from infra.ids import uuid7


def test_new_ids_are_of_version_7_and_carry_the_time() -> None:
    before = time.time_ns() // 1_000_000

    new = uuid7()

    assert (new.version, new.variant) == (7, "specified in RFC 4122")
    assert before <= new.int >> 80 <= time.time_ns() // 1_000_000


def test_new_ids_differ() -> None:
    assert len({uuid7() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{01936f2e-8c1a-7c3e-9d54-0242ac120002}",
        "urn:uuid:01936f2e-8c1a-7c3e-9d54-0242ac120002",
        "01936f2e8c1a7c3e9d540242ac120002",
        "01936f2e-8c1a-7c3e-9d54-0242ac12000g",
        "01936f2e-8c1a-7c3e-9d540-242ac120002",
        "\u06601936f2e-8c1a-7c3e-9d54-0242ac12000",
        "01936f2e-8c1a-7c3e-9d54-0242ac12000_",
        "-1936f2e-8c1a-7c3e-9d54-0242ac120002",
    ],
)
def test_only_the_canonical_form_is_an_id(text: str) -> None:
    assert parse_uuid(text) is None


def test_either_case_is_the_same_id() -> None:
    new = uuid7()

    assert parse_uuid(str(new).upper()) == parse_uuid(str(new)) == new
