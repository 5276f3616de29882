"""A field's arguments, compiled once per document: literals, variables and defaults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphql import (
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLInputField,
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


@dataclass(frozen=True, slots=True)
class _Constant:
    """A reading that is the same in every request."""

    value: Any

    def __call__(self, _values: Values) -> Any:
        return self.value


def arguments(field: GraphQLField, node: FieldNode) -> Callable[[Values], dict[str, Any]]:
    """Returns a function from the request's variables to the field's arguments by Python name.

    It raises GraphQLError where a variable is null and the argument may not be.
    """
    given = {one.name.value: one.value for one in node.arguments or ()}
    fixed: dict[str, Any] = {}
    varying: list[tuple[str, Reading]] = []
    for name, argument in field.args.items():
        python = argument.extensions["strawberry-definition"].python_name
        reading = _part("Argument", name, argument, given.get(name))
        if not isinstance(reading, _Constant):
            varying.append((python, reading))
        elif reading.value is not ABSENT:
            fixed[python] = reading.value

    def read(values: Values) -> dict[str, Any]:
        found = dict(fixed)
        for name, reading in varying:
            value = reading(values)
            if value is not ABSENT:
                found[name] = value
        return found

    return read


def literal(node: ValueNode, type_: GraphQLInputType) -> Reading:
    """Returns what a validated literal means, whose parts may be variables."""
    plain: Any = get_nullable_type(type_)
    if isinstance(node, VariableNode):
        name = node.name.value
        return lambda values: values.get(name, ABSENT)
    if isinstance(node, NullValueNode):
        return _Constant(None)
    if is_list_type(plain):
        nodes = node.values if isinstance(node, ListValueNode) else [node]
        return _list([literal(item, plain.of_type) for item in nodes])
    if isinstance(node, ObjectValueNode):
        return _object(plain, node)
    if isinstance(node, EnumValueNode):
        return _Constant(node.value)
    return _Constant(coerce_input_literal(node, type_))


def _part(
    what: str, name: str, declared: GraphQLArgument | GraphQLInputField, node: ValueNode | None
) -> Reading:
    """Returns what an argument or input field is: given, by default, or ABSENT."""
    default = default_of(declared)
    if node is None:
        return _Constant(default)
    reading = literal(node, declared.type)
    if isinstance(reading, _Constant):
        return reading
    may_be_null = not is_non_null_type(declared.type)

    def read(values: Values) -> Any:
        value = reading(values)
        if value is ABSENT:
            value = default
        if value is REQUIRED or (value is None and not may_be_null):
            raise GraphQLError(f"{what} '{name}' may not be null.")
        return value

    return read


def _list(items: Sequence[Reading]) -> Reading:
    def read(values: Values) -> Any:
        found = [item(values) for item in items]
        return [None if item is ABSENT else item for item in found]

    return _folded(items, read)


def _object(type_: GraphQLInputObjectType, node: ObjectValueNode) -> Reading:
    given = {field.name.value: field.value for field in node.fields}
    parts = [
        (name, _part("Field", name, field, given.get(name))) for name, field in type_.fields.items()
    ]
    known = [part for part in parts if part[1] != _Constant(ABSENT)]

    def read(values: Values) -> Any:
        found = ((name, reading(values)) for name, reading in known)
        return {name: value for name, value in found if value is not ABSENT}

    return _folded([reading for _, reading in parts], read)


def _folded(parts: Sequence[Reading], read: Reading) -> Reading:
    if all(isinstance(part, _Constant) for part in parts):
        return _Constant(read({}))
    return read
