"""A field's arguments, compiled once per document: literals, variables and defaults."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from graphql import (
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    coerce_input_literal,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)
from graphql.language import (
    EnumValueNode,
    FieldNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
)

from resolvers.coerce import ABSENT, REQUIRED, Values, default_of

# What an argument is, given the request's variables; ABSENT where nothing was given.
Reading: TypeAlias = Callable[[Values], Any]


def arguments(field: GraphQLField, node: FieldNode) -> Callable[[Values], dict[str, Any]]:
    """Returns a function from the request's variables to the field's arguments by Python name.

    It raises GraphQLError where a variable is null and the argument may not be.
    """
    given = {one.name.value: one.value for one in node.arguments or ()}
    readings = []
    for name, argument in field.args.items():
        python = argument.extensions["strawberry-definition"].python_name
        readings.append((python, _argument(name, argument, given.get(name))))

    def read(values: Values) -> dict[str, Any]:
        found = ((name, reading(values)) for name, reading in readings)
        return {name: value for name, value in found if value is not ABSENT}

    return read


def _argument(name: str, argument: GraphQLArgument, node: ValueNode | None) -> Reading:
    default = default_of(argument)
    reading = _constant(ABSENT) if node is None else literal(node, argument.type)

    def read(values: Values) -> Any:
        value = reading(values)
        if value is ABSENT:
            value = default
        if value is REQUIRED or (value is None and is_non_null_type(argument.type)):
            raise GraphQLError(f"Argument '{name}' may not be null.")
        return value

    return read


def literal(node: ValueNode, type_: GraphQLInputType) -> Reading:
    """Returns what a validated literal means, whose parts may be variables."""
    plain: Any = get_nullable_type(type_)
    if isinstance(node, VariableNode):
        name = node.name.value
        return lambda values: values.get(name, ABSENT)
    if isinstance(node, NullValueNode):
        return _constant(None)
    if is_list_type(plain):
        nodes = node.values if isinstance(node, ListValueNode) else [node]
        return _list_literal([literal(item, plain.of_type) for item in nodes])
    if isinstance(node, ObjectValueNode):
        return _object_literal(plain, node)
    if isinstance(node, EnumValueNode):
        return _constant(node.value)
    return _constant(coerce_input_literal(node, type_))


def _constant(value: Any) -> Reading:
    return lambda _values: value


def _list_literal(items: Sequence[Reading]) -> Reading:
    def read(values: Values) -> Any:
        found = [item(values) for item in items]
        return [None if item is ABSENT else item for item in found]

    return read


def _object_literal(type_: GraphQLInputObjectType, node: ObjectValueNode) -> Reading:
    given = {field.name.value: field.value for field in node.fields}
    parts = [
        (name, literal(given[name], field.type) if name in given else _constant(ABSENT), field)
        for name, field in type_.fields.items()
    ]

    def read(values: Values) -> Any:
        found = {}
        for name, reading, field in parts:
            value = reading(values)
            if value is ABSENT:
                value = default_of(field)
            if value is REQUIRED or (value is None and is_non_null_type(field.type)):
                raise GraphQLError(f"Field '{name}' may not be null.")
            if value is not ABSENT:
                found[name] = value
        return found

    return read
