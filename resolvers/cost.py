"""What an operation may cost, known before it runs.

The cost is the number of objects that the answer can hold: an object counts one, a page as many
as it asks for, a list without pages as many as is usual; a total count costs as a page does.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from domain.paging import Page
from domain.selection import Field, Selection

# A full page of tasks with everything they show costs 2,000; with a page of subtasks each, 20,000.
COST_MAX = 50_000
COUNT_COST = 50
# Lists without pages, by attribute.
USUAL: Final[Mapping[str, int]] = {"tags": 5, "categories": 20, "workspaces": 5}
_CONNECTIONS = ("TaskConnection", "MemberConnection", "ChangePage")


def cost(field: Field, pages: Sequence[Page], size: int = 1) -> int:
    """Returns the cost of a field; `size` is a root's page, where it has one."""
    selection = field.selection
    if selection is None:
        return 0
    if selection.kind in _CONNECTIONS:
        rows = size if field.page is None else pages[field.page].size
        return 1 + _connection(selection, pages, rows)
    return USUAL.get(field.attribute, 1) * _one(selection, pages)


def _one(selection: Selection, pages: Sequence[Page]) -> int:
    return 1 + sum(cost(field, pages) for field in selection.fields)


def _connection(selection: Selection, pages: Sequence[Page], rows: int) -> int:
    total = 0
    for field in selection.fields:
        if field.attribute == "total_count":
            total += COUNT_COST
        elif field.attribute in {"nodes", "edges"} and field.selection is not None:
            total += rows * _one(field.selection, pages)
    return total
