"""Signing up, in and out, and staying signed in."""

import strawberry
from strawberry import UNSET

from domain.errors import Unauthenticated
from domain.reading import TheViewer
from domain.services.sessions import SignedIn
from domain.tasks import instant_text
from resolvers.payloads import Payload, carried_out, mutation
from resolvers.selection import selected
from resolvers.streams import SIGN_IN
from schema import accounts as t
from schema.context import RequestInfo


@strawberry.type
class AccountMutation:
    @mutation(t.SignUpPayload, "Opens an account with a workspace of its own, and signs in.")
    async def sign_up(self, info: RequestInfo, input: t.SignUpInput) -> Payload:
        signed_in = await info.context.use.accounts.sign_up(
            email=input.email,
            password=input.password,
            name=input.name,
            # UNSET and null are the same here.
            zone=input.time_zone or None,
            client=info.context.client,
        )
        await info.context.use.verification.welcome(signed_in.user)
        return await _session(info, signed_in)

    @mutation(
        t.EmailVerificationSendPayload,
        "Mails the viewer the link that shows that the address is theirs, once a minute at most.",
    )
    async def email_verification_send(self, info: RequestInfo) -> Payload:
        viewer = info.context.viewer
        if viewer is None:
            raise Unauthenticated(SIGN_IN)
        await info.context.use.verification.send(viewer.user)
        return {f.key: [] for f in selected(info).fields if f.attribute == "user_errors"}

    @mutation(t.SignInPayload, "Opens a session.")
    async def sign_in(self, info: RequestInfo, input: t.SignInInput) -> Payload:
        signed_in = await info.context.use.accounts.sign_in(
            email=input.email, password=input.password, client=info.context.client
        )
        return await _session(info, signed_in)

    @mutation(
        t.SessionRefreshPayload,
        "Changes a refresh token for a new one and an access token, and prolongs the session. Needs"
        " no access token. Within 30 seconds the used token gets the same new one again, so two"
        " tabs may refresh at once and a lost answer may be asked for again, and the new one stays"
        " as it is. A used token that comes later was copied: its session ends.",
    )
    async def session_refresh(self, info: RequestInfo, input: t.SessionRefreshInput) -> Payload:
        return await _session(info, await info.context.use.accounts.refresh(input.refresh_token))

    @mutation(t.SignOutPayload, "Ends the session of the request's access token.")
    async def sign_out(self, info: RequestInfo, input: t.SignOutInput | None = UNSET) -> Payload:
        viewer = info.context.viewer
        if viewer is None:
            raise Unauthenticated("The session is over already, or the token is missing.")
        everywhere = bool(input and input.is_everywhere)
        await info.context.use.accounts.sign_out(viewer, everywhere=everywhere)
        return {f.key: [] for f in selected(info).fields if f.attribute == "user_errors"}


async def _session(info: RequestInfo, signed_in: SignedIn) -> Payload:
    values: dict[str, object] = {
        "access_token": signed_in.access.text,
        "expires_at": instant_text(signed_in.access.expires_at),
        "refresh_token": signed_in.refresh_token,
        "user_errors": [],
    }
    answer: Payload = {}
    for field in selected(info).fields:
        if field.attribute == "viewer" and field.selection is not None:
            # Whoever sent the request, the answer is for the one who has just come in.
            with carried_out():
                answer[field.key] = await info.context.read(
                    TheViewer(), field.selection, user=signed_in.user
                )
        elif field.attribute in values:
            answer[field.key] = values[field.attribute]
    return answer
