"""Calls providers, and leaves those alone that are away."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime

from domain.channels import Outcome, Scope, Temporary
from domain.ports import Clock
from domain.retries import WORKING, Breaker, asked, broken

log = logging.getLogger(__name__)

# Known providers are a handful; push endpoints of users' own are not.
PROVIDERS_MAX = 10_000


class Providers:
    """The breakers of this process, by provider."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()

    async def call(
        self, provider: str, send: Callable[[], Awaitable[Outcome]]
    ) -> Outcome | datetime:
        """Returns what became of the send, or until when it has to wait without having been made.

        The provider works again with any answer that is about a message, also a refusal.
        """
        breaker, until = asked(self._breakers.get(provider, WORKING), self._clock.now())
        if until is not None:
            return until
        self._keep(provider, breaker)
        outcome = await send()
        at = self._clock.now()
        if isinstance(outcome, Temporary) and outcome.scope is Scope.PROVIDER:
            was = self._breakers.get(provider, WORKING)
            now = broken(was, at, outcome.retry_after)
            self._keep(provider, now)
            if now.open_until is not None and was.open_until != now.open_until:
                facts = {"provider": provider, "failures": now.failures, "said": outcome.reason}
                log.warning("provider.away", extra=facts)
        elif self._breakers.pop(provider, WORKING).open_until is not None:
            log.info("provider.back", extra={"provider": provider})
        return outcome

    def _keep(self, provider: str, breaker: Breaker) -> None:
        if breaker == WORKING:
            return
        self._breakers[provider] = breaker
        self._breakers.move_to_end(provider)
        if len(self._breakers) > PROVIDERS_MAX:
            self._breakers.popitem(last=False)
