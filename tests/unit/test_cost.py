"""What an operation may cost is known from its selection and its pages."""

import pytest

from domain.filter_input import parse
from domain.filters import where
from domain.ids import TaskId, WorkspaceId
from domain.paging import POSITION, Order, Page
from domain.reading import ChangeSlice, OneTask, Read, TaskPage
from domain.selection import Field, Selection
from resolvers.cost import AGAIN, COUNT, LIST_SIZES, cost_of, size_of
from tests.task_rows import WORKSPACE

TITLE = Field("title", "title")
TAGS = Field("tags", "tags", Selection("Tag", (Field("name", "name"),)))
TAGS_OF_A_TASK = LIST_SIZES["Task", "tags"]


def _task(*fields: Field) -> Selection:
    return Selection("Task", fields)


def _page(*fields: Field) -> Selection:
    return Selection("TaskConnection", (Field("nodes", "nodes", _task(*fields)),))


def _subtasks(page: int, *fields: Field) -> Field:
    return Field("subtasks", "subtasks", _page(*fields), page)


CATEGORY = Field("category", "category", Selection("Category"))
EDGES = Field("edges", "edges", Selection("TaskEdge", (Field("node", "node", _task()),)))
BOTH = Selection("TaskConnection", (*_page().fields, EDGES))
COUNTED = Selection("TaskConnection", (Field("totalCount", "total_count"),))


@pytest.mark.parametrize(
    "_case, selection, pages, size, expected",
    [
        ("one object", _task(TITLE), [], 1, 1),
        ("what it refers to", _task(TITLE, CATEGORY), [], 1, 2),
        ("a short list", _task(TAGS), [], 1, 1 + TAGS_OF_A_TASK),
        ("an attribute again", _task(TITLE, Field("t", "title")), [], 1, 1 + AGAIN),
        ("and again", _task(TITLE, Field("t", "title"), Field("u", "title")), [], 1, 1 + 2 * AGAIN),
        ("a page", _page(TITLE), [], 50, 51),
        ("nodes and edges", BOTH, [], 10, 1 + 10 + 20),
        ("an empty page", _page(TITLE), [], 0, 1),
        ("a count", COUNTED, [], 50, 1 + COUNT),
        ("a page in an object", _task(_subtasks(0)), [Page(size=7)], 1, 1 + 1 + 7),
        ("in a page", _page(_subtasks(1)), [Page(size=0), Page(size=7)], 10, 1 + 10 * (1 + 1 + 7)),
    ],
)
def test_a_selection_costs_the_objects_it_can_hold(
    _case: str, selection: Selection, pages: list[Page], size: int, expected: int
) -> None:
    assert cost_of(selection)(pages, size) == expected


@pytest.mark.parametrize(
    "read, size",
    [
        (OneTask(id=TaskId(WORKSPACE)), 1),
        (ChangeSlice(workspace=WORKSPACE, after=0, first=30), 30),
        (
            TaskPage(
                workspace=WorkspaceId(WORKSPACE),
                where=where(parse(None)),
                orders=(Order(POSITION),),
                page=Page(size=20),
            ),
            20,
        ),
    ],
)
def test_a_read_answers_so_many_rows_at_most(read: Read, size: int) -> None:
    assert size_of(read) == size
