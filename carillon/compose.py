"""Settings become adapters, adapters become use cases; the only place that knows all of them."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from starlette.types import Receive, Scope, Send

from carillon.api import Api, page
from carillon.graphql import build
from carillon.settings import Settings
from domain.services.accounts import AccountService
from domain.services.labels import LabelService
from domain.services.mutations import Mutations
from domain.services.sessions import Authenticator, Lifetimes, SessionIssuer
from domain.services.tasks import TaskService
from domain.services.workspaces import WorkspaceService
from infra.clock import SystemClock
from infra.ids import uuid7
from infra.passwords import Argon2Passwords
from infra.postgres.access import AccessPoll, PostgresAccess
from infra.postgres.accounts import PostgresAccounts
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.plans import PostgresReader, ReadLanes
from infra.postgres.store import PostgresStore
from infra.postgres.tail import PostgresTail
from infra.tokens import JwtTokens
from infra.wire import Wire
from resolvers.endpoint import HttpEndpoint
from resolvers.execution import Caller, Operations
from resolvers.hub import Hub
from resolvers.sockets import Limits, Sockets
from resolvers.sse import ServerSentEvents
from resolvers.websocket import SocketLimits, WebSocketEndpoint
from schema.context import UseCases

WEBSOCKET_PROTOCOL = Wire
# Reads and writes go on lanes of their own, so that waits for locks starve no read. The embedded
# server allows 60 connections.
READ_LANES = 6
WRITE_LANES = 6
LIVE_LANES = 4


class Application:
    """The composed process: an ASGI application, and how it is stopped."""

    def __init__(self, api: Api, sockets: Sockets) -> None:
        self._api = api
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or socket."""
        await self._api(scope, receive, send)

    async def stop(self) -> None:
        """Closes sockets and streams, each with a word; call it before the server stops."""
        await self._sockets.stop()


@asynccontextmanager
async def application(settings: Settings, url: str) -> AsyncIterator[Application]:
    """Yields the application over a migrated database; what it opened is closed with it.

    Raises:
        Unavailable: the database cannot be reached.
    """
    async with AsyncExitStack() as stack:

        async def lanes(options: LaneOptions) -> Lanes:
            return await stack.enter_async_context(
                Lanes(url, replace(options, pooler=settings.database_pooler))
            )

        generic = await lanes(
            LaneOptions(size=READ_LANES, name="carillon read", plans="force_generic_plan")
        )
        custom = await lanes(
            LaneOptions(size=READ_LANES, name="carillon search", plans="force_custom_plan")
        )
        writes = await lanes(
            LaneOptions(size=WRITE_LANES, name="carillon write", plans="force_generic_plan")
        )
        live = await lanes(LaneOptions(size=LIVE_LANES, name="carillon live"))
        log = PostgresLog(live)
        tail = PostgresTail(log)
        hub = Hub(log=log, access=PostgresAccess(live), events=tail)
        sockets = Sockets(
            hub,
            Limits(sockets=settings.sockets_max, sockets_a_user=settings.sockets_per_user_max),
        )
        clock = SystemClock()
        lifetimes = Lifetimes(
            access=timedelta(minutes=settings.access_token_minutes),
            session=timedelta(days=settings.session_days),
        )
        poll = AccessPoll(live, clock, token_lifetime=lifetimes.access)
        await poll.step(sockets)
        tokens = _tokens(settings)
        authenticator = Authenticator(tokens, clock, poll.is_revoked)
        store = PostgresStore(generic, writes, new_id=uuid7, committed=hub.committed)
        mutations = Mutations(store, clock)
        passwords = Argon2Passwords()
        stack.callback(passwords.close)
        issuer = SessionIssuer(
            tokens=tokens,
            clock=clock,
            lifetimes=lifetimes,
            new_id=uuid7,
            new_secret=lambda: secrets.token_urlsafe(32),
        )
        use = UseCases(
            accounts=AccountService(
                store, PostgresAccounts(writes), passwords, issuer, poll.revoke
            ),
            labels=LabelService(mutations, uuid7),
            tasks=TaskService(mutations, uuid7),
            workspaces=WorkspaceService(mutations, uuid7),
        )
        reader = PostgresReader(ReadLanes(generic=generic, custom=custom), log, clock)
        operations = Operations(build(), reader, use)
        api = Api(
            graphql=HttpEndpoint(
                operations=operations,
                authenticate=authenticator.authenticate,
                events=ServerSentEvents(sockets),
                page=page,
                body_max_bytes=settings.body_max_bytes,
            ),
            sockets=WebSocketEndpoint(
                sockets=sockets,
                authenticate=authenticator.authenticate,
                subscribe=lambda viewer, payload: operations.subscribe(
                    Caller(viewer=viewer), payload
                ),
                allowed_origins=settings.allowed_origins,
                limits=SocketLimits(message_max_bytes=settings.body_max_bytes),
            ),
            check=lambda: generic.fetchval("SELECT 1"),
        )
        running = [asyncio.create_task(work) for work in (tail.run(), poll.run(sockets))]
        try:
            yield Application(api, sockets)
        finally:
            await sockets.stop()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _tokens(settings: Settings) -> JwtTokens:
    assert settings.token_secret is not None  # noqa: S101 - `with_secret` has seen to it
    return JwtTokens(settings.token_secret.get_secret_value().encode())
