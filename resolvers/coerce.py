"""A request's variables as the values that reads are made from.

graphql-core coerces correctly and slowly. Here the types of a document's variables are compiled
once; what is not plainly right goes to graphql-core, whose errors clients then see. Enum values
are their names, since that is what the domain parses; inputs are mappings by public names.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeAlias

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLSchema,
    Undefined,
    get_nullable_type,
    get_variable_values,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    type_from_ast,
)
from graphql.language import VariableDefinitionNode

Values: TypeAlias = Mapping[str, Any]
Coercer: TypeAlias = Callable[[Any], Any]

# In place of a default: there is none, and there may be none.
ABSENT: Final = object()
REQUIRED: Final = object()
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
# Enough to see what is wrong; each costs a walk over the value.
ERRORS_MAX = 10


class _Odd(Exception):
    """A value that is not plainly right: graphql-core decides."""


class Variables:
    """The variables of one operation."""

    def __init__(self, schema: GraphQLSchema, nodes: Sequence[VariableDefinitionNode]) -> None:
        self._schema = schema
        self._nodes = nodes
        types = [(node.variable.name.value, type_from_ast(schema, node.type)) for node in nodes]
        self._types: dict[str, Any] = dict(types)
        self._coercers = {name: coercer(type_) for name, type_ in self._types.items()}

    def coerce(self, inputs: Values) -> Values | list[GraphQLError]:
        """Returns the values by name, or what is wrong; absent variables are left out."""
        try:
            return {name: coerce(inputs[name]) for name, coerce in self._coercers.items()}
        except (KeyError, RecursionError, _Odd):
            values = get_variable_values(
                self._schema, self._nodes, dict(inputs), max_errors=ERRORS_MAX
            )
        if isinstance(values, list):
            return values
        coerced = values.coerced
        return {name: named(self._types[name], value) for name, value in coerced.items()}


def coercer(type_: GraphQLInputType) -> Coercer:
    """Returns a function that coerces what is plainly right, and raises for all else."""
    plain = _plain(get_nullable_type(type_), {})
    return plain if is_non_null_type(type_) else _nullable(plain)


def _nullable(plain: Coercer) -> Coercer:
    return lambda value: None if value is None else plain(value)


def _plain(type_: Any, known: dict[str, Coercer]) -> Coercer:
    if is_list_type(type_):
        return _list(_child(type_.of_type, known))
    if is_input_object_type(type_):
        return _object(type_, known)
    if is_enum_type(type_):
        return _member(frozenset(type_.values))
    if type_.name in _BUILT_IN:
        return _BUILT_IN[type_.name]
    return _scalar(type_.coerce_input_value)


def _child(type_: Any, known: dict[str, Coercer]) -> Coercer:
    plain = _plain(get_nullable_type(type_), known)
    return plain if is_non_null_type(type_) else _nullable(plain)


def _list(item: Coercer) -> Coercer:
    def coerce(value: Any) -> Any:
        if type(value) is not list:
            raise _Odd
        return [item(one) for one in value]

    return coerce


def _object(type_: GraphQLInputObjectType, known: dict[str, Coercer]) -> Coercer:
    # An input may hold itself, as a filter does.
    if type_.name in known:
        return known[type_.name]
    fields: list[tuple[str, Coercer, Any]] = []
    names = type_.fields.keys()

    def coerce(value: Any) -> Any:
        if type(value) is not dict or not value.keys() <= names:
            raise _Odd
        return _filled(value, fields)

    known[type_.name] = coerce
    for name, field in type_.fields.items():
        fields.append((name, _child(field.type, known), default_of(field)))
    return coerce


def _filled(value: Values, fields: Sequence[tuple[str, Coercer, Any]]) -> Values:
    found = {}
    for name, child, default in fields:
        if name in value:
            found[name] = child(value[name])
        elif default is REQUIRED:
            raise _Odd
        elif default is not ABSENT:
            found[name] = default
    return found


def default_of(given: GraphQLInputField | GraphQLArgument) -> Any:
    """Returns the default, ABSENT where there is none, REQUIRED where a value must be given."""
    if given.default_value is not Undefined:
        return named(given.type, given.default_value)
    return REQUIRED if is_non_null_type(given.type) else ABSENT


def _member(names: frozenset[str]) -> Coercer:
    def coerce(value: Any) -> Any:
        if type(value) is not str or value not in names:
            raise _Odd
        return value

    return coerce


def _scalar(parse: Coercer) -> Coercer:
    def coerce(value: Any) -> Any:
        try:
            return parse(value)
        except (ValueError, TypeError, GraphQLError):
            raise _Odd from None

    return coerce


def _exactly(kind: type) -> Coercer:
    def coerce(value: Any) -> Any:
        if type(value) is not kind:
            raise _Odd
        return value

    return coerce


def _int(value: Any) -> Any:
    if type(value) is not int or not _INT_MIN <= value <= _INT_MAX:
        raise _Odd
    return value


_BUILT_IN: Final[Mapping[str, Coercer]] = {
    "ID": _exactly(str),
    "String": _exactly(str),
    "Boolean": _exactly(bool),
    "Int": _int,
}


def named(type_: GraphQLInputType, value: Any) -> Any:
    """Returns what graphql-core coerced, with the names of enum values instead of their values."""
    plain: Any = get_nullable_type(type_)
    if value is None:
        return None
    if is_list_type(plain):
        return [named(plain.of_type, item) for item in value]
    if is_input_object_type(plain):
        fields = plain.fields
        return {name: named(fields[name].type, item) for name, item in value.items()}
    return _name(plain, value) if is_enum_type(plain) else value


def _name(type_: GraphQLEnumType, value: Any) -> str:
    return value.name if isinstance(value, Enum) else str(type_.serialize(value))
