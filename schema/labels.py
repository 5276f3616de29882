"""Categories and tags."""

import strawberry
from strawberry import UNSET, Maybe

from schema.errors import UserError
from schema.scalars import Colour, Sequence


@strawberry.type
class Category:
    id: strawberry.ID
    name: str
    colour: Colour


@strawberry.type
class Tag:
    id: strawberry.ID
    name: str
    colour: Colour


@strawberry.input
class CategoryCreateInput:
    id: strawberry.ID | None = UNSET
    name: str
    colour: Colour
    client_mutation_id: str | None = UNSET


@strawberry.input
class CategoryUpdateInput:
    name: Maybe[str | None]
    colour: Maybe[Colour | None]
    client_mutation_id: str | None = UNSET


@strawberry.input
class CategoryDeleteInput:
    client_mutation_id: str | None = UNSET


@strawberry.input
class TagCreateInput:
    id: strawberry.ID | None = UNSET
    name: str
    colour: Colour
    client_mutation_id: str | None = UNSET


@strawberry.input
class TagUpdateInput:
    name: Maybe[str | None]
    colour: Maybe[Colour | None]
    client_mutation_id: str | None = UNSET


@strawberry.input
class TagDeleteInput:
    client_mutation_id: str | None = UNSET


@strawberry.type
class CategoryCreatePayload:
    category: Category | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class CategoryUpdatePayload:
    category: Category | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class CategoryDeletePayload:
    category_id: strawberry.ID | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class TagCreatePayload:
    tag: Tag | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class TagUpdatePayload:
    tag: Tag | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class TagDeletePayload:
    tag_id: strawberry.ID | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]
