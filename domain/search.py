"""What a search asks for: web-search syntax as the text of a PostgreSQL `tsquery`.

Words must all occur, `or` separates alternatives, `-` excludes a word or a phrase, quotes make a
phrase, and the last word matches as a prefix. Each word is quoted, and holds letters and numbers
only, so nothing that a person types is read as an operator of `to_tsquery`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from domain.text import folded, search_text

# Keyboards write these for "; the folding leaves them as they are.
_QUOTES = str.maketrans("“”„‟", '""""')
_TOKEN = re.compile(
    r'(?P<minus>-+(?=[^\s-]))?(?:"(?P<phrase>[^"]*)(?P<closed>"?)|(?P<word>[^\s"]+))'
)


@dataclass(frozen=True, slots=True)
class Query:
    """A search, as texts for `to_tsquery('simple', ...)`.

    `match` is None where the search asks for nothing, which every task answers. `rank` holds what
    relevance is measured by, which is all but the exclusions; None where nothing is left.
    """

    match: str | None
    rank: str | None


@dataclass(frozen=True, slots=True)
class _Term:
    operand: str
    is_excluded: bool = False
    is_or: bool = False

    def match(self) -> str:
        return f"!{self.operand}" if self.is_excluded else self.operand


def query(text: str) -> Query:
    """Returns what the text searches for; any text without NUL and lone surrogates will do."""
    terms = _settled(list(_terms(folded(text).translate(_QUOTES))))
    groups = [list(group) for is_or, group in groupby(terms, lambda term: term.is_or) if not is_or]
    matches = [_all([term.match() for term in group]) for group in groups]
    wanted = [[term.operand for term in group if not term.is_excluded] for group in groups]
    ranks = [_all(operands) for operands in wanted if operands]
    return Query(" | ".join(matches) or None, " | ".join(ranks) or None)


def _all(operands: Sequence[str]) -> str:
    return f"({' & '.join(operands)})"


def _settled(terms: Sequence[_Term]) -> Iterator[_Term]:
    """Yields the terms; an `or` without a term on either side is a word like others."""
    separates = True
    for index, term in enumerate(terms):
        separates = term.is_or and not separates and index + 1 < len(terms)
        yield term if separates or not term.is_or else _Term(term.operand)


def _terms(folded: str) -> Iterator[_Term]:
    end = len(folded.rstrip())
    for token in _TOKEN.finditer(folded):
        is_excluded = token["minus"] is not None
        is_last = token.end() >= end and not is_excluded
        # A word with signs in it, such as foo/bar, is several that follow each other.
        words = search_text(token["word"] or token["phrase"]).split()
        if not words:
            continue
        # Somebody is still writing what the quote began.
        is_prefix = is_last and not token["closed"]
        is_or = token["word"] == "or" and not is_excluded
        yield _Term(_phrase(words, is_prefix=is_prefix), is_excluded, is_or)


def _phrase(words: Sequence[str], *, is_prefix: bool) -> str:
    if not is_prefix:
        # Several lexemes in one pair of quotes follow each other.
        return f"'{' '.join(words)}'"
    before, prefix = " ".join(words[:-1]), f"'{words[-1]}':*"
    return f"('{before}' <-> {prefix})" if before else prefix
