"""What a server must be, told in one line where it is not."""

import pytest

from infra.postgres.fitness import Unfit, require_suitable


@pytest.mark.parametrize("version", [15, 18, 20])
def test_the_oldest_and_newer_releases_are_taken(version: int) -> None:
    require_suitable("db.example", version=version, encoding="UTF8")


@pytest.mark.parametrize(
    "version, encoding, says",
    [
        (14, "UTF8", "The database at db.example is PostgreSQL 14. Use 15 or newer."),
        (18, "LATIN1", "keeps texts as LATIN1.*ENCODING 'UTF8'"),
        (18, "SQL_ASCII", "keeps texts as SQL_ASCII"),
    ],
)
def test_others_are_refused_with_the_way_out(version: int, encoding: str, says: str) -> None:
    with pytest.raises(Unfit, match=says):
        require_suitable("db.example", version=version, encoding=encoding)
