"""A filter means the same in memory and in SQL, for random filters and random tasks."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.due import due
from domain.filter_input import FIELDS, parse
from domain.filters import predicate, where
from domain.paging import Page
from domain.tasks import Priority, Status, Task
from tests.task_rows import NOW, WORKSPACE, compiled, connect, found_by, insert, task

# Few values of each kind, so that comparisons meet their edges.
IDS = [UUID(int=number) for number in range(1, 4)]
DAYS = [NOW.date() + timedelta(days=days) for days in range(-1, 3)]
# The instants of all-day dues, a microsecond beside them, and the present.
INSTANTS = [
    NOW,
    *(NOW + timedelta(microseconds=step) for step in (-1, 1)),
    *(datetime.combine(day, datetime.min.time(), NOW.tzinfo) for day in DAYS),
]
WORDS = ["fix", "fixed", "kitchen", "Café", "e-mail", "it's"]
ids = st.sampled_from(IDS)
optional_ids = st.none() | ids
titles = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
dues = (
    st.none()
    | st.just(due(NOW.date(), NOW.time(), ZoneInfo("UTC"), fold=False))
    | st.builds(
        lambda day, hour, zone: due(day, hour, ZoneInfo(zone), fold=False),
        st.sampled_from(DAYS),
        st.sampled_from([None, NOW.time(), NOW.time().replace(second=1)]),
        st.sampled_from(["UTC", "Pacific/Kiritimati", "America/New_York"]),
    )
)
instants = st.sampled_from(INSTANTS)


@st.composite
def task_sets(draw: st.DrawFn) -> list[Task]:
    return [
        task(
            number,
            title=draw(titles),
            description=draw(st.just("") | titles),
            status=draw(st.sampled_from(Status)),
            priority=draw(st.sampled_from(Priority)),
            due=draw(dues),
            category_id=draw(optional_ids),
            tag_ids=draw(st.frozensets(ids, max_size=3)),
            assignee_id=draw(optional_ids),
            parent_id=draw(optional_ids),
            created_at=draw(instants),
            updated_at=draw(instants),
            completed_at=draw(st.none() | instants),
            deleted_at=draw(st.none() | instants),
            series_id=draw(optional_ids),
        )
        for number in range(1, draw(st.integers(1, 8)) + 1)
    ]


ids_as_text = ids.map(str)
statuses = st.sampled_from(list(Status.__members__))
priorities = st.sampled_from(list(Priority.__members__))
days = st.sampled_from(DAYS)
searches = st.lists(
    st.sampled_from([*WORDS, "-fix", '"fix kitchen"', "or", "kit", "cafe", "???", "-"]), max_size=4
).map(" ".join)


def _list(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(items, max_size=3)


# What each field of the input may hold: a value, or values by operator.
ID = {"eq": ids_as_text, "in": _list(ids_as_text), "isNull": st.booleans()}
INSTANT = {"gte": instants, "lt": instants, "isNull": st.booleans()}
VALUES: Mapping[str, Any] = {
    "id": ID,
    "status": {"eq": statuses, "in": _list(statuses)},
    "priority": {"eq": priorities, "in": _list(priorities), "gte": priorities, "lte": priorities},
    "category": ID,
    "assignee": ID,
    "parent": ID,
    "tags": {
        "any": _list(ids_as_text),
        "all": _list(ids_as_text),
        "none": _list(ids_as_text),
        "isEmpty": st.booleans(),
    },
    "due": {**INSTANT, "dateGte": days, "dateLt": days},
    "createdAt": INSTANT,
    "updatedAt": INSTANT,
    "completedAt": INSTANT,
    "search": searches,
    "isOverdue": st.booleans(),
    "isRecurring": st.booleans(),
    "isDeleted": st.booleans(),
}


@st.composite
def inputs(draw: st.DrawFn, names: tuple[str, ...], levels: int = 2) -> dict[str, Any]:
    """Inputs in which one or two fields are set, by one or two operators; they may nest."""
    given: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=2)):
        field = VALUES[name]
        if isinstance(field, Mapping):
            some = st.lists(st.sampled_from(list(field)), min_size=1, max_size=2, unique=True)
            given[name] = {operator: draw(field[operator]) for operator in draw(some)}
        else:
            given[name] = draw(field)
    if levels == 0 or draw(st.booleans()):
        return given
    inner = inputs(names, levels - 1)
    nested: dict[str, st.SearchStrategy[Any]] = {
        "not": inner,
        "and": _list(inner),
        "or": _list(inner),
    }
    logic = draw(st.sampled_from(list(nested)))
    return {**(given if draw(st.booleans()) else {}), logic: draw(nested[logic])}


filters = inputs(tuple(name for name in VALUES if name != "search"))
# With four searches at most, as many as a filter may have.
searching = inputs(("search", "status", "tags"), 1)
# The database is emptied by each example's rollback.
shared_database = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
many = settings(max_examples=500, deadline=None, suppress_health_check=shared_database)
some = settings(max_examples=200, deadline=None, suppress_health_check=shared_database)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database_url)
    yield connection
    await connection.close()


async def _found(
    connection: asyncpg.Connection, tasks: list[Task], asked: list[dict[str, Any]]
) -> list[set[int]]:
    """Returns which of the tasks SQL finds by each filter."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await insert(connection, tasks)
        return [await found_by(connection, given) for given in asked]
    finally:
        await transaction.rollback()


def _said(tasks: list[Task], given: dict[str, Any]) -> dict[int, bool | None]:
    """Returns what memory says of each task."""
    passes = predicate(parse(given, "filter"))
    return {one.id.int: passes(one, NOW) for one in tasks}


def test_every_field_and_operator_takes_part() -> None:
    assert set(VALUES) == set(FIELDS)
    for name, field in FIELDS.items():
        assert isinstance(VALUES[name], Mapping) == isinstance(field, Mapping)
        if isinstance(field, Mapping):
            assert set(VALUES[name]) == set(field)


@many
@given(tasks=task_sets(), asked=st.lists(filters, min_size=1, max_size=5))
async def test_memory_and_sql_agree(
    connection: asyncpg.Connection, tasks: list[Task], asked: list[dict[str, Any]]
) -> None:
    for wanted, found in zip(asked, await _found(connection, tasks, asked), strict=True):
        assert _said(tasks, wanted) == {one.id.int: one.id.int in found for one in tasks}, wanted


@some
@given(tasks=task_sets(), given=filters)
async def test_a_negation_finds_exactly_the_others(
    connection: asyncpg.Connection, tasks: list[Task], given: dict[str, Any]
) -> None:
    found, others = await _found(connection, tasks, [{"and": [given]}, {"not": given}])

    assert found & others == set()
    assert found | others == {one.id.int for one in tasks if one.deleted_at is None}


@some
@given(tasks=task_sets(), asked=st.lists(searching, min_size=1, max_size=3))
async def test_what_memory_decides_beside_a_search_is_what_sql_says(
    connection: asyncpg.Connection, tasks: list[Task], asked: list[dict[str, Any]]
) -> None:
    for wanted, found in zip(asked, await _found(connection, tasks, asked), strict=True):
        said = {n: passes for n, passes in _said(tasks, wanted).items() if passes is not None}
        assert said == {number: number in found for number in said}, wanted


def _other(value: Any) -> Any:
    """Returns a value of the same shape: every id, instant and name is another."""
    match value:
        case dict():
            return {name: _other(item) for name, item in value.items()}
        case [dict(), *_]:
            return [_other(item) for item in value]
        case list():
            return [_other(item) for item in value] * 2
        case bool() | None:
            return value
        case str():
            return {"OPEN": "DONE", "LOW": "HIGH"}.get(value, value).replace("00001", "00002")
        case _:
            return value + timedelta(days=1)


@settings(max_examples=200, deadline=None)
@given(given=inputs(tuple(VALUES), 1))
def test_values_leave_the_text_as_it_is(given: dict[str, Any]) -> None:
    one, other = parse(given), parse(_other(given))

    texts = [compiled(each, [], Page(size=1), WORKSPACE)[0] for each in (one, other)]

    assert where(one).shape == where(other).shape
    assert texts[0] == texts[1]
