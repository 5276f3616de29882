"""What resolvers may reach: the typed `info.context`."""

from typing import Protocol, TypeAlias

from strawberry.types import Info

from domain.access import Viewer
from domain.services.accounts import AccountService
from domain.services.labels import LabelService
from domain.services.tasks import TaskService
from domain.services.workspaces import WorkspaceService


class Context(Protocol):
    """The request's caller and the use cases."""

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
    def accounts(self) -> AccountService: ...
    @property
    def labels(self) -> LabelService: ...
    @property
    def tasks(self) -> TaskService: ...
    @property
    def workspaces(self) -> WorkspaceService: ...


RequestInfo: TypeAlias = Info[Context, None]
