"""What web-search syntax becomes for the database; what that finds is an integration test."""

import pytest

from domain.search import Query, query


@pytest.mark.parametrize(
    "text, match, rank",
    [
        ("fix sink", "('fix' & 'sink':*)", "('fix' & 'sink':*)"),
        ('"fix sink"', "('fix sink')", "('fix sink')"),
        ('"fix sink', "(('fix' <-> 'sink':*))", "(('fix' <-> 'sink':*))"),
        ("a -b", "('a' & !'b')", "('a')"),
        ('-"a b" c', "(!'a b' & 'c':*)", "('c':*)"),
        ("a or b c", "('a') | ('b' & 'c':*)", "('a') | ('b' & 'c':*)"),
        ("a or -b", "('a') | (!'b')", "('a')"),
        ("-a", "(!'a')", None),
        ("or a or", "('or' & 'a' & 'or':*)", "('or' & 'a' & 'or':*)"),
        ("it's \\", "('it s')", "('it s')"),
        ("a\\'b", "(('a' <-> 'b':*))", "(('a' <-> 'b':*))"),
        ("-foo/bar@c.org x", "(!'foo bar c org' & 'x':*)", "('x':*)"),
        ("a_b:* <i>", "('a b' & 'i':*)", "('a b' & 'i':*)"),
        ("", None, None),
        (' - "" & ', None, None),
    ],
)
def test_a_search_becomes_a_query(text: str, match: str | None, rank: str | None) -> None:
    assert query(text) == Query(match, rank)
