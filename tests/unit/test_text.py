"""Texts are what every store can hold, and compare as people expect."""

import pytest

from domain.errors import Code, Refused
from domain.text import (
    KEY_MAX_BYTES,
    PIECE_CHARS,
    SEARCH_MAX_BYTES,
    body,
    line,
    search_text,
    sort_key,
    storable,
)

PATH = ("input", "title")


def test_a_line_is_trimmed() -> None:
    assert line("  Buy milk\n", PATH, longest=8) == "Buy milk"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " \t\n",
        "a\0b",
        "a\ud800",
        "\udfff",
        "two\nlines",
        "\x1b[31m",
        "x" * 9,
        "ﷺ" * 8 * 50,
    ],
)
def test_a_line_is_refused_with_its_path(value: str | None) -> None:
    with pytest.raises(Refused) as refused:
        line(value, PATH, longest=8)

    (problem,) = refused.value.problems
    assert (problem.code, problem.path) == (Code.INVALID, PATH)


def test_a_line_whose_key_would_not_fit_an_index_is_refused() -> None:
    assert len(sort_key("ﷺ" * 500).encode()) > KEY_MAX_BYTES
    with pytest.raises(Refused):
        line("ﷺ" * 500, PATH, longest=500)


def test_a_body_is_kept_as_it_is() -> None:
    assert body(" a\r\n\tb ", PATH, longest=20) == " a\r\n\tb "
    assert body("", PATH, longest=0) == ""


@pytest.mark.parametrize(
    "_case, value",
    [
        ("zero-width space", "\u200b"),
        ("byte order mark and spaces", "\ufeff \u2003\u200d"),
        ("soft hyphen", "\xad"),
        ("variation selector", "\ufe0f"),
        ("accent on nothing", "\u0301"),
        ("Hangul fillers", "\u115f\u1160\u3164\uffa0"),
        ("braille blank", "\u2800"),
    ],
)
def test_a_line_needs_something_to_see(_case: str, value: str) -> None:
    with pytest.raises(Refused, match="visible"):
        line(value, PATH, longest=8)


@pytest.mark.parametrize(
    "value", ["x", "7", "?", "€", "🔔", "牛", "\u0903", "\U0010fffd", "\u0378"]
)
def test_a_sign_alone_is_a_line(value: str) -> None:
    # Private use and what this Python does not know yet, such as a new emoji, may be visible.
    assert line(value, PATH, longest=8) == value


@pytest.mark.parametrize("value", [None, "\0", "\ud800", "123456"])
def test_a_body_is_refused(value: str | None) -> None:
    with pytest.raises(Refused):
        body(value, PATH, longest=5)


def test_what_can_be_stored() -> None:
    assert storable("𝄞 \ue000 \uffff\U0010ffff")
    assert not storable("\0")
    assert not storable("\ud834\udd1e")


def test_keys_ignore_case_and_form() -> None:
    assert sort_key("Straße") == sort_key("STRASSE")
    assert sort_key("ﬁx") == sort_key("FIX")
    assert sort_key("e\u0301") == sort_key("É")
    assert sort_key("e") != sort_key("é")


def test_searches_ignore_accents_too() -> None:
    assert search_text("Crème BRÛLÉE") == "creme brulee"
    # Folding makes what can be decomposed again.
    assert search_text("ŉ") == "\N{MODIFIER LETTER APOSTROPHE}n"
    assert search_text("İ") == "i"


def test_what_is_searched_ends_at_a_word_where_it_gets_too_long() -> None:
    ligature = "\ufdfa "  # four words, 36 bytes once folded
    whole, long = search_text(ligature * 9_000), search_text(ligature * 50_000)

    assert len(whole.split()) == 4 * 9_000
    assert SEARCH_MAX_BYTES - 36 < len(long.encode()) <= SEARCH_MAX_BYTES
    assert set(long.split()) == set(whole.split())
    assert search_text("x" * 2 * SEARCH_MAX_BYTES) == ""


@pytest.mark.parametrize("piece", ["e\u0301", "\u1100\u1161\u11a8", "a\u0323\u0307", "\ufb03"])
def test_where_a_text_is_parted_does_not_show(piece: str) -> None:
    for before in range(5):
        assert search_text("x" * (PIECE_CHARS - before) + piece) == (
            "x" * (PIECE_CHARS - before) + search_text(piece)
        )


def test_searches_see_words_and_nothing_between_them() -> None:
    assert " ".join(search_text("foo/bar <b>x</b> a@b.org").split()) == "foo bar b x b a b org"
    assert " ".join(search_text("snake_case, l'ete; “2½”").split()) == "snake case l ete 21 2"
    # Vowel signs and emoji belong to words; soft hyphens are not seen, zero-width spaces separate.
    assert search_text("हिन्दी 🎉") == "हिनदी 🎉"
    assert search_text("co\u00adop a\u200bb") == "coop a b"
