"""Documents, parsed, measured and validated once; and what is prepared from them.

A document is kept by its text and the operation's name. An operation keeps one `Preparation` for
each combination of the booleans its directives depend on: its root fields with what they select.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from graphql import (
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    MaxIntrospectionDepthRule,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.values import VariableValues
from graphql.language import (
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    visit,
)

from domain.errors import OverLimit
from resolvers.coerce import Values, Variables
from resolvers.limits import (
    CHARACTERS_MAX,
    COMMENTS_MAX,
    TOKENS_MAX,
    require_few_pages,
    require_few_roots,
    require_modest,
)
from resolvers.preparation import Preparation, Readers, prepare
from resolvers.selection import Chooser

# A front end has a few hundred documents; beyond that somebody writes values into them.
DOCUMENTS_MAX = 1_000
# Parsed and prepared, a document takes about a hundred times its text.
DOCUMENTS_MAX_CHARACTERS = 1_000_000
# Of one operation: two booleans make four.
PREPARATIONS_MAX = 16
# Enough to see what is wrong; each costs another walk.
ERRORS_MAX = 10
_RULES: Final = [*specified_rules, MaxIntrospectionDepthRule]


class Invalid(Exception):
    """What is wrong with a document or its variables, as graphql-core says it."""

    def __init__(self, *faults: GraphQLError) -> None:
        super().__init__(*faults)
        self.faults = faults


class Operation:
    """One operation of a validated document."""

    def __init__(
        self,
        schema: GraphQLSchema,
        readers: Readers,
        document: DocumentNode,
        node: OperationDefinitionNode,
    ) -> None:
        self.document = document
        self.node = node
        self.kind: OperationType = node.operation
        self.variables = Variables(schema, node.variable_definitions or ())
        self._schema = schema
        self._readers = readers
        self._fragments = {
            one.name.value: FragmentDetails(one)
            for one in document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }
        self._switches = _switches(document)
        self._preparations: dict[tuple[Any, ...], Preparation] = {}

    def preparation(self, values: Values) -> Preparation:
        """Returns what is prepared for the directives' booleans among the values.

        Raises:
            OverLimit: there are too many root fields or pages.
        """
        key = tuple(values.get(name) for name in self._switches)
        found = self._preparations.get(key)
        if found is None:
            if len(self._preparations) >= PREPARATIONS_MAX:
                del self._preparations[next(iter(self._preparations))]
            found = self._preparations[key] = self._prepare(values)
        return found

    def _prepare(self, values: Values) -> Preparation:
        switches = {name: values[name] for name in self._switches if name in values}
        variables = VariableValues({}, switches)
        chooser = Chooser(self._schema, self.node, self._fragments, variables, [])
        root: GraphQLObjectType = getattr(self._schema, f"{self.kind.value}_type")
        roots = chooser.roots(root)
        require_few_roots(len(roots))
        preparation = prepare(chooser, self._readers, root, roots)
        require_few_pages(len(chooser.pages) + sum(one.is_list for one in preparation.roots))
        return preparation


def _switches(document: DocumentNode) -> Sequence[str]:
    """Returns the variables that directives depend on: the others change no selection."""
    names: dict[str, None] = {}

    class _Directives(Visitor):
        def enter_directive(self, node: DirectiveNode, *_args: Any) -> None:
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    names[argument.value.name.value] = None

    visit(document, _Directives())
    return tuple(names)


class Documents:
    """The operations in use, bounded by number and size; the least recently used goes first.

    What is not valid is not kept: it would push out what is.
    """

    def __init__(self, schema: GraphQLSchema, readers: Readers) -> None:
        self._schema = schema
        self._readers = readers
        self._known: OrderedDict[tuple[str, str | None], Operation] = OrderedDict()
        self._characters = 0

    def operation(self, text: str, name: str | None) -> Operation:
        """Returns the operation of that name in the document, the only one where it is None.

        Raises:
            Invalid: it is not GraphQL, not valid, or has no such operation.
            OverLimit: it is too large.
        """
        found = self._known.get((text, name))
        if found is not None:
            self._known.move_to_end((text, name))
            return found
        document = self._valid(text)
        made = Operation(self._schema, self._readers, document, _chosen(document, name))
        self._keep(text, name, made)
        return made

    def _keep(self, text: str, name: str | None, made: Operation) -> None:
        self._known[text, name] = made
        self._characters += len(text)
        while len(self._known) > DOCUMENTS_MAX or self._characters > DOCUMENTS_MAX_CHARACTERS:
            (gone, _), _ = self._known.popitem(last=False)
            self._characters -= len(gone)

    def _valid(self, text: str) -> DocumentNode:
        try:
            document = parse(
                text,
                max_lexical_tokens=TOKENS_MAX,
                max_comments=COMMENTS_MAX,
                max_source_length=CHARACTERS_MAX,
            )
            require_modest(document)
            faults = validate(self._schema, document, _RULES, max_errors=ERRORS_MAX)
        except GraphQLError as fault:
            if " contains more than " in fault.message:
                raise OverLimit(fault.message.removeprefix("Syntax Error: ")) from fault
            raise Invalid(fault) from fault
        except RecursionError as fault:
            raise OverLimit("The document is nested too deeply.") from fault
        if faults:
            raise Invalid(*faults)
        return document


def _chosen(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if name is not None:
        operations = [one for one in operations if one.name and one.name.value == name]
    if not operations:
        raise Invalid(GraphQLError("The document has no operation of this operationName."))
    if len(operations) > 1:
        message = "The document has several operations: name one by operationName."
        raise Invalid(GraphQLError(message))
    return operations[0]
