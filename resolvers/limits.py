"""How large a document may be: measured on its syntax, before validation costs anything.

Fragments count wherever they are spread, since that is how they are executed, and since a few
lines of them can stand for millions of fields.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from graphql.language import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from domain.errors import OverLimit

# GraphiQL's introspection has 350; a page with every field of everything about 300.
TOKENS_MAX = 2_000
CHARACTERS_MAX = 100_000
COMMENTS_MAX = 500
# Every type of the schema is reached within 6; subtasks of subtasks take 3 more each.
DEPTH_MAX = 15
# Of all operations and fragments together: a few times what the largest screen needs.
FIELDS_MAX = 3_000
# Validation compares the fields that share a place in the answer, two by two, at up to 10 us.
PAIRS_MAX = 2_000
# Mutations of one request run one after the other, each a commit.
ROOTS_MAX = 50
# Each page is a subquery, written and planned for every new document, at some 10 ms.
PAGES_MAX = 60
ALIASES_MAX = 200
# It stands in the answer once for each object.
KEY_MAX_CHARS = 100
DIRECTIVES_MAX = 50

# A selection set, and the fragments that one is inside of there.
_Set: TypeAlias = tuple[SelectionSetNode, frozenset[str]]


def require_modest(document: DocumentNode) -> None:
    """Raises OverLimit where the document is deeper, wider or longer than one may be."""
    fragments = {
        one.name.value: one
        for one in document.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    meter = _Meter(fragments)
    for one in document.definitions:
        if isinstance(one, OperationDefinitionNode | FragmentDefinitionNode):
            meter.measure([(one.selection_set, frozenset())], 1)


def require_few_pages(count: int) -> None:
    """Raises OverLimit where an operation has more connections than one may."""
    _require(count, PAGES_MAX, "Ask for at most {} connections.")


def require_few_roots(count: int) -> None:
    """Raises OverLimit where an operation has more root fields than one may."""
    _require(count, ROOTS_MAX, "Ask for at most {} root fields.")


@dataclass(slots=True)
class _Meter:
    """Walks over the answer's shape; it stops where a limit is passed, so it is never slow."""

    fragments: Mapping[str, FragmentDefinitionNode]
    fields: int = 0
    pairs: int = 0
    aliases: int = 0
    directives: int = 0

    def measure(self, sets: Sequence[_Set], depth: int) -> None:
        _require(depth, DEPTH_MAX, "Nest at most {} levels of fields.")
        places: dict[str, list[tuple[FieldNode, frozenset[str]]]] = {}
        for chosen, inside in sets:
            for node, within in self._fields(chosen, inside):
                key = node.alias.value if node.alias else node.name.value
                places.setdefault(key, []).append((node, within))
        for found in places.values():
            self._count_pairs(len(found))
            # Introspection is deep by nature; a rule of its own bounds what is costly in it.
            deeper = 1 if found[0][0].name.value.startswith("__") else depth + 1
            below = [(node.selection_set, within) for node, within in found if node.selection_set]
            if below:
                self.measure(below, deeper)

    def _fields(
        self, chosen: SelectionSetNode, inside: frozenset[str]
    ) -> Iterator[tuple[FieldNode, frozenset[str]]]:
        spreads = 0
        for node in chosen.selections:
            self._count_directives(len(node.directives or ()))
            if isinstance(node, FieldNode):
                self._count_field(node)
                yield node, inside
            elif isinstance(node, InlineFragmentNode):
                yield from self._fields(node.selection_set, inside)
            elif isinstance(node, FragmentSpreadNode):
                spreads += 1
                yield from self._spread(node.name.value, inside)
        self._count_pairs(spreads)

    def _spread(
        self, name: str, inside: frozenset[str]
    ) -> Iterator[tuple[FieldNode, frozenset[str]]]:
        # What is not there, or spreads itself, is for validation to refuse.
        if name in self.fragments and name not in inside:
            yield from self._fields(self.fragments[name].selection_set, inside | {name})

    def _count_field(self, node: FieldNode) -> None:
        self.fields += 1
        _require(self.fields, FIELDS_MAX, "Select at most {} fields, all fragments spread out.")
        if node.alias is not None:
            self.aliases += 1
            _require(self.aliases, ALIASES_MAX, "Use at most {} aliases.")
            _require(len(node.alias.value), KEY_MAX_CHARS, "Use aliases of at most {} characters.")

    def _count_directives(self, count: int) -> None:
        self.directives += count
        _require(self.directives, DIRECTIVES_MAX, "Use at most {} directives.")

    def _count_pairs(self, count: int) -> None:
        self.pairs += count * (count - 1) // 2
        _require(self.pairs, PAIRS_MAX, "Ask for each field once: there are over {} repetitions.")


def _require(size: int, most: int, message: str) -> None:
    if size > most:
        raise OverLimit(message.format(most))
