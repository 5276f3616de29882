"""What an operation may cost at most, known before it runs, in objects the answer can hold.

- An object costs 1, and so does each change of the log.
- A list costs its page's size times what one of its objects costs; a list without pages counts as
  `LIST_SIZES` objects.
- A `totalCount` costs `COUNT`: the database may have to read many rows for it.
- The same attribute under a second name in one object costs `AGAIN`: it makes the answer longer
  without telling more, and a description has up to 100,000 characters.
- A mutation costs `MUTATION`, and what its payload costs; introspection costs `META`.
- A preview of a recurrence costs `PREVIEW`: it is worked out here, and a rare one takes a while.

The answer tells its cost in `extensions.cost`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from domain.paging import Page
from domain.reading import ChangeSlice, Read, TaskPage
from domain.selection import Field, Selection

# Two pages of 200 tasks with everything that a list shows, or one with a few subtasks each.
COST_MAX = 10_000
COUNT: Final = 50
AGAIN: Final = 10
MUTATION: Final = 10
META: Final = 500
PREVIEW: Final = 500
# What people have; the bounds are far higher.
LIST_SIZES: Final[Mapping[tuple[str, str], int]] = {
    ("Task", "tags"): 3,
    ("Workspace", "categories"): 10,
    ("Workspace", "tags"): 30,
    ("Viewer", "workspaces"): 5,
}

# The cost of one object, given the pages of nested connections and the size of its own.
Cost: TypeAlias = Callable[[Sequence[Page], int], int]


def size_of(read: Read) -> int:
    """Returns how many rows a root field may answer."""
    if isinstance(read, TaskPage):
        return read.page.size
    return read.first if isinstance(read, ChangeSlice) else 1


def cost_of(selection: Selection) -> Cost:
    """Returns what an object of that selection costs, compiled once for many requests."""
    seen = Counter(f.attribute for f in selection.fields if f.selection is None)
    fixed = 1 + sum(AGAIN * (times - 1) for times in seen.values())
    fixed += COUNT * seen["total_count"]
    parts = [_below(selection.kind, field) for field in selection.fields if field.selection]
    constants = [part for part in parts if isinstance(part, int)]
    varying = [part for part in parts if not isinstance(part, int)]
    fixed += sum(constants)
    if not varying:
        return lambda _pages, _size: fixed
    return lambda pages, size: fixed + sum(part(pages, size) for part in varying)


def _below(kind: str, field: Field) -> Cost | int:
    """Returns what a field with a selection of its own adds; a number where nothing varies it."""
    if field.selection is None:
        raise TypeError(field)
    one = cost_of(field.selection)
    if field.page is not None:
        index = field.page
        return lambda pages, _size: one(pages, pages[index].size)
    if field.attribute in ("edges", "nodes"):
        return lambda pages, size: size * one(pages, 1)
    times = LIST_SIZES.get((kind, field.attribute), 1)
    if not _varies(field.selection):
        return times * one((), 1)
    return lambda pages, size: times * one(pages, size)


def _varies(selection: Selection) -> bool:
    return any(
        field.page is not None
        or field.attribute in ("edges", "nodes")
        or (field.selection is not None and _varies(field.selection))
        for field in selection.fields
    )
