"""What is prepared once per operation, so that a request only fills in its values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    get_named_type,
    is_interface_type,
)
from graphql.language import FieldNode

from domain.errors import DomainError
from domain.paging import Page
from domain.reading import PreparedRead, Reader
from domain.selection import Field, Selection
from resolvers.arguments import arguments
from resolvers.coerce import Values
from resolvers.cost import META, MUTATION, PREVIEW, Cost, cost_of, dearest, size_of
from resolvers.present import Presents
from resolvers.selection import Chooser, Details, PageReading, attribute, says_rows
from resolvers.subjects import Changes

# In place of the pages of other roots, which a statement of one root does not look at.
_NO_PAGE = Page(size=0)
# What is answered one by one: by the log, or from what a person has chosen.
NO_ROWS = frozenset({"ChangePage", "NotificationPreferences"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One root field of an operation.

    `rows` says from the request's variables what is read; None where only the executor answers.
    `is_list` tells that a workspace which is not visible is an error there, not null. `messages`
    are the selections of a stream's messages, by their type. `changes` render a page of the log,
    or a stream's changes, by response key.
    """

    key: str
    node: FieldNode
    selection: Selection | None = None
    messages: Mapping[str, Selection]
    rows: Callable[[Values], Any] | None = None
    read: PreparedRead | None = None
    cost: Cost | None = None
    is_list: bool = False
    pages: range = range(0)
    changes: Mapping[str, Changes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one root field asks for in one request, or why its arguments cannot be read."""

    root: Root
    read: Any = None
    fault: DomainError | GraphQLError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """An operation's root fields; `whole` reads all of them at once, where that can be.

    `is_read` tells that every root is read, none left to the executor.
    """

    roots: Sequence[Root]
    is_read: bool
    whole: PreparedRead | None
    selections: Mapping[str, Selection]
    page_readings: Sequence[PageReading]
    meta_cost: int
    presents: Presents

    def ask(self, values: Values) -> tuple[list[Asked], list[Page]]:
        """Returns what each root asks for, and the pages of all nested connections."""
        pages = [_NO_PAGE] * len(self.page_readings)
        asked = []
        for root in self.roots:
            if root.node.name.value.startswith("__"):
                continue
            try:
                for index in root.pages:
                    pages[index] = self.page_readings[index](values)
                read = None if root.rows is None else root.rows(values)
                asked.append(Asked(root, read))
            except (DomainError, GraphQLError) as fault:
                asked.append(Asked(root, None, fault))
        return asked, pages

    def cost(self, asked: Sequence[Asked], pages: Sequence[Page]) -> int:
        """Returns what the request may cost; see `resolvers.cost`."""
        total = self.meta_cost
        for root, read, fault in ((one.root, one.read, one.fault) for one in asked):
            if fault is not None or root.cost is None:
                continue
            size = 1 if read is None else size_of(read)
            total += root.cost(pages, size) + _worked_out(root)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Who reads for answers, and who for the messages of streams, so that neither waits."""

    answers: Reader
    messages: Reader


def _worked_out(root: Root) -> int:
    """Returns what a root costs that no rows answer."""
    if root.rows is not None:
        return 0
    is_preview = root.selection is not None and root.selection.kind == "RecurrencePreview"
    return PREVIEW if is_preview else MUTATION


def prepare(
    chooser: Chooser, readers: Readers, type_: GraphQLObjectType, fields: Mapping[str, Details]
) -> Preparation:
    """Returns the preparation of an operation with those root fields."""
    roots = [_root(chooser, readers, type_, *entry) for entry in fields.items()]
    reader = readers.answers
    is_query = type_ is chooser.schema.query_type
    is_read = is_query and all(
        root.rows is not None or root.node.name.value == "__typename" for root in roots
    )
    of_tables = is_read and all(
        root.selection is None or root.selection.kind not in NO_ROWS for root in roots
    )
    return Preparation(
        roots=roots,
        is_read=is_read,
        whole=reader.prepare(_together(type_, roots)) if of_tables else None,
        selections={root.key: root.selection for root in roots if root.selection},
        page_readings=chooser.pages,
        meta_cost=META * sum(root.node.name.value in ("__schema", "__type") for root in roots),
        presents=Presents(reader),
    )


def _root(
    chooser: Chooser, readers: Readers, type_: GraphQLObjectType, key: str, details: Details
) -> Root:
    node = details[0].node
    if node.name.value.startswith("__"):
        return Root(key=key, node=node, messages={})
    definition = type_.fields[node.name.value]
    start = len(chooser.pages)
    of: Any = get_named_type(definition.type)
    if is_interface_type(of):
        kinds = chooser.schema.get_possible_types(of)
        messages = {kind.name: chooser.selection(kind, details) for kind in kinds}
        return Root(
            key=key,
            node=node,
            messages=messages,
            rows=_rows(definition, node),
            cost=dearest(list(messages.values())),
            pages=range(start, len(chooser.pages)),
            changes={key: Changes(messages["Change"], readers.messages)}
            if "Change" in messages
            else {},
        )
    reader = readers.answers
    selection = chooser.selection(of, details)
    entry = Field(key, attribute(definition), selection)
    return Root(
        key=key,
        node=node,
        selection=selection,
        messages={},
        rows=_rows(definition, node),
        read=reader.prepare(Selection(type_.name, (entry,))),
        cost=cost_of(selection),
        is_list="nodes" in of.fields,
        pages=range(start, len(chooser.pages)),
        changes={
            below.key: Changes(below.selection, reader)
            for below in selection.fields
            if below.selection is not None and below.selection.kind == "Change"
        },
    )


def _rows(field: GraphQLField, node: FieldNode) -> Callable[[Values], Any] | None:
    function = says_rows(field)
    if function is None:
        return None
    given = arguments(field, node)
    return lambda values: function(**given(values))


def _together(type_: GraphQLObjectType, roots: Sequence[Root]) -> Selection:
    fields = (
        Field(root.key, "__typename" if root.selection is None else root.key, root.selection)
        for root in roots
    )
    return Selection(type_.name, tuple(fields))
