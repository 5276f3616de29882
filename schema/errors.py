"""What a caller can act on, as data."""

import strawberry

from domain.errors import Code

UserErrorCode = strawberry.enum(Code, name="UserErrorCode", description="Why nothing was changed.")


@strawberry.type
class UserError:
    """One thing wrong with a mutation."""

    code: UserErrorCode  # type: ignore[valid-type]
    field: list[str] | None = strawberry.field(
        description='The path in the arguments, such as ["input", "due", "date"].'
    )
    message: str = strawberry.field(description="What to do.")
