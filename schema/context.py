"""What resolvers may reach: the typed `info.context`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from strawberry.types import Info

from domain.access import Viewer
from domain.changes import State
from domain.ids import UserId, WorkspaceId
from domain.reading import Row
from domain.selection import Missing, Selection
from domain.services.accounts import AccountService
from domain.services.labels import LabelService
from domain.services.notifications import NotificationService
from domain.services.occurrences import OccurrenceService
from domain.services.preferences import PreferenceService
from domain.services.reminders import ReminderService
from domain.services.series import SeriesService
from domain.services.tasks import TaskService
from domain.services.verification import VerificationService
from domain.services.workspaces import WorkspaceService


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """What mutations can do; one of each per process."""

    accounts: AccountService
    labels: LabelService
    occurrences: OccurrenceService
    notifications: NotificationService
    preferences: PreferenceService
    reminders: ReminderService
    series: SeriesService
    tasks: TaskService
    verification: VerificationService
    workspaces: WorkspaceService


class Context(Protocol):
    """One request: its caller, what it selects, and what can be done for it."""

    @property
    def viewer(self) -> Viewer | None:
        """Who asks; None without a valid token."""
        ...

    @property
    def client(self) -> str:
        """The client's network address."""
        ...

    @property
    def trace(self) -> str | None:
        """The W3C traceparent of the request."""
        ...

    @property
    def selections(self) -> Mapping[str, Selection]:
        """What each root field of the operation is asked for, by response key."""
        ...

    @property
    def use(self) -> UseCases:
        """The use cases."""
        ...

    async def preferences(self) -> State:
        """Returns how the viewer is told of things."""
        ...

    async def read(
        self, read: Row, selection: Selection, *, user: UserId | None = None
    ) -> Mapping[str, object] | None:
        """Returns the present of what is read, as the viewer (or `user`) may see it."""
        ...

    async def fill(self, workspace: WorkspaceId, missing: Sequence[Missing]) -> None:
        """Puts the present of things of a workspace where answers made from states lack it."""
        ...


RequestInfo: TypeAlias = Info[Context, None]
