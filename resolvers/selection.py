"""From the fields a document names to `domain.selection.Selection`.

graphql-core's own collectors give fragments, aliases, merged fields and directives their meaning.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_object_type,
)
from graphql.execution.collect_fields import (
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues
from graphql.language import OperationDefinitionNode

from domain.paging import Order, Page, page
from domain.reading import HISTORY_ORDER, MEMBER_ORDER, SUBTASK_ORDER
from domain.selection import Field, Selection
from resolvers.arguments import arguments
from resolvers.coerce import Values
from schema.context import RequestInfo

Details: TypeAlias = Sequence[FieldDetails]
# The page of a nested connection, given the request's variables.
PageReading: TypeAlias = Callable[[Values], Page]

_ORDERS: Final[Mapping[tuple[str, str], tuple[Order, ...]]] = {
    ("Task", "subtasks"): SUBTASK_ORDER,
    ("Workspace", "members"): MEMBER_ORDER,
    ("Series", "history"): HISTORY_ORDER,
}


def selected(info: RequestInfo) -> Selection:
    """Returns what the running mutation's payload is asked for."""
    return info.context.selections[str(info.path.key)]


def attribute(field: GraphQLField) -> str:
    """Returns the field's name in the domain, which is its Python name in `schema`."""
    name: str = field.extensions["strawberry-definition"].python_name
    return name


def says_rows(field: GraphQLField) -> Callable[..., Any] | None:
    """Returns the function from arguments to what is read, None for an ordinary resolver.

    Who sees neither the parent nor the request can only say what is to be read.
    """
    resolver = field.extensions["strawberry-definition"].base_resolver
    if resolver is None or resolver.self_parameter or resolver.info_parameter:
        return None
    function: Callable[..., Any] = resolver.wrapped_func
    return function


@dataclass(frozen=True, slots=True)
class Chooser:
    """Makes the selections of one operation, whose directives' variables are known.

    `pages` collects how the nested connections' pages are read, by `Field.page`.
    """

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDetails]
    variables: VariableValues
    pages: list[PageReading]

    def roots(self, type_: GraphQLObjectType) -> Mapping[str, Details]:
        """Returns the operation's root fields by response key."""
        found = collect_fields(self.schema, self.fragments, self.variables, type_, self.operation)
        return found.grouped_field_set

    def selection(self, type_: GraphQLObjectType, details: Details) -> Selection:
        """Returns what is wanted of an object of that type."""
        collected = collect_subfields(
            self.schema, self.fragments, self.variables, self.operation, type_, list(details)
        )
        entries = collected.grouped_field_set.items()
        return Selection(type_.name, tuple(self._field(type_, *entry) for entry in entries))

    def _field(self, type_: GraphQLObjectType, key: str, details: Details) -> Field:
        node = details[0].node
        if node.name.value == "__typename":
            return Field(key, "__typename")
        field = type_.fields[node.name.value]
        name = attribute(field)
        of = get_named_type(field.type)
        below = self.selection(of, details) if is_object_type(of) else None
        slice_of = says_rows(field)
        if slice_of is None:
            return Field(key, name, below)
        read = _page_reading(slice_of, arguments(field, node), _ORDERS[type_.name, name])
        self.pages.append(read)
        return Field(key, name, below, len(self.pages) - 1)


def _page_reading(
    slice_of: Callable[..., Any], given: Callable[[Values], Any], orders: Sequence[Order]
) -> PageReading:
    def read(values: Values) -> Page:
        asked = slice_of(**given(values))
        return page(orders, first=asked.first, after=asked.after)

    return read
