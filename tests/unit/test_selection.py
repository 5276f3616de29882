"""Documents become selections as graphql-core collects their fields."""

from typing import Any

import pytest
from graphql import OperationDefinitionNode, get_named_type, parse
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.values import VariableValues
from graphql.language import FragmentDefinitionNode

from carillon.graphql import build
from domain.errors import Refused
from domain.selection import Field, Selection
from resolvers.negotiation import EVENTS, HTML, JSON, RESPONSE, is_json, preferred
from resolvers.selection import Chooser

CORE = build()._schema


def _chosen(text: str, **variables: Any) -> tuple[Selection, Chooser]:
    document = parse(text)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    fragments = {
        one.name.value: FragmentDetails(one)
        for one in document.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    chooser = Chooser(CORE, operation, fragments, VariableValues({}, variables), [])
    assert CORE.query_type is not None
    ((_, details),) = chooser.roots(CORE.query_type).items()
    type_: Any = get_named_type(CORE.query_type.fields[details[0].node.name.value].type)
    return chooser.selection(type_, details), chooser


def test_aliases_fragments_and_merged_fields_are_one_selection() -> None:
    selection, _ = _chosen("""
        { task(id: "1") { b: title ...F category { id } ... on Task { category { name } } } }
        fragment F on Task { a: workspaceId __typename }
    """)

    category = Selection("Category", (Field("id", "id"), Field("name", "name")))
    assert selection == Selection(
        "Task",
        (
            Field("b", "title"),
            Field("a", "workspace_id"),
            Field("__typename", "__typename"),
            Field("category", "category", category),
        ),
    )


def test_directives_decide_by_their_variables() -> None:
    text = 'query ($x: Boolean!) { task(id: "1") { id @include(if: $x) title @skip(if: $x) } }'

    assert _chosen(text, x=True)[0].fields == (Field("id", "id"),)
    assert _chosen(text, x=False)[0].fields == (Field("title", "title"),)


def test_nested_connections_name_their_page_which_is_read_from_the_request() -> None:
    selection, chooser = _chosen(
        'query ($n: Int!) { task(id: "1") { a: subtasks(first: $n) { seq } subtasks { seq } } }'
    )

    assert [field.page for field in selection.fields] == [0, 1]
    assert [read({"n": 3}).size for read in chooser.pages] == [3, 50]
    with pytest.raises(Refused):
        chooser.pages[0]({"n": -1})


@pytest.mark.parametrize(
    "accept, expected",
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (RESPONSE, RESPONSE),
        ("application/json", JSON),
        ("Application/JSON; charset=utf-8", JSON),
        (f"{RESPONSE}, {JSON};q=0.9, */*;q=0.1", RESPONSE),
        (f"{JSON};q=0.5, {RESPONSE};q=0.7", RESPONSE),
        (f"multipart/mixed;subscriptionSpec=1.0, {RESPONSE}, {JSON}", RESPONSE),
        ("text/event-stream", EVENTS),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
        ("image/png", None),
        ("application/json;q=0", None),
        ("application/json;q=x", None),
        (",;,", None),
    ],
)
def test_the_media_type_is_what_the_client_wants_most(
    accept: str | None, expected: str | None
) -> None:
    assert preferred(accept) == expected


@pytest.mark.parametrize(
    "content_type, expected",
    [
        ("application/json", True),
        ("application/json; charset=UTF-8", True),
        ('application/json;charset="utf-8"', True),
        ("application/json; charset=utf-16", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("", False),
    ],
)
def test_a_body_is_json_in_utf_8(content_type: str, expected: bool) -> None:
    assert is_json(content_type) is expected
