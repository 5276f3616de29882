"""Filters that come again are not read again, within bounds, and mean what they did."""

from datetime import UTC, datetime

import pytest

from domain.errors import Refused
from resolvers import tasks
from resolvers.tasks import KNOWN_MAX, _where

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def test_a_filter_that_comes_again_is_the_one_that_was_read() -> None:
    given = {"priority": {"gte": "HIGH"}, "due": {"lt": NOW}}
    later = {**given, "due": {"lt": datetime(2027, 1, 2, tzinfo=UTC)}}

    assert _where(given) is _where(dict(given))
    assert _where(later).values(NOW) != _where(given).values(NOW)


def test_what_is_wrong_is_told_each_time_and_not_kept() -> None:
    for given in ({"id": {"eq": "nonsense"}}, {"search": "\ud800"}):
        for _ in range(2):
            with pytest.raises(Refused):
                _where(given)


def test_large_filters_and_too_many_of_them_are_not_kept() -> None:
    large = {"and": [{"search": "x" * 400}, {"search": "y" * 400}, {"search": "z" * 400}]}
    assert _where(large) is not _where(large)

    for number in range(KNOWN_MAX + 10):
        _where({"search": f"word{number}"})

    assert len(tasks._known) == KNOWN_MAX
