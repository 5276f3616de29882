"""Categories and tags: one use case for each mutation."""

import strawberry
from strawberry import UNSET

from domain.ids import WorkspaceId
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
        outcome = await info.context.use.labels.create(
            command(info, input.client_mutation_id),
            "category",
            WorkspaceId(wanted_id(workspace_id, "workspaceId")),
            new_id(input.id, "input", "id"),
            LabelPatch(name=input.name, colour=input.colour),
        )
        return await done(info, "category", outcome)

    @mutation(t.CategoryUpdatePayload, "Renames or recolours a category: one change of it.")
    async def category_update(
        self, info: RequestInfo, id: strawberry.ID, input: t.CategoryUpdateInput
    ) -> Payload:
        who = command(info, input.client_mutation_id)
        category = wanted_id(id, "id")
        outcome = await info.context.use.labels.update(who, "category", category, _patch(input))
        return await done(info, "category", outcome)

    @mutation(t.CategoryDeletePayload, "Deletes a category; its tasks have none then.")
    async def category_delete(
        self, info: RequestInfo, id: strawberry.ID, input: t.CategoryDeleteInput | None = UNSET
    ) -> Payload:
        who = command(info, input.client_mutation_id if input else None)
        outcome = await info.context.use.labels.delete(who, "category", wanted_id(id, "id"))
        return await done(info, "category", outcome)

    @mutation(t.TagCreatePayload, "Creates a tag; its name is unique in the workspace.")
    async def tag_create(
        self, info: RequestInfo, workspace_id: strawberry.ID, input: t.TagCreateInput
    ) -> Payload:
        outcome = await info.context.use.labels.create(
            command(info, input.client_mutation_id),
            "tag",
            WorkspaceId(wanted_id(workspace_id, "workspaceId")),
            new_id(input.id, "input", "id"),
            LabelPatch(name=input.name, colour=input.colour),
        )
        return await done(info, "tag", outcome)

    @mutation(t.TagUpdatePayload, "Renames or recolours a tag: one change of it.")
    async def tag_update(
        self, info: RequestInfo, id: strawberry.ID, input: t.TagUpdateInput
    ) -> Payload:
        who = command(info, input.client_mutation_id)
        outcome = await info.context.use.labels.update(
            who, "tag", wanted_id(id, "id"), _patch(input)
        )
        return await done(info, "tag", outcome)

    @mutation(t.TagDeletePayload, "Deletes a tag; its tasks lose it.")
    async def tag_delete(
        self, info: RequestInfo, id: strawberry.ID, input: t.TagDeleteInput | None = UNSET
    ) -> Payload:
        who = command(info, input.client_mutation_id if input else None)
        outcome = await info.context.use.labels.delete(who, "tag", wanted_id(id, "id"))
        return await done(info, "tag", outcome)


def _patch(given: t.CategoryUpdateInput | t.TagUpdateInput) -> LabelPatch:
    fields = (("name", given.name), ("colour", given.colour))
    return LabelPatch(
        name=given.name.value if given.name else None,
        colour=given.colour.value if given.colour else None,
        given=frozenset(name for name, said in fields if said is not None),
    )
