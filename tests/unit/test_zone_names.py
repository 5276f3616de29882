"""A time zone is one that somebody can live in."""

import pytest

from schema.scalars import SCALARS, TimeZone

parse = SCALARS[TimeZone].parse_value


@pytest.mark.parametrize("name", ["Europe/Paris", "UTC", "Etc/GMT+5", "America/Port-au-Prince"])
def test_a_zone_is_read_by_its_name(name: str) -> None:
    assert parse is not None
    assert parse(name).key == name


@pytest.mark.parametrize(
    "_case, name",
    [
        ("the stand-in for a zone that was not set", "Factory"),
        ("a path", "../Paris"),
        ("no zone", "Europe/Nowhere"),
        ("an abbreviation", "CEST"),
        ("a table beside the zones", "leapseconds"),
    ],
)
def test_what_is_no_zone_is_refused(_case: str, name: str) -> None:
    assert parse is not None
    with pytest.raises(ValueError, match="IANA"):
        parse(name)
