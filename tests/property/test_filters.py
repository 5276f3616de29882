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
from domain.filters import predicate, shape
from domain.paging import Page
from domain.tasks import Priority, Status, Task
from tests.task_rows import NOW, WORKSPACE, compiled, connect, found_by, insert, task

# Few values of each kind, so that comparisons meet their edges.
IDS = [UUID(int=number) for number in range(1, 7)]
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
dues = st.none() | st.builds(
    lambda day, hour, zone: due(day, hour, ZoneInfo(zone), fold=False),
    st.sampled_from(DAYS),
    st.sampled_from([None, NOW.time(), NOW.time().replace(second=1)]),
    st.sampled_from(["UTC", "Pacific/Kiritimati", "America/New_York"]),
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
        )
        for number in range(1, draw(st.integers(1, 8)) + 1)
    ]


def _list(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(items, max_size=3)


def _object(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    given = {name: st.none() | field for name, field in fields.items()}
    return st.none() | st.fixed_dictionaries({}, optional=given)


id_texts = ids.map(str)
flags = st.booleans()
id_filters = _object(eq=id_texts, **{"in": _list(id_texts)}, isNull=flags)
statuses = st.sampled_from(list(Status.__members__))
priorities = st.sampled_from(list(Priority.__members__))
days = st.sampled_from(DAYS)
instant_filters = _object(gte=instants, lt=instants, isNull=flags)
searches = st.lists(
    st.sampled_from([*WORDS, "-fix", '"fix kitchen"', "or", "kit", "cafe", "???", "-"]), max_size=4
).map(" ".join)
LEAVES: Mapping[str, st.SearchStrategy[Any]] = {
    "id": id_filters,
    "status": _object(eq=statuses, **{"in": _list(statuses)}),
    "priority": _object(eq=priorities, **{"in": _list(priorities)}, gte=priorities, lte=priorities),
    "category": id_filters,
    "assignee": id_filters,
    "parent": id_filters,
    "tags": _object(any=_list(id_texts), all=_list(id_texts), none=_list(id_texts), isEmpty=flags),
    "due": _object(gte=instants, lt=instants, dateGte=days, dateLt=days, isNull=flags),
    "createdAt": instant_filters,
    "updatedAt": instant_filters,
    "completedAt": instant_filters,
    "isOverdue": st.none() | flags,
    "isDeleted": st.none() | flags,
}


def _filters(leaves: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    # One or two fields at a time: more of them, and hardly any task passes.
    leaf = st.lists(st.sampled_from(list(leaves)), max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: leaves[name] for name in names})
    )
    return st.recursive(
        leaf,
        lambda inner: st.fixed_dictionaries(
            {},
            optional={
                "and": _list(inner),
                "or": _list(inner),
                "not": st.none() | inner,
                "isDeleted": flags,
            },
        ),
        max_leaves=6,
    )


filters = _filters(LEAVES)
searching = _filters({**LEAVES, "search": st.none() | searches})
many = settings(
    max_examples=500,
    deadline=None,
    # The database is emptied by each example's rollback.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database_url)
    yield connection
    await connection.close()


async def _both(
    connection: asyncpg.Connection, tasks: list[Task], given: Mapping[str, Any]
) -> tuple[set[int], dict[int, bool | None]]:
    """Returns which tasks SQL finds, and what memory says of each."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await insert(connection, tasks)
        found = await found_by(connection, given)
    finally:
        await transaction.rollback()
    passes = predicate(parse(given, "filter"))
    return found, {one.id.int: passes(one, NOW) for one in tasks}


def test_every_field_takes_part() -> None:
    assert set(LEAVES) | {"search"} == set(FIELDS)


@many
@given(tasks=task_sets(), given=filters)
async def test_memory_and_sql_agree(
    connection: asyncpg.Connection, tasks: list[Task], given: dict[str, Any]
) -> None:
    found, said = await _both(connection, tasks, given)

    assert said == {one.id.int: one.id.int in found for one in tasks}


@many
@given(tasks=task_sets(), given=filters)
async def test_a_negation_finds_exactly_the_others(
    connection: asyncpg.Connection, tasks: list[Task], given: dict[str, Any]
) -> None:
    found, _ = await _both(connection, tasks, {"and": [given]})
    others, _ = await _both(connection, tasks, {"not": given})

    living = {one.id.int for one in tasks if one.deleted_at is None}
    assert found & others == set()
    assert found | others == living


@many
@given(tasks=task_sets(), given=searching)
async def test_what_memory_decides_beside_a_search_is_what_sql_says(
    connection: asyncpg.Connection, tasks: list[Task], given: dict[str, Any]
) -> None:
    found, said = await _both(connection, tasks, given)

    decided = {number: passes for number, passes in said.items() if passes is not None}
    assert decided == {number: number in found for number in decided}


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
@given(given=searching)
def test_values_leave_the_text_as_it_is(given: dict[str, Any]) -> None:
    one, other = parse(given), parse(_other(given))

    texts = [compiled(each, [], Page(size=1), WORKSPACE)[0] for each in (one, other)]

    assert shape(one) == shape(other)
    assert texts[0] == texts[1]
