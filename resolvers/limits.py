"""How large a document may be: measured on its syntax, before validation costs anything."""

from dataclasses import dataclass, field

from graphql.language import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

from domain.errors import OverLimit

# GraphiQL's introspection has 350; a page with every field of everything about 300.
TOKENS_MAX = 2_000
# Every type of the schema is reached within 6; subtasks of subtasks take 3 more each.
DEPTH_MAX = 15
CHARACTERS_MAX = 100_000
COMMENTS_MAX = 500
# With all fragments spread where they are used: a few times what the largest screen needs.
FIELDS_MAX = 2_000
# Comparing fields that may have to be merged is quadratic in these.
FIELDS_A_SET_MAX = 150
# Mutations of one request run one after the other, each a commit.
ROOTS_MAX = 50
ALIASES_MAX = 100
DIRECTIVES_MAX = 50


@dataclass(frozen=True, slots=True)
class _Size:
    depth: int = 0
    fields: int = 0


@dataclass(slots=True)
class _Meter:
    """Measures selection sets; each fragment once, however often it is spread."""

    fragments: dict[str, FragmentDefinitionNode]
    aliases: int = 0
    directives: int = 0
    known: dict[str, _Size] = field(default_factory=dict)

    def measure(self, chosen: SelectionSetNode | None) -> _Size:
        if chosen is None:
            return _Size()
        if len(chosen.selections) > FIELDS_A_SET_MAX:
            raise OverLimit(f"Select at most {FIELDS_A_SET_MAX} fields in one place.")
        sizes = [self._one(selection) for selection in chosen.selections]
        return _Size(
            depth=max((size.depth for size in sizes), default=0),
            fields=sum(size.fields for size in sizes),
        )

    def _one(self, selection: SelectionNode) -> _Size:
        self.directives += len(selection.directives or ())
        if isinstance(selection, FieldNode):
            self.aliases += selection.alias is not None
            below = self.measure(selection.selection_set)
            # Introspection is deep by nature; a rule of its own bounds what is costly in it.
            is_meta = selection.name.value.startswith("__")
            return _Size(1 if is_meta else below.depth + 1, below.fields + 1)
        if isinstance(selection, InlineFragmentNode):
            return self.measure(selection.selection_set)
        if isinstance(selection, FragmentSpreadNode):
            return self.spread(selection.name.value)
        raise TypeError(selection)

    def spread(self, name: str) -> _Size:
        if name not in self.known:
            # What spreads itself measures as nothing here; validation refuses it.
            self.known[name] = _Size()
            fragment = self.fragments.get(name)
            if fragment is not None:
                self.known[name] = self.measure(fragment.selection_set)
        return self.known[name]


def require_modest(document: DocumentNode) -> None:
    """Raises OverLimit where the document is deeper, wider or longer than one may be."""
    definitions = document.definitions
    fragments = [one for one in definitions if isinstance(one, FragmentDefinitionNode)]
    meter = _Meter({one.name.value: one for one in fragments})
    operations = [one for one in definitions if isinstance(one, OperationDefinitionNode)]
    sizes = [meter.measure(one.selection_set) for one in operations]
    for fragment in fragments:
        meter.spread(fragment.name.value)
    deepest = max((size.depth for size in sizes), default=0)
    _require(deepest, DEPTH_MAX, "Nest at most {} levels of fields; these are {}.")
    _require(sum(s.fields for s in sizes), FIELDS_MAX, "Select at most {} fields; these are {}.")
    _require(meter.aliases, ALIASES_MAX, "Use at most {} aliases; these are {}.")
    _require(meter.directives, DIRECTIVES_MAX, "Use at most {} directives; these are {}.")


def require_few_roots(count: int) -> None:
    """Raises OverLimit where an operation has more root fields than one may."""
    _require(count, ROOTS_MAX, "Ask for at most {} root fields; these are {}.")


def _require(size: int, most: int, message: str) -> None:
    if size > most:
        raise OverLimit(message.format(most, size))
