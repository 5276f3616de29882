"""Lets the executor answer over the same plans and states as everything else.

Below each root stands its finished answer, by response key; the executor only walks over it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    get_named_type,
    is_enum_type,
    is_object_type,
)

from resolvers.selection import says_rows


def make_executable(schema: GraphQLSchema) -> None:
    """Sets the resolvers of planned roots, and of everything below roots of any kind."""
    for type_ in (schema.query_type, schema.mutation_type):
        if type_ is None:
            continue
        for field in type_.fields.values():
            if says_rows(field) is not None:
                field.resolve = _root
        for field in _below(type_.fields.values()):
            field.resolve = _entry
    for enum in schema.type_map.values():
        if is_enum_type(enum) and not enum.name.startswith("__"):
            _accept_names(enum)


async def _root(_source: object, info: GraphQLResolveInfo[Any], **_arguments: object) -> Any:
    return await info.context.answer(info.path.key)


def _entry(source: Any, info: GraphQLResolveInfo[Any], **_arguments: object) -> Any:
    return source[info.path.key]


def _below(fields: Iterable[GraphQLField]) -> Iterator[GraphQLField]:
    """Yields every field of every object that can stand below those fields, each once."""
    todo = [get_named_type(field.type) for field in fields]
    seen: set[str] = set()
    while todo:
        type_ = todo.pop()
        if type_.name in seen or not is_object_type(type_):
            continue
        seen.add(type_.name)
        found: GraphQLObjectType = type_
        # Strawberry would look for instances of its classes.
        found.is_type_of = None
        yield from found.fields.values()
        todo.extend(get_named_type(field.type) for field in found.fields.values())


def _accept_names(enum: GraphQLEnumType) -> None:
    """Answers hold the names of enum values already."""
    names = frozenset(enum.values)
    own = enum.coerce_output_value

    def named(value: object) -> str:
        if isinstance(value, str) and value in names:
            return value
        found: str = own(value)
        return found

    enum.coerce_output_value = named  # type: ignore[assignment]
