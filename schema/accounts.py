"""Signing up, in and out, and staying signed in."""

import strawberry
from strawberry import UNSET

from schema.errors import UserError
from schema.scalars import DateTime, TimeZone
from schema.workspaces import Viewer

BEARER = "`accessToken` goes into Authorization: Bearer."
REFRESHING = (
    "Buys the next access token by `sessionRefresh`, once. Keep it where no other program reads."
)


@strawberry.input
class SignUpInput:
    email: str
    password: str = strawberry.field(description="8 to 1,024 characters.")
    name: str = strawberry.field(description="1 to 100 characters.")
    time_zone: TimeZone | None = strawberry.field(default=UNSET, description="UTC where absent.")


@strawberry.input
class SignInInput:
    email: str
    password: str


@strawberry.input
class SessionRefreshInput:
    refresh_token: str


@strawberry.input
class SignOutInput:
    is_everywhere: bool = strawberry.field(
        default=False, description="Ends all sessions of the account, not only this one."
    )


@strawberry.type(description=BEARER)
class SignUpPayload:
    access_token: str | None
    expires_at: DateTime | None = strawberry.field(description="When the access token expires.")
    refresh_token: str | None = strawberry.field(description=REFRESHING)
    viewer: Viewer | None
    user_errors: list[UserError]


@strawberry.type(description=BEARER)
class SignInPayload:
    access_token: str | None
    expires_at: DateTime | None = strawberry.field(description="When the access token expires.")
    refresh_token: str | None = strawberry.field(description=REFRESHING)
    viewer: Viewer | None
    user_errors: list[UserError]


@strawberry.type(description=BEARER)
class SessionRefreshPayload:
    access_token: str | None
    expires_at: DateTime | None = strawberry.field(description="When the access token expires.")
    refresh_token: str | None = strawberry.field(description=REFRESHING)
    viewer: Viewer | None
    user_errors: list[UserError]


@strawberry.type
class EmailVerificationSendPayload:
    user_errors: list[UserError]


@strawberry.type(description="The access token is refused from now on; its open sockets close.")
class SignOutPayload:
    user_errors: list[UserError]
