"""What can be read: each read says which rows, and the port says how they are asked for.

A row that is absent and a row that the viewer may not see are one and the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeAlias
from uuid import UUID

from domain.changes import Change, State
from domain.errors import OverLimit
from domain.filters import Where
from domain.ids import DeliveryId, SeriesId, TaskId, UserId, WorkspaceId
from domain.messages import ResyncRequired
from domain.paging import POSITION, Key, Order, Page
from domain.selection import Selection

# A page of 200 tasks takes some 200 kB; with the longest descriptions it would take 80 MB.
ANSWER_MAX_BYTES = 8_388_608
# The one order of each connection that lies in another object.
SUBTASK_ORDER: Final = (Order(POSITION),)
HISTORY_ORDER: Final = (
    Order(Key(name="SLOT", attribute="instant", kind=datetime), descending=True),
)
MEMBER_ORDER: Final = (Order(Key(name="JOINED_AT", attribute="created_at", kind=datetime)),)


@dataclass(frozen=True, slots=True)
class TheViewer:
    """The viewer's own account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWorkspace:
    """A workspace, once its stream has reached `at_least`."""

    id: WorkspaceId
    at_least: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTask:
    """A task, in the trash or not, once its workspace's stream has reached `at_least`."""

    id: TaskId
    at_least: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSeries:
    """A series, over or not, once its workspace's stream has reached `at_least`."""

    id: SeriesId
    at_least: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """A page of a workspace's tasks, once its stream has reached `at_least`."""

    workspace: WorkspaceId
    where: Where
    orders: tuple[Order, ...]
    page: Page
    at_least: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSlice:
    """The `first` changes of a workspace that follow `after`."""

    workspace: WorkspaceId
    after: int
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesAfter:
    """A live stream of a workspace's changes: those after `after`, or from now on."""

    workspace: WorkspaceId
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSlice:
    """The `first` entries of the viewer's feed that follow `after`; without it, the newest."""

    after: int | None
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OneNotification:
    """An entry of the viewer's feed."""

    id: DeliveryId


@dataclass(frozen=True, slots=True)
class ThePreferences:
    """How the viewer is told of things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationsAfter:
    """A live stream of the viewer's feed: what follows `after`, or from now on."""

    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What things of a workspace are by now, answered as an object keyed by their ids.

    For whoever has been let into the workspace already: nobody asks who the viewer is. Users who
    are no members of it are known by name.
    """

    workspace: WorkspaceId
    ids: tuple[UUID, ...]


# What the database answers as it stands, in one statement for any number of them.
Row: TypeAlias = (
    TheViewer
    | OneWorkspace
    | OneTask
    | OneSeries
    | TaskPage
    | NotificationSlice
    | OneNotification
    | Present
)
# What a root field of a query may ask for; where it asks for None, the answer is null.
Read: TypeAlias = Row | ChangeSlice | ThePreferences


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """A page of the log; empty where `resync` tells that the log does not reach back."""

    changes: Sequence[Change]
    head: int
    has_next: bool
    resync: ResyncRequired | None


def too_large(most: int) -> OverLimit:
    """Returns the refusal of an answer of more than so many bytes."""
    return OverLimit(f"The answer has more than {most} bytes: ask for smaller pages, or less text.")


class PreparedRead(Protocol):
    """One selection of rows and fields, ready to be read with the values of a request."""

    async def read(
        self, viewer: UserId | None, reads: Sequence[Row], pages: Sequence[Page]
    ) -> bytes | None:
        """Returns the answer as JSON, all from one snapshot.

        None: something is not visible, or its stream has not reached `at_least`; asked one by
        one, the reads tell which. A task or workspace that is not visible is null, no more.

        Args:
            viewer: who asks; None where every read is `Present`.
            reads: one for each field of the prepared selection that has a selection of its own.
            pages: those of the nested connections, by the index in their `Field.page`.

        Raises:
            OverLimit: the answer would be longer than one may be; see `too_large`.
        """
        ...


class Reader(Protocol):
    """Reads rows for a viewer."""

    def prepare(self, selection: Selection) -> PreparedRead:
        """Returns the reads of that selection's fields, to be kept as long as the selection."""
        ...

    async def has_reached(self, viewer: UserId, read: Row) -> bool:
        """Tells whether the read's `at_least` has come, or nothing is visible that it could."""
        ...

    async def preferences(self, viewer: UserId) -> State:
        """Returns how a person is told of things, by attribute."""
        ...

    async def changes(self, viewer: UserId, read: ChangeSlice) -> LogPage | None:
        """Returns changes in their order; None where the workspace is not visible."""
        ...
