"""A ledger in memory. tests/contract/test_ledger.py holds it to what the port promises."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID, uuid4

from domain.channels import Category, ChannelName, Content
from domain.deliveries import LIVE, Delivery, State, begun, claimed, first
from domain.errors import Unavailable
from domain.ids import DeliveryId, SubscriptionId, UserId
from domain.lateness import is_late
from domain.ledger import Claimed, Ended, InFeed, Ready, Recipient
from domain.notifications import Notification
from domain.ports import Clock
from domain.preferences import Preferences
from domain.reminders import Nag

LEASE = timedelta(seconds=6)
UTC_ONLY = Preferences(zone="UTC")
ADA = UserId(UUID(int=1))


def due(
    at: datetime, channel: ChannelName = ChannelName.EMAIL, to: UserId = ADA, number: int = 0
) -> Delivery:
    """Returns a pending reminder; the number tells apart those that are otherwise the same."""
    return first(Category.REMINDER, UUID(int=number), None, (to, channel), at)


class Fault(Enum):
    """What goes wrong with a call: nothing, all of it, or only its answer."""

    NONE = "none"
    AWAY = "away"
    LOST = "lost"


@dataclass
class Hold:
    token: UUID
    worker: UUID
    # Where an attempt began under this hold, so that the same call finds it again.
    before: Delivery | None = None


@dataclass
class Book:
    """The rows, and what else the database knows; shared by the ledgers of all workers."""

    clock: Clock
    rows: dict[DeliveryId, Delivery] = field(default_factory=dict)
    holds: dict[DeliveryId, Hold] = field(default_factory=dict)
    leases: dict[UUID, datetime] = field(default_factory=dict)
    feed: dict[DeliveryId, Notification] = field(default_factory=dict)
    reached: dict[DeliveryId, frozenset[SubscriptionId]] = field(default_factory=dict)
    gone: set[SubscriptionId] = field(default_factory=set)
    nags: dict[UUID, Nag] = field(default_factory=dict)
    preferences: dict[UserId, Preferences] = field(default_factory=dict)
    to: Callable[[Delivery], tuple[Recipient, ...]] = lambda _row: (InFeed(),)

    def put(self, *rows: Delivery) -> None:
        self.rows |= {row.id: row for row in rows}

    def states(self) -> list[State]:
        return [row.state for row in self.rows.values()]

    def is_alive(self, worker: UUID) -> bool:
        return worker in self.leases and self.leases[worker] > self.clock.now()


class MemoryLedger:
    """One worker's way to the book; `faults` are those of the calls to come, by their names."""

    def __init__(self, book: Book) -> None:
        self.worker = uuid4()
        self.faults: dict[str, list[Fault]] = {}
        self.claims = 0
        self._book = book

    def renew(self) -> None:
        """Says that the worker is alive: its holds last for a lease from now on."""
        self._book.leases[self.worker] = self._book.clock.now() + LEASE

    async def claim(
        self, until: datetime, limit: int, known: Collection[UUID]
    ) -> Sequence[Claimed]:
        fault = self._fault("claim")
        self.claims += 1
        self.renew()
        book, token = self._book, uuid4()
        free = sorted(
            (
                row
                for row in book.rows.values()
                if row.fire_at <= until
                and (
                    row.state is State.PENDING
                    or (row.state is State.CLAIMED and not self._is_held(row.id, known))
                )
            ),
            key=lambda row: row.fire_at,
        )
        found = free[:limit]
        at = book.clock.now()
        late = {row.recipient for row in found if is_late(row, at)}
        found += [row for row in free[limit:] if row.recipient in late and is_late(row, at)]
        for row in found:
            kept = row if row.state is State.CLAIMED else claimed(row)
            book.put(kept)
            book.holds[row.id] = Hold(token, self.worker)
        _answered(fault)
        return [self._claimed(book.rows[row.id], token) for row in found]

    async def begin(self, claimed: Claimed) -> Ready | None:
        fault = self._fault("begin")
        book, hold = self._book, self._hold(claimed)
        row = book.rows.get(claimed.delivery.id)
        if hold is None or row is None or row.state is not State.CLAIMED:
            return None
        if row.fire_at != claimed.delivery.fire_at:
            return None
        if hold.before is None:
            hold.before = row
            book.put(begun(row, row.fire_at))
        _answered(fault)
        reached = book.reached.get(row.id, frozenset())
        return Ready(
            before=hold.before,
            begun=book.rows[row.id],
            content=Content(title=str(row.id), lines=()),
            preferences=book.preferences.get(row.recipient, UTC_ONLY),
            to=tuple(
                one for one in book.to(row) if getattr(one, "id", None) not in reached | book.gone
            ),
            reached=reached,
        )

    async def end(self, ended: Sequence[Ended]) -> None:
        fault = self._fault("end")
        for one in ended:
            self._end(one)
        _answered(fault)

    async def release(self, claimed: Sequence[Claimed]) -> None:
        fault = self._fault("release")
        for one in claimed:
            hold = self._hold(one)
            row = self._book.rows[one.delivery.id]
            if hold is not None and hold.before is None and row.state is State.CLAIMED:
                self._book.put(replace(row, state=State.PENDING))
                del self._book.holds[one.delivery.id]
        _answered(fault)

    def _is_held(self, id: DeliveryId, known: Collection[UUID]) -> bool:
        hold = self._book.holds[id]
        if hold.worker == self.worker:
            return hold.token in known
        return self._book.is_alive(hold.worker)

    def _end(self, ended: Ended) -> None:
        book, row = self._book, ended.delivery
        if self._hold(ended.claimed) is None:
            return
        is_ours = book.rows[row.id].state is State.CLAIMED
        if is_ours or row.state is State.SENT:
            book.put(row)
        if is_ours:
            for follow in ended.follow:
                there = book.rows.get(follow.id)
                if there is None or there.state is State.CANCELLED:
                    book.put(follow)
            if ended.notification is not None:
                book.feed[row.id] = ended.notification
        book.reached[row.id] = book.reached.get(row.id, frozenset()) | ended.reached
        book.gone |= ended.gone
        if row.state in LIVE:
            del book.holds[row.id]

    def _hold(self, claimed: Claimed) -> Hold | None:
        hold = self._book.holds.get(claimed.delivery.id)
        return hold if hold is not None and hold.token == claimed.token else None

    def _claimed(self, row: Delivery, token: UUID) -> Claimed:
        preferences = self._book.preferences.get(row.recipient, UTC_ONLY)
        return Claimed(
            delivery=row, token=token, late=preferences.late, nag=self._book.nags.get(row.source)
        )

    def _fault(self, call: str) -> Fault:
        """Raises what is to be raised before the call has its effect."""
        waiting = self.faults.get(call)
        fault = waiting.pop(0) if waiting else Fault.NONE
        if fault is Fault.AWAY:
            raise Unavailable("The database is away.")
        return fault


def _answered(fault: Fault) -> None:
    """Raises what is to be raised after it."""
    if fault is Fault.LOST:
        raise Unavailable("The answer was lost.")
