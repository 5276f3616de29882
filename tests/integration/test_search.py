"""Searches find what web-search syntax says, and no text makes the database fail."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.filter_input import SEARCH_MAX_CHARS, parse
from domain.filters import where
from domain.paging import Page, order_for
from domain.search import query
from domain.text import search_text
from tests.task_rows import connect, insert, rows, task

TEXTS = {
    1: ("Fix the kitchen sink", "Call the plumber first"),
    2: ("Paint the kitchen", "The sink is fixed"),
    3: ("Café au lait", "Crème brûlée for two"),
    4: ("Write the e-mail", "To it's-me@example.com about v1.2"),
    5: ("STRASSE or Straße", "ﬁnal ﬂoor"),
    6: ("Orange", "'quoted' & \\escaped\\ | (or not):*"),
    7: ("买牛奶 今天", "🎉 party"),
}


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database_url)
    await insert(
        connection,
        [task(n, title=title, description=text) for n, (title, text) in TEXTS.items()],
    )
    yield connection
    await connection.close()


async def _found(connection: asyncpg.Connection, search: str) -> list[int]:
    """Returns the numbers of the tasks found, in the default order."""
    parsed = parse({"search": search})
    found = await rows(connection, parsed, order_for(None, where(parsed)), Page(size=50))
    return [row["id"].int for row in found]


FULL_WIDTH_KITCHEN = "".join(chr(ord(char) + 0xFEE0) for char in "kitchen")
CASES = {
    "all_words_must_be_there_in_any_order_and_field": {
        "kitchen": [1, 2],
        "sink": [1, 2],
        "fixed": [2],
        "kitchen sink": [1, 2],
        "sink plumber": [1],
        "kitchen lait": [],
    },
    "the_last_word_is_a_prefix_and_the_others_are_whole": {
        "kit": [1, 2],
        "kit sink": [],
        "sink kit": [1, 2],
        "fix": [1, 2],
    },
    "a_phrase_is_found_word_by_word": {
        '"kitchen sink"': [1],
        '"sink kitchen"': [],
        '"the kit"': [],
        '"the kitchen" paint': [2],
    },
    "the_last_word_of_an_unfinished_phrase_is_a_prefix": {
        '"the kit': [1, 2],
        '"kit': [1, 2],
        "“kitchen sink”": [1],
    },
    "a_minus_excludes": {
        "kitchen -paint": [1],
        "-kitchen": [3, 4, 5, 6, 7],
        'the -"kitchen sink"': [2, 4],
        "kitchen --paint": [1],
        "-paint kitch": [1],
        "kitchen -pai": [1, 2],
    },
    "or_stands_between_alternatives_or_is_a_word": {
        "plumber or lait": [1, 3],
        "plumber OR lait": [1, 3],
        "kitchen paint or cafe": [2, 3],
        "or": [5, 6],
        "plumber or": [],
        "or not": [6],
        "plumber or or lait": [1],
        "cafe or -the": [3, 5, 6, 7],
    },
    "accents_case_and_compatibility_forms_do_not_matter": {
        "cafe": [3],
        "CAFÉ CRÈME": [3],
        "strasse": [5],
        "Straße": [5],
        "final floor": [5],
        FULL_WIDTH_KITCHEN: [1, 2],
    },
    "words_with_signs_in_them_are_found": {
        "e-mail": [4],
        "e-mai": [4],
        "it's-me@example.com": [4],
        "v1.2": [4],
        "mail": [4],
        "example": [4],
        '"example com"': [4],
        "exam": [4],
        "me@exam": [4],
        "mail@example": [],
    },
    "other_scripts_are_found": {
        "买牛奶": [7],
        "买牛": [7],
    },
    "operators_of_the_database_mean_nothing": {
        "'quoted' & \\escaped\\": [6],
        "kitchen & | ! ( ) <-> :* sink": [1, 2],
        "kitchen:*": [1, 2],
        "kit:A": [],
        "!kitchen": [1, 2],
        "(kitchen": [1, 2],
        "sink|lait": [],
    },
    "a_search_for_nothing_is_no_condition": {
        "": [1, 2, 3, 4, 5, 6, 7],
        " \t\n": [1, 2, 3, 4, 5, 6, 7],
        "- ' \" ??? &": [1, 2, 3, 4, 5, 6, 7],
        '""': [1, 2, 3, 4, 5, 6, 7],
    },
}


@pytest.mark.parametrize("case", CASES)
async def test_a_search_finds(connection: asyncpg.Connection, case: str) -> None:
    found = {search: sorted(await _found(connection, search)) for search in CASES[case]}

    assert found == CASES[case]


async def test_a_word_in_the_title_weighs_more_and_more_words_weigh_more(
    connection: asyncpg.Connection,
) -> None:
    assert await _found(connection, "kitchen or sink or fixed or paint") == [2, 1]
    assert await _found(connection, "sink") == [1, 2]
    assert await _found(connection, "fix") == [1, 2]


async def test_exclusions_do_not_flatten_the_rank(connection: asyncpg.Connection) -> None:
    assert await _found(connection, "sink -nothing") == [1, 2]
    assert await _found(connection, "kitchen sink -nothing") == [1, 2]


async def test_searches_for_nothing_and_of_exclusions_alone_are_ordered_by_position(
    connection: asyncpg.Connection,
) -> None:
    await connection.execute("UPDATE task SET position = 'V' || (9 - right(id::text, 1)::int)")

    assert await _found(connection, " ") == [7, 6, 5, 4, 3, 2, 1]
    assert await _found(connection, "-kitchen") == [7, 6, 5, 4, 3]


# --- random searches -----------------------------------------------------------------------------

on_the_server = settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SYNTAX = ["or", "-", '"', "'", "''", "\\", "\\'", ":*", "<->", "<2>", "&", "|", "!", "(", ")", " "]
TOKENS = ["foo", "e-mail", "x@y.org", "http://a.b/c?d=e", "-1.5e3", "<b>", "&amp;", "/a/b", "1.2.3"]
UNUSUAL = ["“", "„", "ﷺ", "\u200b", "\u0301", "İ", "ß", "🎉", "\n"]
pieces = st.sampled_from([*SYNTAX, *TOKENS, *UNUSUAL])
texts = st.lists(pieces | st.text(max_size=5), max_size=40).map("".join)


@on_the_server
@given(search=texts | st.text())
async def test_no_text_makes_the_database_fail(connection: asyncpg.Connection, search: str) -> None:
    search = search.replace("\0", "")[:SEARCH_MAX_CHARS]

    await _found(connection, search)


async def test_the_longest_searches_work(connection: asyncpg.Connection) -> None:
    # U+FDFA is folded to 18 characters.
    for search in ("ﷺ" * 500, "a " * 250, "a-" * 250, "'" * 498 + "zz", "(" * 498 + "zz"):
        assert await _found(connection, search) == [], search


WORDS = ["a", "ab", "abc", "b", "bc", "c"]
words = st.sampled_from(WORDS)


@st.composite
def plain_searches(draw: st.DrawFn) -> list[list[tuple[bool, list[str]]]]:
    """Alternatives of terms: whether it is excluded, and the words of the phrase, or the word."""
    term = st.tuples(st.booleans(), st.lists(words, min_size=1, max_size=2))
    return draw(st.lists(st.lists(term, min_size=1, max_size=3), min_size=1, max_size=3))


def _written(excluded: bool, phrase: list[str]) -> str:
    quote = '"' if len(phrase) > 1 else ""
    return "-" * excluded + quote + " ".join(phrase) + quote


def _has(text: list[str], phrase: list[str], *, is_prefix: bool) -> bool:
    if is_prefix:
        return any(word.startswith(phrase[0]) for word in text)
    return any(text[i : i + len(phrase)] == phrase for i in range(len(text)))


@on_the_server
@given(
    alternatives=plain_searches(),
    documents=st.lists(st.lists(words, min_size=1, max_size=4), min_size=1, max_size=5),
)
async def test_a_search_means_what_its_syntax_says(
    connection: asyncpg.Connection,
    alternatives: list[list[tuple[bool, list[str]]]],
    documents: list[list[str]],
) -> None:
    search = " or ".join(
        " ".join(_written(excluded, phrase) for excluded, phrase in terms) for terms in alternatives
    )
    last = alternatives[-1][-1]

    def passes(text: list[str]) -> bool:
        return any(
            all(
                excluded
                != _has(
                    text,
                    phrase,
                    is_prefix=term is last and not excluded and len(phrase) == 1,
                )
                for term in terms
                for excluded, phrase in [term]
            )
            for terms in alternatives
        )

    found = [
        await connection.fetchval(
            "SELECT to_tsvector('simple', $1) @@ to_tsquery('simple', $2)",
            search_text(" ".join(document)),
            query(search).match,
        )
        for document in documents
    ]

    assert found == [passes(document) for document in documents], search
