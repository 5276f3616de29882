"""The viewer, workspaces and their members."""

import strawberry
from strawberry import UNSET

from domain import accounts
from domain.errors import Problems
from domain.ids import UserId, WorkspaceId
from domain.reading import OneWorkspace, TheViewer
from resolvers.payloads import (
    Payload,
    carried_out,
    command,
    done,
    mutation,
    new_id,
    visible_id,
    wanted_id,
)
from resolvers.selection import selected
from schema import workspaces as t
from schema.context import RequestInfo
from schema.planned import planned
from schema.scalars import Sequence


def _viewer() -> TheViewer:
    return TheViewer()


def _workspace(id: strawberry.ID, at_least: Sequence | None = UNSET) -> OneWorkspace:
    return OneWorkspace(id=WorkspaceId(visible_id(id)), at_least=at_least or None)


@strawberry.type
class WorkspaceQuery:
    viewer: t.Viewer | None = planned(_viewer, t.Viewer | None, "Who asks; null without a token.")
    workspace: t.Workspace | None = planned(
        _workspace, t.Workspace | None, "Null where it is absent, or the viewer is no member."
    )


@strawberry.type
class WorkspaceMutation:
    @mutation(t.WorkspaceCreatePayload, "Creates a workspace that the viewer owns.")
    async def workspace_create(self, info: RequestInfo, input: t.WorkspaceCreateInput) -> Payload:
        problems = Problems()
        new = problems.of(lambda: new_id(input.id, "input", "id"))
        who = command(info, input.client_mutation_id, problems)
        outcome = await info.context.use.workspaces.create(who, new, input.name)
        return await done(info, "workspace", outcome, WorkspaceId(outcome.subject))

    @mutation(t.MemberAddPayload, "Adds somebody who has an account, by their address.")
    async def member_add(
        self, info: RequestInfo, workspace_id: strawberry.ID, input: t.MemberAddInput
    ) -> Payload:
        problems = Problems()
        place = problems.of(lambda: wanted_id(workspace_id, "workspaceId"))
        email = problems.of(lambda: accounts.email(input.email, "input", "email"))
        if place is None or email is None:
            raise problems.refusal()
        workspace = WorkspaceId(place)
        who = command(info, input.client_mutation_id)
        outcome = await info.context.use.workspaces.add_member(
            who, workspace, email.key, input.role
        )
        return await done(info, "member", outcome, workspace)

    @mutation(t.MemberRemovePayload, "Removes a member; their open streams end.")
    async def member_remove(
        self,
        info: RequestInfo,
        workspace_id: strawberry.ID,
        user_id: strawberry.ID,
        input: t.MemberRemoveInput | None = UNSET,
    ) -> Payload:
        problems = Problems()
        place = problems.of(lambda: wanted_id(workspace_id, "workspaceId"))
        user = problems.of(lambda: wanted_id(user_id, "userId"))
        if place is None or user is None:
            raise problems.refusal()
        workspace = WorkspaceId(place)
        who = command(info, input.client_mutation_id if input else None)
        outcome = await info.context.use.workspaces.remove_member(who, workspace, UserId(user))
        answer = await done(info, "member", outcome)
        for field in selected(info).fields:
            if field.selection is not None and field.attribute == "workspace":
                # The change is the member's; the answer is null for who has left the workspace.
                with carried_out():
                    answer[field.key] = await info.context.read(
                        OneWorkspace(id=workspace), field.selection
                    )
        return answer
