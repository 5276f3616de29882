"""Documents: parsed, bounded, validated and prepared once, then found again by their text."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from graphql import (
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_object_type,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.values import VariableValues
from graphql.language import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    Node,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
)

from domain.errors import OverLimit
from domain.selection import Field, Selection
from resolvers.arguments import arguments
from resolvers.coerce import Values, Variables
from resolvers.selection import Chooser, PageReading, says_rows

# A page with all its parts takes 300 tokens, a filter with a hundred ids as many more.
TOKENS_MAX = 4_000
# Comparing fields for conflicts takes time with the square of their number.
FIELDS_MAX = 500
# The same with each fragment in its place: what a plan is made of.
SPREAD_MAX = 2_000
# An introspection query nests 15 deep.
DEPTH_MAX = 20
# A batch of mutations, as an import sends it.
ROOTS_MAX = 50
ERRORS_MAX = 10
# Of all clients together; an application has a few dozen documents.
DOCUMENTS_MAX = 1_000
DOCUMENTS_MAX_CHARS = 8_000_000
# Combinations of @skip and @include that one document is used with.
VARIANTS_MAX = 16

Read: TypeAlias = Callable[[Values], Any]


@dataclass(frozen=True, slots=True)
class Root:
    """One root field whose rows are read: `read` says which, given the request's variables."""

    field: Field
    read: Read


@dataclass(slots=True, eq=False)
class Variant:
    """An operation whose directives are decided: its selections, and how values are read.

    `whole` is all of a query that a plan can answer, None where introspection stands beside it or
    it is no query. `roots` are the fields that say rows. `messages` are the selections of a live
    field by the type of its message. `prepared` is what was prepared of `whole`, `kept` what was
    of its parts.
    """

    whole: Selection | None
    selections: Mapping[str, Selection]
    roots: Mapping[str, Root]
    messages: Mapping[str, Selection]
    pages: Sequence[PageReading]
    costs: dict[tuple[int, ...], int] = field(default_factory=dict)
    kept: dict[Selection, Any] = field(default_factory=dict)
    prepared: Any = None


class Operation:
    """One operation of a valid document."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
    ) -> None:
        self.document = document
        self.node = operation
        self.kind = operation.operation
        self.variables = Variables(schema, operation.variable_definitions or ())
        self._schema = schema
        self._fragments = {
            node.name.value: FragmentDetails(node)
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._switches = sorted(_switches(document))
        self._variants: dict[tuple[Any, ...], Variant] = {}

    def variant(self, values: Values) -> Variant:
        """Returns the operation as these values of its directives' variables leave it."""
        decided = tuple(values.get(name) for name in self._switches)
        found = self._variants.get(decided)
        if found is None:
            if len(self._variants) >= VARIANTS_MAX:
                del self._variants[next(iter(self._variants))]
            found = self._variants[decided] = self._decided(values)
        return found

    def _decided(self, values: Values) -> Variant:
        type_ = self._root_type()
        pages: list[PageReading] = []
        variables = VariableValues({}, {name: values.get(name) for name in self._switches})
        chooser = Chooser(self._schema, self.node, self._fragments, variables, pages)
        selections: dict[str, Selection] = {}
        messages: dict[str, Selection] = {}
        roots: dict[str, Root] = {}
        whole: list[Field] | None = [] if self.kind is OperationType.QUERY else None
        for key, details in chooser.roots(type_).items():
            node = details[0].node
            name = node.name.value
            if name == "__typename":
                whole = None if whole is None else [*whole, Field(key, name)]
                continue
            if name.startswith("__"):
                whole = None
                continue
            definition = type_.fields[name]
            of = get_named_type(definition.type)
            if is_object_type(of):
                selections[key] = chooser.selection(of, details)
            elif is_abstract_type(of):
                possible = self._schema.get_possible_types(of)
                messages |= {one.name: chooser.selection(one, details) for one in possible}
            says = says_rows(definition)
            if says is not None:
                read = _reading(says, arguments(definition, node))
                entry = Field(key, name, selections.get(key))
                roots[key] = Root(entry, read)
                whole = None if whole is None else [*whole, entry]
        selection = Selection(type_.name, tuple(whole)) if whole else None
        return Variant(selection, selections, roots, messages, pages)

    def _root_type(self) -> GraphQLObjectType:
        found = {
            OperationType.QUERY: self._schema.query_type,
            OperationType.MUTATION: self._schema.mutation_type,
            OperationType.SUBSCRIPTION: self._schema.subscription_type,
        }[self.kind]
        assert found is not None  # noqa: S101 - validation has found its fields
        return found


def _reading(says: Callable[..., Any], given: Callable[[Values], dict[str, Any]]) -> Read:
    return lambda values: says(**given(values))


class Documents:
    """Valid operations by text and name, the longest unused forgotten first."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: OrderedDict[tuple[str, str | None], Operation] = OrderedDict()
        self._chars = 0

    def get(self, text: str, name: str | None) -> Operation | list[GraphQLError]:
        """Returns the operation, or what is wrong with the document.

        Raises:
            OverLimit: the document is too large, before it costs anything.
        """
        key = (text, name)
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
            return found
        made = self._prepared(text, name)
        if isinstance(made, Operation):
            self._known[key] = made
            self._chars += len(text)
            while len(self._known) > DOCUMENTS_MAX or self._chars > DOCUMENTS_MAX_CHARS:
                (old, _), _ = self._known.popitem(last=False)
                self._chars -= len(old)
        return made

    def _prepared(self, text: str, name: str | None) -> Operation | list[GraphQLError]:
        try:
            document = parse(text, max_tokens=TOKENS_MAX, no_location=False)
            _bound(document)
            errors = validate(self._schema, document, specified_rules, max_errors=ERRORS_MAX)
        except RecursionError:
            raise OverLimit("The document nests too deep.") from None
        except GraphQLError as error:
            if "tokens" in error.message and "more than" in error.message:
                raise OverLimit(f"Use at most {TOKENS_MAX} tokens a document.") from error
            return [error]
        if errors:
            return errors
        operation = _chosen(document, name)
        if isinstance(operation, GraphQLError):
            return [operation]
        _bound_depth(document, operation)
        return Operation(self._schema, document, operation)


def _chosen(document: DocumentNode, name: str | None) -> OperationDefinitionNode | GraphQLError:
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if name is None:
        if len(operations) == 1:
            return operations[0]
        return GraphQLError("The document has several operations: name one by operationName.")
    for operation in operations:
        if operation.name is not None and operation.name.value == name:
            return operation
    return GraphQLError("The document has no operation of this operationName.")


def _below(node: Node) -> Iterator[Node]:
    for name in node.keys:
        value = getattr(node, name, None)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple | list):
            yield from (item for item in value if isinstance(item, Node))


def _walk(node: Node) -> Iterator[Node]:
    rest = [node]
    while rest:
        one = rest.pop()
        yield one
        rest.extend(_below(one))


def _bound(document: DocumentNode) -> None:
    fields = sum(isinstance(node, FieldNode | FragmentSpreadNode) for node in _walk(document))
    if fields > FIELDS_MAX:
        raise OverLimit(f"Select at most {FIELDS_MAX} fields a document; this selects {fields}.")
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            roots = len(definition.selection_set.selections)
            if roots > ROOTS_MAX:
                raise OverLimit(f"Ask for at most {ROOTS_MAX} root fields; these are {roots}.")


def _bound_depth(document: DocumentNode, operation: OperationDefinitionNode) -> None:
    """Bounds what the operation selects once its fragments are spread, without spreading them.

    Fragments that spread the next one twice make a short document select a million fields.
    """
    fragments = {
        node.name.value: node.selection_set
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    known: dict[str, tuple[int, int]] = {}

    def measured(selected: SelectionSetNode | None) -> tuple[int, int]:
        deepest = total = 0
        for node in selected.selections if selected else ():
            if isinstance(node, FragmentSpreadNode):
                name = node.name.value
                if name not in known:
                    known[name] = measured(fragments[name])
                depth, fields = known[name]
            else:
                depth, fields = measured(getattr(node, "selection_set", None))
            if isinstance(node, FieldNode):
                depth, fields = depth + 1, fields + 1
            deepest, total = max(deepest, depth), total + fields
        return deepest, total

    depth, fields = measured(operation.selection_set)
    if depth > DEPTH_MAX:
        raise OverLimit(f"Nest at most {DEPTH_MAX} deep; this nests {depth} deep.")
    if fields > SPREAD_MAX:
        raise OverLimit(f"Select at most {SPREAD_MAX} fields; these fragments spread to {fields}.")


def _switches(document: DocumentNode) -> set[str]:
    """Returns the variables that decide directives."""
    found = set()
    for node in _walk(document):
        if isinstance(node, DirectiveNode) and node.name.value in _DECIDING:
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    found.add(argument.value.name.value)
    return found


_DECIDING: Final = {"skip", "include"}
