"""What sends notifications, composed from settings: in the API's process, or in one of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from uuid import UUID

from carillon.database import Database
from carillon.running import running
from carillon.settings import Settings, plain
from domain.channels import Category
from domain.errors import Unavailable
from domain.ids import TaskId, UserId
from infra.clock import SystemClock
from infra.ids import uuid7
from infra.mail import Mail, mail_server
from infra.mail_links import UnsubscribeLinks, VerificationLinks
from infra.outbound import Outbound
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.ledger import Addresses, PostgresLedger
from infra.postgres.notices import PostgresNotices
from infra.push import WebPush
from infra.vapid import Vapid, VapidKey
from workers.notices import NoticeMaker
from workers.notifications import Notifier
from workers.providers import Providers
from workers.sending import Sending, Ways

log = logging.getLogger(__name__)

# Begins and ends, each a few milliseconds: more only queue at the database.
LANES = 6


@asynccontextmanager
async def notifying(
    settings: Settings, found: Database, committed: Callable[[UUID, int], None]
) -> AsyncIterator[Notifier]:
    """Yields what sends, at work; at the end it gives back what it has not begun.

    Raises:
        Unavailable: the database cannot be reached.
    """
    async with AsyncExitStack() as stack:
        options = LaneOptions(size=LANES, name="carillon notify", pooler=settings.database_pooler)
        lanes = await stack.enter_async_context(Lanes(found.url, options))
        clock = SystemClock()
        ledger = PostgresLedger(
            lanes, clock, addresses(settings), new_id=uuid7, committed=committed
        )
        ways = await _ways(stack, settings, clock)
        notifier = Notifier(ledger, Sending(ways, Providers(clock), clock), clock)
        notices = PostgresNotices(lanes, new_id=uuid7, committed=committed)
        maker = NoticeMaker(notices, notifier.wake, clock)
        async with running(notifier.run(), maker.run()):
            try:
                yield notifier
            finally:
                await _stopped(notifier, ledger, settings.shutdown_grace_seconds)


def addresses(settings: Settings) -> Addresses:
    """Returns how people are addressed; links need to know where we are served."""
    url = settings.public_url
    links = None if url is None else unsubscribe_of(settings)

    def task(task: TaskId) -> str | None:
        return None if url is None else f"{url}/tasks/{task}"

    def unsubscribe(user: UserId, category: Category) -> str | None:
        return None if links is None else links.link(user, category)

    def verify(user: UserId, email: str) -> str | None:
        return None if url is None else verification_of(settings).link(user, email)

    return Addresses(
        verify=verify, link=task, unsubscribe=unsubscribe, verified_only=settings.email_verification
    )


def verification_of(settings: Settings) -> VerificationLinks:
    """Returns what makes and reads the links that show whose a mailbox is."""
    key = plain(settings.token_secret) or ""
    return VerificationLinks(key.encode(), settings.public_url or "", SystemClock())


def unsubscribe_of(settings: Settings) -> UnsubscribeLinks:
    """Returns what makes and reads the links by which mails of a kind end."""
    key = plain(settings.token_secret) or ""
    return UnsubscribeLinks(key.encode(), settings.public_url or "")


def outbound_of(settings: Settings) -> Outbound:
    """Returns the client for addresses that users give."""
    return Outbound(loopback=settings.push_loopback)


def push_key_of(settings: Settings) -> str | None:
    """Returns the key that browsers subscribe with, None where no push messages are sent."""
    key = plain(settings.vapid_key)
    return None if key is None else VapidKey(key).public


async def _ways(stack: AsyncExitStack, settings: Settings, clock: SystemClock) -> Ways:
    smtp, key = plain(settings.smtp_url), plain(settings.vapid_key)
    mail = None if smtp is None else await stack.enter_async_context(Mail(mail_server(smtp)))
    if key is None:
        return Ways(mail=mail)
    outbound = await stack.enter_async_context(outbound_of(settings))
    vapid = Vapid(VapidKey(key), _contact(settings), clock)
    return Ways(mail=mail, push=WebPush(outbound, vapid, clock))


def _contact(settings: Settings) -> str:
    if settings.push_contact is not None:
        return settings.push_contact
    if settings.public_url is not None and settings.public_url.startswith("https://"):
        return settings.public_url
    smtp = plain(settings.smtp_url)
    sender = "carillon@localhost" if smtp is None else mail_server(smtp).sender
    return f"mailto:{sender}"


async def _stopped(notifier: Notifier, ledger: PostgresLedger, grace_s: float) -> None:
    try:
        async with asyncio.timeout(grace_s):
            await notifier.stop()
    except TimeoutError:
        # Their rows say that nobody knows; they are sent again by others.
        log.warning("notifications.cut_off")
    with suppress(OSError, Unavailable):
        await ledger.leave()
