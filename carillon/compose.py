"""Settings become adapters, adapters become use cases: what `carillon serve` is composed of."""

import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from starlette.types import Receive, Scope, Send

from carillon import telemetry
from carillon.api import Api, Ready, page
from carillon.brokers import brokers_of
from carillon.cleanup import TIMING, clean
from carillon.database import Database
from carillon.graphql import build
from carillon.notifying import (
    notifying,
    outbound_of,
    push_key_of,
    unsubscribe_of,
    verification_of,
)
from carillon.pages import Pages
from carillon.recurrence import Recurrence
from carillon.running import readiness, running
from carillon.secrets import sidecar_of
from carillon.settings import Settings
from domain.outbox import Topic
from domain.ports import Clock, StateStore, Store
from domain.services.accounts import AccountService
from domain.services.labels import LabelService
from domain.services.mutations import Mutations
from domain.services.notifications import NotificationService
from domain.services.occurrences import OccurrenceService
from domain.services.preferences import PreferenceService
from domain.services.reminders import ReminderService
from domain.services.series import SeriesService
from domain.services.sessions import Authenticator, Lifetimes, SessionIssuer
from domain.services.tasks import TaskService
from domain.services.verification import VerificationService
from domain.services.workspaces import WorkspaceService
from infra.clock import SystemClock
from infra.dapr.sidecar import Sidecar
from infra.dapr.state import DaprStateStore
from infra.ids import uuid7
from infra.kafka.tail import KafkaTail, Listener
from infra.passwords import Argon2Passwords
from infra.postgres.access import AccessPoll, PostgresAccess
from infra.postgres.accounts import PostgresAccounts
from infra.postgres.feed import PostgresFeed
from infra.postgres.hints import HintListener, HintSender
from infra.postgres.inbox import PostgresInbox
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.plans import PostgresReader, ReadLanes
from infra.postgres.state import PostgresStateStore
from infra.postgres.store import PostgresStore
from infra.postgres.tail import POLL_S, PostgresTail
from infra.postgres.trials import PostgresTrials
from infra.postgres.wishes import PostgresWishes
from infra.tokens import JwtTokens
from resolvers.endpoint import HttpEndpoint
from resolvers.execution import Caller, Operations
from resolvers.hub import Hub
from resolvers.origins import CrossOrigin, Origins
from resolvers.persisted import PersistedQueries
from resolvers.preparation import Readers
from resolvers.sockets import Limits, Sockets
from resolvers.sse import ServerSentEvents
from resolvers.streams import Authenticate
from resolvers.subscription import MESSAGE_MAX_BYTES
from resolvers.websocket import SocketLimits, WebSocketEndpoint
from schema.context import UseCases
from workers.routes import STATE_STORE
from workers.timer import ticking

# Reads and writes go on lanes of their own, so that waits for locks starve no read. The embedded
# server allows 60 connections.
READ_LANES = 6
WRITE_LANES = 6
LIVE_LANES = 4
# Messages that go deeper than their change wait for each other, never an answer for them.
MESSAGE_LANES = 2
# Behind Kafka the heads are compared only for what it may have lost.
BEHIND_KAFKA_POLL_S = 2.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Connections:
    """The lanes, and the sidecar where there is one."""

    generic: Lanes
    custom: Lanes
    writes: Lanes
    live: Lanes
    messages: Lanes
    sidecar: Sidecar | None


class _Events:
    """How this process learns what was committed, here and elsewhere, and tells others."""

    def __init__(self, settings: Settings, found: Database, live: Lanes) -> None:
        self.tail = PostgresTail(PostgresLog(live))
        self.kafka = _kafka_tail(settings, self.tail)
        # On a database of its own this process is alone: nobody waits for its hints.
        self._hints = HintSender(live) if settings.database_url is not None else None
        # The brokers bring what others commit; without them, hints do.
        alone = settings.database_url is None or self.kafka is not None
        self._direct_url = None if alone else found.direct_url
        self._wakes: list[Callable[[], None]] = []

    def heard(self, wake: Callable[[], None]) -> None:
        """Wakes somebody whenever something is known to be committed."""
        self._wakes.append(wake)

    def committed(self, stream: UUID, seq: int) -> None:
        """Learns what this process has committed."""
        self._hint(stream, seq)
        if self._hints is not None:
            self._hints.committed(stream, seq)

    def _hint(self, stream: UUID, seq: int) -> None:
        self.tail.hint(stream, seq)
        for wake in self._wakes:
            wake()

    def works(self) -> list[Coroutine[None, None, None]]:
        """Returns what has to run all the time."""
        works = [self.tail.run()]
        if self._hints is not None:
            works.append(self._hints.run())
        if self._direct_url is not None:
            works.append(HintListener(self._direct_url, self._hint).run())
        if self.kafka is not None:
            works.append(self.kafka.run())
        return works


@asynccontextmanager
async def application(settings: Settings, found: Database) -> AsyncIterator[Application]:
    """Yields the application over a migrated database; what it opened is closed with it.

    Raises:
        Unavailable: the database cannot be reached.
    """
    async with AsyncExitStack() as stack:
        to = await _connections(stack, settings, found)
        clock = SystemClock()
        events = _Events(settings, found, to.live)
        hub = Hub(log=PostgresLog(to.live), access=PostgresAccess(to.live), events=events.tail)
        sockets = Sockets(
            hub,
            Limits(sockets=settings.sockets_max, sockets_a_user=settings.sockets_per_user_max),
        )
        lifetimes = Lifetimes(
            access=timedelta(minutes=settings.access_token_minutes),
            session=timedelta(days=settings.session_days),
        )
        poll = AccessPoll(to.live, clock, token_lifetime=lifetimes.access)
        await poll.step(sockets)
        tokens = _tokens(settings)
        issuer = SessionIssuer(
            tokens=tokens,
            clock=clock,
            lifetimes=lifetimes,
            new_id=uuid7,
            new_secret=lambda: secrets.token_urlsafe(32),
        )
        passwords = Argon2Passwords()
        stack.callback(passwords.close)
        # With a sidecar there are workers of their own.
        rang = None
        if settings.dapr_url is None:
            notifier = await stack.enter_async_context(notifying(settings, found, events.committed))
            rang = notifier.wake
        store = PostgresStore(
            to.generic, to.writes, new_id=uuid7, committed=events.committed, rang=rang
        )
        mutations = Mutations(store, clock)
        use = UseCases(
            accounts=AccountService(
                store, PostgresAccounts(to.writes), passwords, issuer, poll.revoke
            ),
            labels=LabelService(mutations, uuid7),
            notifications=NotificationService(
                PostgresFeed(to.writes, new_id=uuid7, committed=events.committed), clock
            ),
            occurrences=OccurrenceService(mutations, uuid7),
            preferences=PreferenceService(
                PostgresWishes(to.writes, new_id=uuid7, committed=events.committed),
                await stack.enter_async_context(outbound_of(settings)),
                clock,
                uuid7,
            ),
            reminders=ReminderService(mutations, uuid7),
            series=SeriesService(mutations, store, clock),
            tasks=TaskService(mutations, uuid7),
            verification=VerificationService(
                PostgresTrials(to.writes), clock, is_on=settings.email_verification
            ),
            workspaces=WorkspaceService(mutations, uuid7),
        )
        most = settings.answer_max_bytes
        operations = Operations(
            build(),
            _readers(to, clock, most, push_key_of(settings)),
            use,
            PersistedQueries(_state(to)),
            answer_max_bytes=most,
        )
        authenticate = Authenticator(tokens, clock, poll.is_revoked).authenticate

        ready = readiness(to.generic, to.sidecar)

        async def check() -> str | None:
            if events.kafka is not None and not events.kafka.was_placed:
                return "The topics are not being read yet."
            return await ready()

        api = _api(settings, sockets, authenticate, operations, check, use)
        works = [*events.works(), poll.run(sockets)]
        if to.sidecar is None:
            # Without a sidecar there is nobody else who would do it.
            works += _recurrence(to, store, events).works()
            works.append(ticking("daily-cleanup", lambda: clean(settings, found), TIMING))
        await stack.enter_async_context(running(*works))
        try:
            yield Application(api, sockets)
        finally:
            await sockets.stop()


async def _connections(stack: AsyncExitStack, settings: Settings, found: Database) -> _Connections:
    async def lanes(options: LaneOptions) -> Lanes:
        pooled = replace(options, pooler=settings.database_pooler)
        return await stack.enter_async_context(Lanes(found.url, pooled))

    return _Connections(
        generic=await lanes(
            LaneOptions(size=READ_LANES, name="carillon read", plans="force_generic_plan")
        ),
        custom=await lanes(
            LaneOptions(size=READ_LANES, name="carillon search", plans="force_custom_plan")
        ),
        writes=await lanes(
            LaneOptions(size=WRITE_LANES, name="carillon write", plans="force_generic_plan")
        ),
        live=await lanes(LaneOptions(size=LIVE_LANES, name="carillon live")),
        messages=await lanes(
            LaneOptions(size=MESSAGE_LANES, name="carillon messages", plans="force_generic_plan")
        ),
        sidecar=None
        if settings.dapr_url is None
        else await stack.enter_async_context(sidecar_of(settings)),
    )


def _readers(
    to: _Connections, clock: Clock, answer_max_bytes: int, push_key: str | None
) -> Readers:
    log = PostgresLog(to.live)
    answers = ReadLanes(generic=to.generic, custom=to.custom)
    messages = ReadLanes(generic=to.messages, custom=to.messages)
    return Readers(
        answers=PostgresReader(answers, log, clock, answer_max_bytes, push_key),
        messages=PostgresReader(messages, log, clock, MESSAGE_MAX_BYTES),
    )


def _recurrence(to: _Connections, store: Store, events: _Events) -> Recurrence:
    inbox = PostgresInbox(to.writes, new_id=uuid7, committed=events.committed)
    parts = Recurrence(to.live, store, inbox)
    events.heard(parts.follower.wake)
    return parts


def _state(to: _Connections) -> StateStore:
    if to.sidecar is None:
        return PostgresStateStore(to.live)
    return DaprStateStore(to.sidecar, STATE_STORE)


def _api(
    settings: Settings,
    sockets: Sockets,
    authenticate: Authenticate,
    operations: Operations,
    ready: Ready,
    use: UseCases,
) -> Api:
    origins = Origins(settings.allowed_origins)
    endpoint = HttpEndpoint(
        operations=operations,
        authenticate=authenticate,
        events=ServerSentEvents(sockets),
        page=page,
        body_max_bytes=settings.body_max_bytes,
    )
    return Api(
        graphql=CrossOrigin(endpoint, origins),
        sockets=WebSocketEndpoint(
            sockets=sockets,
            authenticate=authenticate,
            subscribe=lambda viewer, payload: operations.subscribe(Caller(viewer=viewer), payload),
            origins=origins,
            limits=SocketLimits(message_max_bytes=settings.body_max_bytes),
        ),
        ready=ready,
        metrics=telemetry.metrics,
        pages=Pages(
            unsubscribe_of(settings), verification_of(settings), use.preferences, use.verification
        ),
    )


def _kafka_tail(settings: Settings, tail: PostgresTail) -> KafkaTail | None:
    """Returns what brings changes from the brokers, if there are any."""
    if settings.kafka_servers is None:
        return None
    listener = Listener(
        offer=tail.offer, placed=lambda placed: tail.pace(BEHIND_KAFKA_POLL_S if placed else POLL_S)
    )
    return KafkaTail(brokers_of(settings), (Topic.TASK_EVENTS, Topic.REMINDERS), listener)


def _tokens(settings: Settings) -> JwtTokens:
    assert settings.token_secret is not None  # noqa: S101 - `with_token_secret` has seen to it
    return JwtTokens(settings.token_secret.get_secret_value().encode())
