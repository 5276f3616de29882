"""Coerced variables and arguments are what graphql-core would make of them."""

from typing import Any

import pytest
from graphql import (
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    get_argument_values,
    get_variable_values,
    parse,
)
from hypothesis import given
from hypothesis import strategies as st

from carillon.graphql import build
from resolvers import coerce
from resolvers.arguments import arguments
from resolvers.coerce import Variables, named

CORE = build()._schema
TYPES = {
    "id": "ID!",
    "ids": "[ID!]",
    "count": "Int",
    "size": "Int! = 50",
    "text": "String",
    "flag": "Boolean!",
    "at": "DateTime",
    "day": "Date",
    "seq": "Sequence",
    "status": "TaskStatus",
    "filter": "TaskFilter",
    "orders": "[TaskOrder!]",
    "input": "TaskCreateInput",
}
DOCUMENT = parse(
    f"query ({' '.join(f'${name}: {type_}' for name, type_ in TYPES.items())}) {{ __typename }}"
)
OPERATION = DOCUMENT.definitions[0]
assert isinstance(OPERATION, OperationDefinitionNode)
NODES = OPERATION.variable_definitions or ()

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**33), 2**33),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(
        ["OPEN", "DUE", "DESC", "HIGH", "7", "0", "2026-11-23", "2026-11-23T09:00:00Z", "x\ud800"]
    ),
)
words = [
    *("and", "or", "not", "status", "priority", "eq", "in", "gte", "isNull", "tags", "any", "due"),
    *(
        "dateGte",
        "field",
        "direction",
        "title",
        "search",
        "createdAt",
        "lt",
        "position",
        "nonsense",
    ),
]
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(words), inner, max_size=4)
    ),
    max_leaves=8,
)
filters = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.fixed_dictionaries({"in": st.lists(st.sampled_from(["OPEN", "DONE"]))}),
            "priority": st.fixed_dictionaries({"gte": st.sampled_from(["LOW", "URGENT", 3])}),
            "createdAt": st.fixed_dictionaries({"lt": st.sampled_from(["2026-01-01T00:00:00Z"])}),
            "search": st.text(max_size=3),
            "isOverdue": st.one_of(st.none(), st.booleans()),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {}, optional={"and": st.lists(inner, max_size=2), "or": inner, "not": inner}
    ),
    max_leaves=4,
)
orders = st.one_of(
    st.fixed_dictionaries(
        {"field": st.sampled_from(["DUE", "TITLE"])},
        optional={"direction": st.sampled_from(["ASC", "DESC", None])},
    ),
    values,
)
inputs = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(TYPES, values),
        "id": st.one_of(st.text(max_size=3), values),
        "flag": st.one_of(st.booleans(), values),
        "filter": st.one_of(filters, values),
        "orders": st.one_of(st.lists(orders, max_size=2), orders),
    },
)
COMPILED = Variables(CORE, NODES)


@given(inputs)
def test_variables_are_what_graphql_core_makes_of_them(given: dict[str, Any]) -> None:
    found = COMPILED.coerce(given)

    expected = get_variable_values(CORE, NODES, given, max_errors=coerce.ERRORS_MAX)
    if isinstance(expected, list):
        assert isinstance(found, list)
        assert [str(error) for error in found] == [str(error) for error in expected]
    else:
        types = COMPILED._types
        assert found == {n: named(types[n], value) for n, value in expected.coerced.items()}


def test_enum_values_come_as_their_names_and_inputs_by_public_names() -> None:
    found = COMPILED.coerce(
        {"id": "a", "flag": True, "orders": [{"field": "DUE"}], "filter": {"isOverdue": True}}
    )

    assert found == {
        "id": "a",
        "flag": True,
        "size": 50,
        "orders": [{"field": "DUE", "direction": "ASC"}],
        "filter": {"isOverdue": True},
    }


def test_a_value_nested_without_end_is_an_error() -> None:
    nested: dict[str, Any] = {}
    for _ in range(5_000):
        nested = {"not": nested}

    found = COMPILED.coerce({"id": "a", "flag": True, "filter": nested})

    assert isinstance(found, list)


@pytest.mark.parametrize(
    "text, values",
    [
        ('tasks(workspaceId: "a")', {}),
        ("tasks(workspaceId: $id, first: $count, after: null)", {"id": "a", "count": 3}),
        ("tasks(workspaceId: $id, first: $count)", {"id": "a"}),
        ("tasks(workspaceId: $id, orderBy: {field: DUE})", {"id": "a"}),
        ("tasks(workspaceId: 7, orderBy: [{field: DUE, direction: DESC}])", {}),
        ("tasks(workspaceId: $id, filter: {status: {in: [OPEN, $status]}})", {"status": "DONE"}),
        ("tasks(workspaceId: $id, filter: {status: {eq: $status}, search: $text})", {"id": "a"}),
        ("tasks(workspaceId: $id, filter: {id: {in: $ids}})", {"ids": "x"}),
        ("tasks(workspaceId: $id, atLeast: $seq)", {"seq": "4"}),
        ('tasks(workspaceId: $id, filter: {due: {dateGte: "2026-11-23"}})', {"id": "a"}),
        ('changes(workspaceId: $id, after: "3")', {"id": "a"}),
        ('changes(workspaceId: $id, after: "3", first: $size)', {"id": "a"}),
    ],
)  # fmt: skip
def test_arguments_are_what_graphql_core_makes_of_them(text: str, values: dict[str, Any]) -> None:
    declared = " ".join(f"${name}: {type_}" for name, type_ in TYPES.items())
    operation = parse(f"query ({declared}) {{ {text} {{ __typename }} }}").definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    node = operation.selection_set.selections[0]
    assert isinstance(node, FieldNode)
    assert CORE.query_type is not None
    field = CORE.query_type.fields[node.name.value]
    nodes = operation.variable_definitions or ()
    coerced = COMPILED.coerce({"flag": True, "id": "", **values})
    assert isinstance(coerced, dict)

    found = arguments(field, node)(coerced)

    core = get_variable_values(CORE, nodes, {"flag": True, "id": "", **values})
    assert not isinstance(core, list)
    expected = get_argument_values(field, node, core)
    assert found == {
        field.args[name].extensions["strawberry-definition"].python_name: named(
            field.args[name].type, value
        )
        for name, value in expected.items()
    }


def test_a_null_variable_is_an_error_where_the_argument_may_not_be_null() -> None:
    operation = parse(
        'query ($n: Int = 5) { changes(workspaceId: "a", after: "0", first: $n) { head } }'
    ).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    node = operation.selection_set.selections[0]
    assert isinstance(node, FieldNode)
    assert CORE.query_type is not None

    with pytest.raises(GraphQLError, match="'first' may not be null"):
        arguments(CORE.query_type.fields["changes"], node)({"n": None})
