"""When something is tried again: backoff for one message, a breaker for a provider."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

# Providers may ask for any wait; beyond a day a message is old news.
RETRY_AFTER_MAX = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits from `least` on, doubled at each attempt, up to `most`; `attempts` in all."""

    least: timedelta
    most: timedelta
    attempts: int

    def wait(self, attempts: int, retry_after: timedelta | None, jitter: float) -> timedelta | None:
        """Returns how long to wait before the next attempt, None where there is none.

        Args:
            attempts: those made, 1 or more.
            retry_after: the least that the provider wants.
            jitter: 0 to 1; what failed together shall not come back together.
        """
        if attempts >= self.attempts:
            return None
        doubled = min(self.most, self.least * (1 << min(attempts - 1, 30)))
        # Half of it is certain: a wait that jitter makes zero is none.
        own = doubled * (0.5 + jitter / 2)
        return own if retry_after is None else max(own, min(retry_after, RETRY_AFTER_MAX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """How a provider has done lately: nobody calls it before `open_until`.

    After that one call tries it; the others wait for how it ends, or until `trial_until`.
    """

    failures: int = 0
    open_until: datetime | None = None
    trial_until: datetime | None = None


WORKING: Final = Breaker()
# A single failure may be the message's; this many in a row are the provider's.
FAILURES_MAX = 5
OPEN_FIRST = timedelta(seconds=5)
OPEN_LAST = timedelta(minutes=5)
# Longer than any send takes.
TRIAL = timedelta(seconds=90)


def asked(breaker: Breaker, at: datetime) -> tuple[Breaker, datetime | None]:
    """Returns the breaker after a caller asked to go, and until when they must wait, if so."""
    if breaker.open_until is None:
        return breaker, None
    if at < breaker.open_until:
        return breaker, breaker.open_until
    if breaker.trial_until is not None and at < breaker.trial_until:
        # Soon enough to follow a trial that succeeds, seldom enough not to be a crowd.
        return breaker, min(breaker.trial_until, at + OPEN_FIRST)
    return replace(breaker, trial_until=at + TRIAL), None


def broken(breaker: Breaker, at: datetime, retry_after: timedelta | None) -> Breaker:
    """Returns the breaker after a failure that the provider is to blame for.

    A provider that says how long it will be away is believed at once.
    """
    failures = breaker.failures + 1
    if retry_after is not None:
        return Breaker(failures=failures, open_until=at + min(retry_after, RETRY_AFTER_MAX))
    if failures < FAILURES_MAX:
        return Breaker(failures=failures, open_until=breaker.open_until)
    longer = 1 << min(failures - FAILURES_MAX, 30)
    return Breaker(failures=failures, open_until=at + min(OPEN_LAST, OPEN_FIRST * longer))
