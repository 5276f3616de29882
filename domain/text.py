"""What a text may hold, and the form in which texts are compared and sorted."""

import unicodedata

from domain.errors import invalid

# A B-tree entry of PostgreSQL holds at most 2,704 bytes; the sort key shares it with two ids.
KEY_MAX_BYTES = 2_600
# A search vector holds at most 1,048,575 bytes, positions among them: at worst, short words that
# all differ, twice the bytes of the text. No text that keeps its length when folded is cut.
SEARCH_MAX_BYTES = 500_000
# Folding is by character, accents apart, and those go: parts fold as the whole does. What a few
# characters can become (18 each, at most) is then bounded before it is made.
PIECE_CHARS = 10_000
# Spaces, accents on nothing, what formats: not there for a reader. Private use and what this
# Python's Unicode does not know yet (a new emoji) may be.
_UNSEEN = frozenset(("Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Mn", "Me"))
# Letters and a symbol that are made to be blank: Hangul's fillers, braille without a dot.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def storable(value: str) -> bool:
    """Tells whether every store and wire can hold the text: no NUL, no lone surrogate."""
    return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)


def line(value: str | None, path: tuple[str, ...], *, longest: int) -> str:
    """Returns a trimmed single-line text of 1 to `longest` characters.

    Raises:
        Refused: INVALID; the text is missing, blank, too long, or holds control characters.
    """
    if value is None:
        raise invalid("This may not be null.", *path)
    trimmed = value.strip()
    if not storable(value) or any(unicodedata.category(char) == "Cc" for char in trimmed):
        raise invalid("Remove control characters and lone surrogates.", *path)
    if not any(_is_seen(char) for char in trimmed):
        raise invalid("Write at least one visible character.", *path)
    if len(trimmed) > longest:
        raise invalid(f"Use at most {longest} characters; these are {len(trimmed)}.", *path)
    if len(sort_key(trimmed).encode()) > KEY_MAX_BYTES:
        raise invalid("Use fewer compatibility characters: the text is too long to sort.", *path)
    return trimmed


def _is_seen(char: str) -> bool:
    return unicodedata.category(char) not in _UNSEEN and char not in _BLANK


def body(value: str | None, path: tuple[str, ...], *, longest: int) -> str:
    """Returns a text of several lines, of at most `longest` characters, as it was given.

    Raises:
        Refused: INVALID; the text is null, too long, or holds NUL or lone surrogates.
    """
    if value is None:
        raise invalid("This may not be null; an empty text clears it.", *path)
    if not storable(value):
        raise invalid("Remove NUL characters and lone surrogates.", *path)
    if len(value) > longest:
        raise invalid(f"Use at most {longest} characters; these are {len(value)}.", *path)
    return value


def sort_key(value: str) -> str:
    """Returns the text by whose code points titles and names are compared: NFKD, case-folded."""
    return unicodedata.normalize("NFKD", value).casefold()


def folded(value: str) -> str:
    """Returns the text as `sort_key` does, without accents: "cafe" is "Café"."""
    decomposed = unicodedata.normalize("NFKD", sort_key(value))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def search_text(value: str) -> str:
    """Returns the words of a text, folded, with a space for everything between them.

    Both sides of a search go through here. The database's parser alone would take foo/bar for a
    file, a@b.org for an address and <b> for a tag: each one word, or none. What lies beyond
    SEARCH_MAX_BYTES is left out, from the end of a word on.
    """
    words, room = "", SEARCH_MAX_BYTES
    for start in range(0, len(value), PIECE_CHARS):
        piece = folded(value[start : start + PIECE_CHARS])
        text = "".join(char if char.isalnum() else _sign(char) for char in piece)
        words += text
        room -= len(text.encode())
        if room < 0:
            fitting = words.encode()[:SEARCH_MAX_BYTES].decode(errors="ignore")
            return fitting.rpartition(" ")[0]
    return words


def _sign(char: str) -> str:
    """Returns what becomes of a character that is no letter or number."""
    category = unicodedata.category(char)
    # Vowel signs belong to their words; "other symbols" are emoji; what formats is not seen.
    if category[0] == "M" or category == "So":
        return char
    return "" if category == "Cf" and char != "\N{ZERO WIDTH SPACE}" else " "
