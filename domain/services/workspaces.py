"""What people do with workspaces and their members."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from domain import text, workspaces
from domain.errors import conflict, not_found, over_limit
from domain.ids import MemberId, UserId, WorkspaceId
from domain.ports import Command, Needs, Seen, Writes
from domain.services import ringing
from domain.services.mutations import Decision, Mutations, Outcome
from domain.workspaces import Member, Role, User, Workspace, require

# Counted apart, so that nobody can keep others from founding by putting them into workspaces.
FOUNDED_MAX = 250
JOINED_MAX = 250
# `viewer.workspaces` is a list without pages.
MEMBERSHIPS_MAX = FOUNDED_MAX + JOINED_MAX


def founded(workspace: Workspace, owner: User, member_id: MemberId) -> Writes:
    """Returns the writes of a new workspace with its first owner."""
    member = Member(
        id=member_id,
        workspace_id=workspace.id,
        user=owner,
        role=Role.OWNER,
        created_at=workspace.created_at,
    )
    return Writes(
        workspace=workspace.id,
        subject=workspace.id,
        at=workspace.created_at,
        actor=owner,
        facts=(workspaces.created(workspace), workspaces.joined(member)),
        create=workspace,
        members=(member,),
    )


class WorkspaceService:
    """Creates workspaces, adds and removes their members."""

    def __init__(self, mutations: Mutations, new_id: Callable[[], UUID]) -> None:
        self._mutations = mutations
        self._new_id = new_id

    async def create(self, command: Command, id: UUID | None, name: str | None) -> Outcome:
        """Creates a workspace that the actor owns.

        Raises:
            Refused: INVALID, CONFLICT (the id is taken), LIMIT_EXCEEDED.
        """
        new = WorkspaceId(id or self._new_id())

        def decide(seen: Seen, at: datetime) -> Decision:
            title = text.line(name, ("input", "name"), longest=workspaces.NAME_MAX_CHARS)
            if seen.founded_count >= FOUNDED_MAX:
                raise over_limit(f"One founds at most {FOUNDED_MAX} workspaces.")
            workspace = Workspace(id=new, name=title, created_at=at)
            if seen.actor is None:
                raise TypeError("Only a person founds a workspace.")
            writes = founded(workspace, seen.actor, MemberId(self._new_id()))
            return Decision(writes=writes, state=workspaces.workspace_state(workspace))

        return await self._mutations.run(command, Needs(), decide)

    async def add_member(
        self, command: Command, workspace: WorkspaceId, email_key: str, role: Role
    ) -> Outcome:
        """Adds somebody who has an account; adding with the role they have is no change.

        Raises:
            Refused: NOT_FOUND, FORBIDDEN, CONFLICT (a member with another role), LIMIT_EXCEEDED.
        """

        def decide(seen: Seen, at: datetime) -> Decision:
            space = _administered(seen, "add members")
            if role is Role.OWNER:
                require(seen.role, Role.OWNER, "add another owner")
            if seen.invitee is None:
                raise not_found("Nobody has signed up with this address.", "input", "email")
            there = seen.members.get(seen.invitee.id)
            if there is not None:
                if there.role is not role:
                    message = f"They are a member already, as {there.role.name}."
                    raise conflict(message, "input", "email")
                return Decision(
                    writes=_writes(seen, space, there.id, at), state=workspaces.member_state(there)
                )
            if seen.joined_count >= JOINED_MAX:
                message = f"They are in {JOINED_MAX} workspaces of others already."
                raise over_limit(message, "input", "email")
            member = Member(
                id=MemberId(self._new_id()),
                workspace_id=space,
                user=seen.invitee,
                role=role,
                created_at=at,
            )
            fact = workspaces.joined(member)
            writes = replace(
                _writes(seen, space, member.id, at),
                facts=(fact,),
                members=(member,),
                roles_moved=True,
            )
            return Decision(writes=writes, state=fact.state)

        needs = Needs(workspace=workspace, email_key=email_key)
        return await self._mutations.run(command, needs, decide)

    async def remove_member(
        self, command: Command, workspace: WorkspaceId, user: UserId
    ) -> Outcome:
        """Removes a member; everybody may remove themselves. Open streams of theirs end.

        Raises:
            Refused: NOT_FOUND, FORBIDDEN, CONFLICT (the last owner).
        """

        def decide(seen: Seen, at: datetime) -> Decision:
            space = _visible(seen)
            member = seen.members.get(user)
            if member is None:
                raise not_found("There is no such member of the workspace.", "userId")
            if user != command.actor:
                require(seen.role, Role.ADMIN, "remove members")
            if member.role is Role.OWNER:
                require(seen.role, Role.OWNER, "remove an owner")
            fact = workspaces.left(member, owners=seen.owner_count)
            writes = replace(
                _writes(seen, space, member.id, at),
                facts=(fact,),
                members_gone=(member,),
                roles_moved=True,
                ledger=ringing.left(seen),
            )
            return Decision(writes=writes, state=fact.state)

        leaving = user == command.actor
        needs = Needs(
            workspace=workspace, users=(user,), owners=True, leaving=leaving, leaving_of=user
        )
        return await self._mutations.run(command, needs, decide)


def _visible(seen: Seen) -> WorkspaceId:
    if seen.workspace is None:
        raise not_found("There is no such workspace.", "workspaceId")
    return seen.workspace.id


def _administered(seen: Seen, what: str) -> WorkspaceId:
    workspace = _visible(seen)
    require(seen.role, Role.ADMIN, what)
    return workspace


def _writes(seen: Seen, workspace: WorkspaceId, subject: UUID, at: datetime) -> Writes:
    return Writes(
        workspace=workspace, subject=subject, at=at, actor=seen.actor, roles_rev=seen.roles_rev
    )
