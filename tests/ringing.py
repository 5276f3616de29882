"""A worker that sends, over a ledger in memory and channels that record, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain.channels import Browser, ChannelName, Mailbox, Message, Outcome, Sent
from domain.deliveries import Delivery
from domain.ids import DeliveryId, SubscriptionId
from domain.ledger import InFeed, Recipient
from tests.ledger import Book, MemoryLedger
from tests.virtual import WallClock, run
from workers.notifications import Notifier
from workers.providers import Providers
from workers.sending import Sending, Ways

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
BOX = Mailbox(address="ada@example.com", name="Ada")
# A channel whose every send takes so long.
SEND_S = 0.05


def browser(number: int) -> Browser:
    endpoint = f"https://{number}.example"
    return Browser(id=SubscriptionId(UUID(int=number)), endpoint=endpoint, p256dh=b"", auth=b"")


@dataclass
class Recorded:
    """A channel that keeps when it was asked to send what, and answers as it is told."""

    clock: WallClock
    sent: list[tuple[DeliveryId, datetime]] = field(default_factory=list)
    answers: list[Outcome] = field(default_factory=list)
    taken: Counter[DeliveryId] = field(default_factory=Counter)
    takes_s: float = SEND_S
    at_once: int = 0
    most_at_once: int = 0
    texts: list[tuple[str, ...]] = field(default_factory=list)

    def provider(self, to: Mailbox | Browser) -> str:
        return to.address if isinstance(to, Mailbox) else to.endpoint

    async def send(self, message: Message, to: Mailbox | Browser) -> Outcome:
        self.sent.append((message.id, self.clock.now()))
        # A provider takes it when it gets it, whether or not we hear of that.
        answer = self.answers.pop(0) if self.answers else Sent()
        self.taken[message.id] += isinstance(answer, Sent)
        self.texts.append(message.content.lines)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.takes_s)
        self.at_once -= 1
        return answer


class World:
    """A worker over a ledger in memory, with channels that record."""

    def __init__(self, clock: WallClock | None = None) -> None:
        self.clock = clock or WallClock(START)
        self.book = Book(self.clock, to=self.recipients)
        self.browsers: list[Browser] = []
        self.ledger = MemoryLedger(self.book)
        self.mail, self.push = Recorded(self.clock), Recorded(self.clock)
        self.notifier = self.another(self.ledger)
        self._tasks: list[asyncio.Task[None]] = []

    def another(self, ledger: MemoryLedger) -> Notifier:
        ways = Ways(mail=self.mail, push=self.push)
        return Notifier(ledger, Sending(ways, Providers(self.clock), self.clock), self.clock)

    def recipients(self, row: Delivery) -> tuple[Recipient, ...]:
        if row.channel is ChannelName.EMAIL:
            return (BOX,)
        return tuple(self.browsers) if row.channel is ChannelName.PUSH else (InFeed(),)

    def start(self, notifier: Notifier | None = None) -> asyncio.Task[None]:
        task = asyncio.ensure_future((notifier or self.notifier).run())
        self._tasks.append(task)
        return task

    async def until(self, at: datetime) -> None:
        """Lets the time come, and all that is due in it be done."""
        await asyncio.sleep((at - self.clock.now()).total_seconds() + 1)

    def kill(self, notifier: Notifier, task: "asyncio.Task[None]") -> None:
        """Ends a worker as kill -9 does: nothing of it says another word."""
        task.cancel()
        for lane in notifier._schedule._lanes.values():
            for sending in lane._under_way:
                sending.cancel()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def row(self, of: Delivery) -> Delivery:
        return self.book.rows[of.id]


Test = Callable[[World], Coroutine[Any, Any, None]]


def in_virtual_time(test: Test) -> Callable[[], None]:
    """Runs the test's body on a loop whose waits take no time."""

    async def body() -> None:
        world = World()
        try:
            await test(world)
        finally:
            await world.close()

    def started() -> None:
        run(body())

    started.__name__, started.__doc__ = test.__name__, test.__doc__
    return started
