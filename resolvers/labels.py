"""Categories and tags: one use case for each mutation."""

import strawberry
from strawberry import UNSET

from domain.errors import Problems
from domain.ids import WorkspaceId
from domain.labels import Kind
from domain.services.labels import LabelPatch
from resolvers.payloads import Payload, command, done, mutation, new_id, wanted_id
from schema import labels as t
from schema.context import RequestInfo


@strawberry.type
class LabelMutation:
    @mutation(t.CategoryCreatePayload, "Creates a category; its name is unique in the workspace.")
    async def category_create(
        self, info: RequestInfo, workspace_id: strawberry.ID, input: t.CategoryCreateInput
    ) -> Payload:
        return await _created(info, "category", workspace_id, input)

    @mutation(t.CategoryUpdatePayload, "Renames or recolours a category: one change of it.")
    async def category_update(
        self, info: RequestInfo, id: strawberry.ID, input: t.CategoryUpdateInput
    ) -> Payload:
        return await _updated(info, "category", id, input)

    @mutation(
        t.CategoryDeletePayload,
        "Deletes a category; its tasks have none then, and each a new version.",
    )
    async def category_delete(
        self, info: RequestInfo, id: strawberry.ID, input: t.CategoryDeleteInput | None = UNSET
    ) -> Payload:
        return await _deleted(info, "category", id, input)

    @mutation(t.TagCreatePayload, "Creates a tag; its name is unique in the workspace.")
    async def tag_create(
        self, info: RequestInfo, workspace_id: strawberry.ID, input: t.TagCreateInput
    ) -> Payload:
        return await _created(info, "tag", workspace_id, input)

    @mutation(t.TagUpdatePayload, "Renames or recolours a tag: one change of it.")
    async def tag_update(
        self, info: RequestInfo, id: strawberry.ID, input: t.TagUpdateInput
    ) -> Payload:
        return await _updated(info, "tag", id, input)

    @mutation(t.TagDeletePayload, "Deletes a tag; its tasks lose it, and each has a new version.")
    async def tag_delete(
        self, info: RequestInfo, id: strawberry.ID, input: t.TagDeleteInput | None = UNSET
    ) -> Payload:
        return await _deleted(info, "tag", id, input)


async def _created(
    info: RequestInfo,
    kind: Kind,
    workspace_id: strawberry.ID,
    given: t.CategoryCreateInput | t.TagCreateInput,
) -> Payload:
    workspace = WorkspaceId(wanted_id(workspace_id, "workspaceId"))
    problems = Problems()
    new = problems.of(lambda: new_id(given.id, "input", "id"))
    who = command(info, given.client_mutation_id, problems)
    patch = LabelPatch(name=given.name, colour=given.colour)
    outcome = await info.context.use.labels.create(who, kind, workspace, new, patch)
    return await done(info, kind, outcome)


async def _updated(
    info: RequestInfo,
    kind: Kind,
    id: strawberry.ID,
    given: t.CategoryUpdateInput | t.TagUpdateInput,
) -> Payload:
    who = command(info, given.client_mutation_id)
    outcome = await info.context.use.labels.update(who, kind, wanted_id(id, "id"), _patch(given))
    return await done(info, kind, outcome)


async def _deleted(
    info: RequestInfo,
    kind: Kind,
    id: strawberry.ID,
    given: t.CategoryDeleteInput | t.TagDeleteInput | None,
) -> Payload:
    who = command(info, given.client_mutation_id if given else None)
    outcome = await info.context.use.labels.delete(who, kind, wanted_id(id, "id"))
    return await done(info, kind, outcome)


def _patch(given: t.CategoryUpdateInput | t.TagUpdateInput) -> LabelPatch:
    fields = (("name", given.name), ("colour", given.colour))
    return LabelPatch(
        name=given.name.value if given.name else None,
        colour=given.colour.value if given.colour else None,
        given=frozenset(name for name, said in fields if said is not None),
    )
