"""Pages put together are the whole list, whatever its order, and no cursor gets through unread."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.due import due
from domain.errors import Refused
from domain.filter_input import parse
from domain.filters import ATTRIBUTES
from domain.paging import KEYS, RANK, Cursor, Key, Order, Page, decode, encode, signature
from domain.tasks import Priority, Task
from tests.task_rows import NOW, connect, insert, rows, task

SEARCHING = parse({"search": "plan or kitchen"})
TITLES = ["Plan", "plan", "plan kitchen", 'a "plan" \\ kitchen', "Éa plan", "z" * 90 + " plan"]
ORDERS = [Order(key, descending) for key in KEYS.values() for descending in (False, True)]


def _tasks() -> list[Task]:
    """Tasks with few different values of each key, so that most have equals, and nulls."""
    return [
        task(
            # Ids in another order than the rest.
            number * 37 % 101,
            title=TITLES[number % len(TITLES)],
            description="kitchen" if number % 4 == 0 else "",
            priority=list(Priority)[number % 3],
            due=None
            if number % 3 == 0
            else due(NOW.date() + timedelta(days=number % 4), None, ZoneInfo("UTC"), fold=False),
            position=f"V{number // 2 % 7}V",
            created_at=NOW + timedelta(microseconds=number % 5),
            updated_at=datetime(1, 1, 1, tzinfo=UTC) + timedelta(days=number % 3),
        )
        for number in range(1, 41)
    ]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database_url)
    await insert(connection, _tasks())
    yield connection
    await connection.close()


@pytest.fixture
async def ranks(connection: asyncpg.Connection) -> dict[UUID, float]:
    """What only the database can tell of a task, from a statement as plain as can be."""
    found = await connection.fetch(
        "SELECT id, -ts_rank(search, to_tsquery('simple', 'plan | kitchen:*'))::float8 AS rank"
        " FROM task"
    )
    return {row["id"]: row["rank"] for row in found}


def _place(one: Task, orders: Sequence[Order], ranks: dict[UUID, float]) -> Cursor:
    keys: list[Any] = [
        ranks[one.id] if order.key is RANK else ATTRIBUTES[order.key.attribute](one)
        for order in orders
    ]
    return (*keys, one.id)


def _sorted(orders: Sequence[Order], ranks: dict[UUID, float]) -> list[Cursor]:
    """Returns the places of all tasks: one stable sort a key, the least important first."""
    places: list[Any] = [_place(one, orders, ranks) for one in _tasks()]
    places.sort(key=lambda place: place[-1])
    for index in reversed(range(len(orders))):
        present = [place for place in places if place[index] is not None]
        absent = [place for place in places if place[index] is None]
        present.sort(key=lambda place: place[index], reverse=orders[index].descending)
        places = present + absent
    return places


async def _walk(
    connection: asyncpg.Connection, orders: Sequence[Order], size: int, *, backwards: bool
) -> list[Cursor]:
    """Returns the places that pages answer, one page after the other."""
    walked: list[Cursor] = []
    side, cursor = ("before" if backwards else "after"), None
    while True:
        page = Page(size=size, backwards=backwards, **{side: cursor})
        found = await rows(connection, SEARCHING, orders, page)
        assert [row["place"] for row in found] == list(range(1, len(found) + 1))
        walked += [decode(row["cursor"], orders) for row in found[:size]]
        assert len(walked) <= len(_tasks()), "a page begins before its cursor"
        if len(found) <= size:
            return walked[::-1] if backwards else walked
        cursor = walked[-1]


@pytest.mark.parametrize("backwards", [False, True])
async def test_pages_of_one_or_two_keys_make_up_the_list(
    connection: asyncpg.Connection, ranks: dict[UUID, float], *, backwards: bool
) -> None:
    pairs = [[one, other] for one, other in product(ORDERS, ORDERS) if one.key is not other.key]
    for orders in [[order] for order in ORDERS] + pairs:
        walked = await _walk(connection, orders, 7, backwards=backwards)

        assert walked == _sorted(orders, ranks), signature(orders)


def _distinct(orders: Sequence[Order]) -> bool:
    return len({order.key.name for order in orders}) == len(orders)


many_orders = st.lists(st.sampled_from(ORDERS), min_size=1, max_size=5).filter(_distinct)
many = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@many
@given(orders=many_orders, size=st.integers(1, 45), backwards=st.booleans())
async def test_pages_of_many_keys_make_up_the_list(
    connection: asyncpg.Connection,
    ranks: dict[UUID, float],
    *,
    orders: list[Order],
    size: int,
    backwards: bool,
) -> None:
    walked = await _walk(connection, orders, size, backwards=backwards)

    assert walked == _sorted(orders, ranks)


@many
@given(
    orders=many_orders,
    edges=st.tuples(st.integers(0, 39), st.integers(0, 39)),
    size=st.integers(0, 45),
    backwards=st.booleans(),
)
async def test_a_page_between_two_cursors_is_a_slice(
    connection: asyncpg.Connection,
    ranks: dict[UUID, float],
    *,
    orders: list[Order],
    edges: tuple[int, int],
    size: int,
    backwards: bool,
) -> None:
    places = _sorted(orders, ranks)
    after, before = edges
    page = Page(size=size, backwards=backwards, after=places[after], before=places[before])

    found = await rows(connection, SEARCHING, orders, page)

    between = places[after + 1 : before]
    expected = between[::-1] if backwards else between
    assert [decode(row["cursor"], orders) for row in found] == expected[: size + 1]


@many
@given(orders=many_orders)
async def test_the_database_writes_the_same_cursors(
    connection: asyncpg.Connection, ranks: dict[UUID, float], *, orders: list[Order]
) -> None:
    found = await rows(connection, SEARCHING, orders, Page(size=100))

    assert [row["cursor"] for row in found] == [
        encode(orders, place) for place in _sorted(orders, ranks)
    ]


instants = st.datetimes(timezones=st.just(UTC))
VALUES: dict[type, st.SearchStrategy[Any]] = {
    datetime: instants,
    int: st.integers(0, 2**15 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
}


def _values(key: Key) -> st.SearchStrategy[Any]:
    return st.none() | VALUES[key.kind] if key.nullable else VALUES[key.kind]


@st.composite
def places(draw: st.DrawFn) -> tuple[list[Order], Cursor]:
    orders = draw(many_orders)
    return orders, (*(draw(_values(order.key)) for order in orders), draw(st.uuids()))


@settings(max_examples=500)
@given(place=places())
def test_a_cursor_reads_back_as_it_was_written(place: tuple[list[Order], Cursor]) -> None:
    orders, cursor = place

    assert decode(encode(orders, cursor), orders) == cursor


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([2**63, -1, 40_000, 10**400, "\0", "\ud800", "6" * 36, str(UUID(int=1))]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def forged(draw: st.DrawFn) -> tuple[list[Order], str]:
    """Texts that are cursors all but something: values, their number, the order, any letter."""
    orders, cursor = draw(places())
    parts = json.loads(base64.urlsafe_b64decode(encode(orders, cursor) + "=="))
    parts[draw(st.integers(0, len(parts) - 1))] = draw(json_values)
    parts = parts[: draw(st.integers(0, len(parts)))] if draw(st.booleans()) else parts
    text = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")
    if draw(st.booleans()):
        cut = draw(st.integers(0, len(text)))
        text = text[:cut] + draw(st.text(max_size=3)) + text[cut + draw(st.integers(0, 3)) :]
    return orders, text


@settings(
    max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(forgery=forged())
async def test_a_forged_cursor_is_refused_or_harmless(
    connection: asyncpg.Connection, forgery: tuple[list[Order], str]
) -> None:
    orders, text = forgery
    with suppress(Refused):
        place = decode(text, orders)
        await rows(connection, SEARCHING, orders, Page(size=1, after=place))


@given(text=st.text() | st.text('[]{}"-,0123456789'))
def test_any_other_text_is_refused(text: str) -> None:
    for cursor in (text, base64.urlsafe_b64encode(text.encode(errors="replace")).decode()):
        with pytest.raises(Refused):
            decode(cursor, [Order(KEYS["DUE"])])
