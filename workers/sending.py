"""One delivery from its beginning to its end: whether, how, to whom, and what becomes of it."""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from opentelemetry import metrics

from domain import wording
from domain.channels import (
    Browser,
    Channel,
    ChannelName,
    Mailbox,
    Message,
    Outcome,
    Permanent,
    Scope,
    Sent,
    Temporary,
    merged,
)
from domain.deliveries import (
    Delivery,
    Reason,
    State,
    cancelled,
    diverted,
    failed,
    put_off,
    sent,
)
from domain.ids import SubscriptionId
from domain.lateness import is_late
from domain.ledger import Claimed, Ended, Ready, Recipient
from domain.notifications import notification
from domain.ports import Clock
from domain.preferences import Later, Never, placed
from domain.reminders import next_nag
from domain.retries import Backoff
from workers.providers import Providers

# How many of each channel are under way at a time: what one process's database, one mail server
# and some push services take without queueing.
AT_ONCE: Final[Mapping[ChannelName, int]] = {
    ChannelName.IN_APP: 8,
    ChannelName.EMAIL: 8,
    ChannelName.PUSH: 32,
}
# Greylisting wants minutes, a mail server's maintenance hours; a push message is soon old.
BACKOFF: Final[Mapping[ChannelName, Backoff]] = {
    ChannelName.IN_APP: Backoff(least=timedelta(seconds=1), most=timedelta(minutes=1), attempts=20),
    ChannelName.EMAIL: Backoff(
        least=timedelta(seconds=30), most=timedelta(minutes=30), attempts=20
    ),
    ChannelName.PUSH: Backoff(least=timedelta(seconds=5), most=timedelta(minutes=10), attempts=12),
}
# Beyond that nobody waits for a provider.
GIVE_UP_AFTER = timedelta(days=7)

_meter = metrics.get_meter("carillon.workers")
_ends = _meter.create_counter(
    "carillon.deliveries.ended", description="Deliveries by channel and what became of them"
)
_lateness = _meter.create_histogram(
    "carillon.deliveries.lateness",
    unit="s",
    description="From the instant of a delivery to the beginning of its send",
    explicit_bucket_boundaries_advisory=[0.01, 0.03, 0.1, 0.3, 1, 3, 10, 60, 600, 3_600],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """The channels that leave the house; None where nobody has set it up."""

    mail: Channel[Mailbox] | None = None
    push: Channel[Browser] | None = None


To = TypeVar("To", Mailbox, Browser)
# What became of the message to one recipient, or until when its provider is left alone.
Answer: TypeAlias = Outcome | datetime


class Sending:
    """Sends deliveries that were begun."""

    def __init__(self, ways: Ways, providers: Providers, clock: Clock) -> None:
        self._ways = ways
        self._providers = providers
        self._clock = clock

    async def send(self, claimed: Claimed, ready: Ready) -> Ended:
        """Returns what became of it; whatever goes wrong outside is one of the ends."""
        ended = self._not_now(claimed, ready)
        if ended is None:
            late = self._clock.now() - ready.before.fire_at
            _lateness.record(late.total_seconds(), {"channel": ready.begun.channel})
            message = self._message(ready)
            results = await asyncio.gather(*(self._sent_to(message, to) for to in ready.to))
            answers = list(zip(ready.to, results, strict=True))
            ended = self._ended(claimed, ready, message, answers)
        _ends.add(1, {"channel": ended.delivery.channel, "state": ended.delivery.state})
        return ended

    def _not_now(self, claimed: Claimed, ready: Ready) -> Ended | None:
        """Returns the end of what its person does not want now; it counts as no attempt."""
        row, at = ready.before, self._clock.now()
        place = placed(ready.preferences, row.category, row.channel, at)
        if isinstance(place, Later):
            later = put_off(row, place.at, Reason.QUIET, is_unsure=row.is_unsure)
            return Ended(claimed=claimed, delivery=later)
        if isinstance(place, Never):
            feed = (diverted(row, at),) if place.in_app else ()
            return self._over(claimed, cancelled(row, place.reason), *feed)
        if not ready.to and not ready.reached:
            return self._over(claimed, cancelled(row, Reason.UNREACHABLE))
        return None

    def _message(self, ready: Ready) -> Message:
        at, content = self._clock.now(), ready.content
        # A list of several that were held up says so by itself.
        if is_late(ready.before, at) and not content.sections:
            zone = ZoneInfo(ready.preferences.zone)
            content = wording.late(content, ready.before.due_at, zone)
        return Message(id=ready.begun.id, category=ready.begun.category, content=content, at=at)

    async def _sent_to(self, message: Message, to: Recipient) -> Answer:
        if isinstance(to, Mailbox):
            return await self._called(self._ways.mail, message, to)
        if isinstance(to, Browser):
            return await self._called(self._ways.push, message, to)
        # The feed's entry is written with the end.
        return Sent()

    async def _called(self, way: Channel[To] | None, message: Message, to: To) -> Answer:
        if way is None:
            return Permanent(reason="This channel is not set up.")
        return await self._providers.call(way.provider(to), lambda: way.send(message, to))

    def _ended(
        self,
        claimed: Claimed,
        ready: Ready,
        message: Message,
        answers: Sequence[tuple[Recipient, Answer]],
    ) -> Ended:
        at = self._clock.now()
        waits = [one for _, one in answers if isinstance(one, datetime)]
        if waits and len(waits) == len(answers):
            return self._held(claimed, ready.before, min(waits), at)
        reached = _browsers(to for to, one in answers if isinstance(one, Sent))
        row = self._row(ready, _outcome(answers, at), reached, at)
        is_over = row.state is State.SENT
        shown = is_over and row.channel is ChannelName.IN_APP
        return replace(
            self._over(claimed, row) if is_over else Ended(claimed=claimed, delivery=row),
            notification=notification(row, message.content, message.at) if shown else None,
            reached=reached,
            gone=_browsers(to for to, one in answers if isinstance(one, Permanent) and one.gone),
        )

    def _held(self, claimed: Claimed, row: Delivery, until: datetime, at: datetime) -> Ended:
        """Returns the end of what nobody tried, since its provider is away."""
        if at - row.due_at > GIVE_UP_AFTER:
            return Ended(claimed=claimed, delivery=failed(row, Reason.BREAKER))
        # Not all at once, when it is back.
        spread = timedelta(seconds=random.uniform(0, 2))  # noqa: S311 - jitter
        later = put_off(row, until + spread, Reason.BREAKER, is_unsure=row.is_unsure)
        return Ended(claimed=claimed, delivery=later)

    def _row(
        self, ready: Ready, outcome: Outcome, reached: frozenset[SubscriptionId], at: datetime
    ) -> Delivery:
        if isinstance(outcome, Sent):
            return sent(ready.begun, is_late=is_late(ready.before, at))
        if isinstance(outcome, Temporary):
            jitter = random.random()  # noqa: S311 - not a secret
            backoff = BACKOFF[ready.begun.channel]
            wait = backoff.wait(ready.begun.attempts, outcome.retry_after, jitter)
            if wait is not None and at + wait - ready.begun.due_at <= GIVE_UP_AFTER:
                unsure = outcome.is_unsure
                return put_off(ready.begun, at + wait, outcome.reason, is_unsure=unsure)
        if ready.reached or reached:
            # Not all of the person's browsers, but the person.
            return sent(ready.begun, is_late=is_late(ready.before, at))
        return failed(ready.begun, outcome.reason)

    def _over(self, claimed: Claimed, row: Delivery, *follow: Delivery) -> Ended:
        nag = next_nag(row, claimed.nag, self._clock.now())
        following = follow if nag is None else (*follow, nag)
        return Ended(claimed=claimed, delivery=row, follow=following)


def _outcome(answers: Sequence[tuple[Recipient, Answer]], at: datetime) -> Outcome:
    """Returns the one outcome of sends to several, some of them not made."""
    if not answers:
        return Sent()
    return merged(
        Temporary(reason=Reason.BREAKER, scope=Scope.PROVIDER, retry_after=one - at)
        if isinstance(one, datetime)
        else one
        for _, one in answers
    )


def _browsers(recipients: Iterable[Recipient]) -> frozenset[SubscriptionId]:
    return frozenset(to.id for to in recipients if isinstance(to, Browser))
