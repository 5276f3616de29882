"""What an operation may cost at most, known before it runs, in objects the answer can hold.

- An object costs 1, and so does each change of the log.
- A list costs its page's size times what one of its objects costs; a list without pages counts as
  the objects it may hold, `LIST_SIZES`.
- A `totalCount` costs `COUNT`: the database may have to read many rows for it.
- A long text costs `LONG_TEXT`: it can be longer than ten objects.
- The same attribute under a second name in one object costs `AGAIN`, a long text `LONG_AGAIN`: it
  makes the answer longer without telling more.
- A mutation costs `MUTATION`, and what its payload costs; introspection costs `META`.
- A preview of a recurrence costs `PREVIEW`: it is worked out here, and a rare one takes a while.
- A subscription costs what one message of it may cost, for it is paid with every change. One
  person's subscriptions together may cost what one query may; the hub sees to that.

The answer of a query or mutation tells its cost in `extensions.cost`. Costs bound the work; bytes
are bounded where answers are made (`domain.reading.ANSWER_MAX_BYTES`), since only there it is known
how long the texts are.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from domain import labels, reminders, tasks
from domain.paging import Page
from domain.reading import ChangeSlice, NotificationSlice, Read, TaskPage
from domain.selection import Field, Selection

# Two pages of 200 tasks with everything that a list shows, descriptions too.
COST_MAX = 40_000
# A change with its task, and two pages of subtasks with their tags below it.
MESSAGE_COST_MAX = 4_000
COUNT: Final = 50
AGAIN: Final = 10
LONG_TEXT: Final = 10
# Forty names for one description are 24 MB at its longest; nobody needs two.
LONG_AGAIN: Final = 1_000
MUTATION: Final = 10
META: Final = 500
# As many as twenty in a request.
PREVIEW: Final = 2_000
LONG_TEXTS: Final = frozenset({("Task", "description")})
LIST_SIZES: Final[Mapping[tuple[str, str], int]] = {
    ("Task", "tags"): tasks.TAGS_MAX,
    ("Task", "reminders"): reminders.REMINDERS_MAX,
    ("Workspace", "categories"): labels.CATEGORIES_MAX,
    ("Workspace", "tags"): labels.TAGS_MAX,
    # The one estimate: people are in a few, and whoever is in hundreds asks for less of each.
    ("Viewer", "workspaces"): 20,
}

# The cost of one object, given the pages of nested connections and the size of its own.
Cost: TypeAlias = Callable[[Sequence[Page], int], int]


def size_of(read: Read) -> int:
    """Returns how many rows a root field may answer."""
    if isinstance(read, TaskPage):
        return read.page.size
    return read.first if isinstance(read, ChangeSlice | NotificationSlice) else 1


def cost_of(selection: Selection) -> Cost:
    """Returns what an object of that selection costs, compiled once for many requests."""
    seen = Counter(f.attribute for f in selection.fields if f.selection is None)
    fixed = 1 + sum(_leaf(selection.kind, *entry) for entry in seen.items())
    fixed += COUNT * seen["total_count"]
    parts = [_below(selection.kind, field) for field in selection.fields if field.selection]
    constants = [part for part in parts if isinstance(part, int)]
    varying = [part for part in parts if not isinstance(part, int)]
    fixed += sum(constants)
    if not varying:
        return lambda _pages, _size: fixed
    return lambda pages, size: fixed + sum(part(pages, size) for part in varying)


def _leaf(kind: str, attribute: str, times: int) -> int:
    """Returns what an attribute without fields of its own adds, under so many names."""
    if (kind, attribute) in LONG_TEXTS:
        return LONG_TEXT + LONG_AGAIN * (times - 1)
    return AGAIN * (times - 1)


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


def dearest(selections: Sequence[Selection]) -> Cost:
    """Returns what the dearest of several answers costs, of which one is given."""
    costs = [cost_of(selection) for selection in selections]
    return lambda pages, size: max(cost(pages, size) for cost in costs)


def _varies(selection: Selection) -> bool:
    return any(
        field.page is not None
        or field.attribute in ("edges", "nodes")
        or (field.selection is not None and _varies(field.selection))
        for field in selection.fields
    )
