"""Workspaces, their members, and what each role may do."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from domain.changes import Fact, State
from domain.errors import conflict, forbidden
from domain.ids import MemberId, UserId, WorkspaceId

NAME_MAX_CHARS = 200


class Role(IntEnum):
    """What a member may do; each role may do all that a lower one may."""

    VIEWER = 0
    MEMBER = 1
    ADMIN = 2
    OWNER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person as others see them."""

    id: UserId
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The tenant."""

    id: WorkspaceId
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user's place in a workspace."""

    id: MemberId
    workspace_id: WorkspaceId
    user: User
    role: Role
    created_at: datetime


def require(role: Role, least: Role, what: str) -> None:
    """Raises Refused (FORBIDDEN) unless `role` reaches `least`; `what` ends "to ..."."""
    if role < least:
        # Who may do it, or else give the role to do it: that takes an admin.
        helper = max(least, Role.ADMIN)
        raise forbidden(f"Ask an {helper.name.lower()} of the workspace to {what}.")


def workspace_state(workspace: Workspace) -> State:
    """Returns a workspace as its changes show it."""
    return {"id": str(workspace.id), "name": workspace.name}


def member_state(member: Member) -> State:
    """Returns a membership as its changes show it."""
    user = {"id": str(member.user.id), "name": member.user.name}
    return {"id": str(member.id), "user": user, "role": member.role.name}


def created(workspace: Workspace) -> Fact:
    """Returns the first change of a workspace's stream."""
    return Fact(
        kind="workspace.created",
        subject=workspace.id,
        fields=("name",),
        before={},
        state=workspace_state(workspace),
    )


def joined(member: Member) -> Fact:
    """Returns the change of somebody's becoming a member."""
    return Fact(
        kind="member.added",
        subject=member.id,
        fields=("user", "role"),
        before={},
        state=member_state(member),
    )


def left(member: Member, *, owners: int) -> Fact:
    """Returns the change of somebody's ceasing to be a member.

    Raises:
        Refused: CONFLICT; a workspace keeps at least one owner.
    """
    if member.role is Role.OWNER and owners == 1:
        raise conflict("Make somebody else an owner first: a workspace keeps one.", "userId")
    state = member_state(member)
    return Fact(
        kind="member.removed",
        subject=member.id,
        fields=("user", "role"),
        before=state,
        state=state,
    )
