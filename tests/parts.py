"""What a test does whose real parts are not here: it says which, and must not in CI."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from cluster.parts import PartMissing


def lacking(what: str) -> NoReturn:
    """Skips the test, or fails it where nothing may be skipped."""
    # A run that must not skip is one of CI, or says CARILLON_TEST_PARTS=required.
    environment = os.environ  # noqa: TID251 - of the test run, not of Carillon
    if "CI" in environment or environment.get("CARILLON_TEST_PARTS") == "required":
        pytest.fail(what)
    pytest.skip(what)


@contextmanager
def required() -> Iterator[None]:
    """Turns a part that is missing into the words above."""
    try:
        yield
    except PartMissing as missing:
        lacking(str(missing))
