"""Page arguments, orders and cursors: what is taken, and what is refused with which path."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain.errors import OverLimit, Refused
from domain.filter_input import parse
from domain.filters import Where, where
from domain.paging import KEYS, POSITION, RANK, Order, Page, decode, encode, order_for, page

DUE, PRIORITY = Order(KEYS["DUE"]), Order(KEYS["PRIORITY"], descending=True)
BY_POSITION = [Order(POSITION)]
PLACE = ("V1", UUID(int=1))
CURSOR = encode(BY_POSITION, PLACE)


def _where(given: dict[str, object] | None) -> Where:
    return where(parse(given))


def _path(refused: pytest.ExceptionInfo[Refused]) -> tuple[str, ...]:
    (problem,) = refused.value.problems
    return problem.path


def test_a_page_is_fifty_rows_from_the_start_unless_told_otherwise() -> None:
    assert page(BY_POSITION) == Page(size=50)
    assert page(BY_POSITION, first=0) == Page(size=0)
    assert page(BY_POSITION, first=200, after=CURSOR) == Page(size=200, after=PLACE)
    assert page(BY_POSITION, last=3) == Page(size=3, backwards=True)
    assert page(BY_POSITION, last=3, before=CURSOR, after=CURSOR) == Page(
        size=3, backwards=True, after=PLACE, before=PLACE
    )
    assert page(BY_POSITION, before=CURSOR) == Page(size=50, before=PLACE)


@pytest.mark.parametrize(
    "arguments, path",
    [
        ({"first": 1, "last": 1}, "last"),
        ({"first": -1}, "first"),
        ({"last": -1}, "last"),
        ({"after": "?"}, "after"),
        ({"before": ""}, "before"),
    ],
)
def test_a_page_that_makes_no_sense_is_refused(arguments: dict[str, object], path: str) -> None:
    with pytest.raises(Refused) as refused:
        page(BY_POSITION, **arguments)  # type: ignore[arg-type]

    assert _path(refused) == (path,)


@pytest.mark.parametrize("side", ["first", "last"])
def test_a_page_of_more_than_two_hundred_rows_is_over_the_limit(side: str) -> None:
    with pytest.raises(OverLimit):
        page(BY_POSITION, **{side: 201})  # type: ignore[arg-type]


def test_a_cursor_of_another_order_is_refused() -> None:
    other = [Order(POSITION, descending=True)]

    with pytest.raises(Refused) as refused:
        decode(CURSOR, other, "after")

    assert _path(refused) == ("after",)


@pytest.mark.parametrize(
    "values",
    [
        [None, 1, str(UUID(int=1))],
        ["V1", str(UUID(int=1))],
        [1, 1, "1"],
        [1.5, 1, str(UUID(int=1))],
        [True, 1, str(UUID(int=1))],
        [1, None, str(UUID(int=1))],
        [1, 40_000, str(UUID(int=1))],
        [1, -1, str(UUID(int=1))],
        [10**30, 1, str(UUID(int=1))],
    ],
)
def test_values_of_another_type_are_refused(values: list[object]) -> None:
    orders = [Order(KEYS["CREATED_AT"]), PRIORITY]
    good = (datetime(2026, 1, 1, tzinfo=UTC), 1, UUID(int=1))
    assert decode(encode(orders, good), orders) == good

    with pytest.raises(Refused):
        decode(encode(orders, tuple(values)), orders)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["a\0", "\ud800", 1, ["V1"]])
def test_what_the_database_cannot_take_for_a_text_is_refused(text: object) -> None:
    plain = json.dumps(["POSITION", text, str(UUID(int=1))])

    with pytest.raises(Refused):
        decode(urlsafe_b64encode(plain.encode()).decode().rstrip("="), BY_POSITION)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(Refused):
        decode("W1tb" * 2_000, BY_POSITION)


def test_orders_are_taken_as_given() -> None:
    given = [{"field": "DUE", "direction": "ASC"}, {"field": "PRIORITY", "direction": "DESC"}]

    assert order_for(given, _where(None)) == (DUE, PRIORITY)


def test_a_repeated_key_adds_nothing() -> None:
    given = [{"field": "DUE", "direction": "ASC"}, {"field": "DUE", "direction": "DESC"}]

    assert order_for(given, _where(None)) == (DUE,)


@pytest.mark.parametrize("given", [None, []])
def test_without_orders_it_is_position_or_rank(given: list[dict[str, object]] | None) -> None:
    assert order_for(given, _where(None)) == (Order(POSITION),)
    assert order_for(given, _where({"search": "milk"})) == (Order(RANK),)
    assert order_for(given, _where({"or": [{"search": "milk"}, {"isOverdue": True}]})) == (
        Order(RANK),
    )
    assert order_for(given, _where({"not": {"search": "milk"}})) == (Order(POSITION),)


@pytest.mark.parametrize("given", [None, {"not": {"search": "milk"}}])
def test_rank_needs_a_search(given: dict[str, object] | None) -> None:
    orders = [{"field": "DUE"}, {"field": "RANK"}]

    with pytest.raises(Refused) as refused:
        order_for(orders, _where(given), "orderBy")

    assert _path(refused) == ("orderBy", "1", "field")


@pytest.mark.parametrize("search", ["", "-milk"])
def test_where_nothing_ranks_rank_orders_nothing(search: str) -> None:
    wanted = _where({"search": search})

    assert order_for([{"field": "RANK"}], wanted) == (Order(POSITION),)
    assert order_for([{"field": "RANK"}, {"field": "DUE"}], wanted) == (DUE,)
