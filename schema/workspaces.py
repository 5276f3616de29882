"""People, workspaces and members."""

import strawberry
from strawberry import UNSET

from domain.workspaces import Role
from schema.errors import UserError
from schema.labels import Category, Tag
from schema.paging import PageInfo, nested
from schema.planned import planned
from schema.scalars import Sequence, TimeZone

WorkspaceRole = strawberry.enum(
    Role, name="WorkspaceRole", description="Each role may do all that the next one may."
)


@strawberry.type(description="Anybody one shares a workspace with.")
class User:
    id: strawberry.ID
    name: str
    email: str | None = strawberry.field(description="Only for members of that workspace.")


@strawberry.type
class Member:
    id: strawberry.ID
    user: User
    role: WorkspaceRole  # type: ignore[valid-type]


@strawberry.type
class MemberEdge:
    cursor: str
    node: Member


@strawberry.type
class MemberConnection:
    edges: list[MemberEdge]
    nodes: list[Member]
    page_info: PageInfo
    total_count: int | None


@strawberry.type
class Workspace:
    id: strawberry.ID
    name: str
    head: Sequence = strawberry.field(description="The last seq of its stream.")
    viewer_role: WorkspaceRole  # type: ignore[valid-type]
    members: MemberConnection = planned(nested, MemberConnection, "By the time they joined.")
    categories: list[Category] = strawberry.field(description="By name.")
    tags: list[Tag] = strawberry.field(description="By name.")


@strawberry.type
class Viewer:
    id: strawberry.ID
    name: str
    email: str
    time_zone: TimeZone
    workspaces: list[Workspace] = strawberry.field(description="By the time they were joined.")
    unread_notification_count: int
    is_email_verified: bool = strawberry.field(
        description="Whether the viewer has shown to read what is sent to `email`."
    )


@strawberry.input
class WorkspaceCreateInput:
    id: strawberry.ID | None = UNSET
    name: str
    client_mutation_id: str | None = UNSET


@strawberry.input
class MemberAddInput:
    email: str
    role: WorkspaceRole  # type: ignore[valid-type]
    client_mutation_id: str | None = UNSET


@strawberry.input
class MemberRemoveInput:
    client_mutation_id: str | None = UNSET


@strawberry.type
class WorkspaceCreatePayload:
    workspace: Workspace | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class MemberAddPayload:
    member: Member | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class MemberRemovePayload:
    workspace: Workspace | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]
