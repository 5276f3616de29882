"""What people say about how they are told: channels, quiet, lateness, their default reminders."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Protocol
from uuid import UUID

from domain import preferences
from domain.channels import Browser, Category, ChannelName, Endpoints, browser
from domain.errors import invalid, not_found, over_limit
from domain.ids import SubscriptionId, UserId
from domain.lateness import WhenLate
from domain.ports import Clock
from domain.preferences import Preferences, Quiet, QuietPolicy
from domain.reminders import At, Wanted, require_sound

# More browsers than anybody reads in.
SUBSCRIPTIONS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A browser that takes push messages, as its person sees it."""

    id: SubscriptionId
    endpoint: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencesPatch:
    """What shall be different; None stays as it is, and `chosen` merges."""

    chosen: Mapping[tuple[Category, ChannelName], bool] | None = None
    quiet: tuple[Quiet, ...] | None = None
    quiet_policy: QuietPolicy | None = None
    when_late: WhenLate | None = None
    late_keep: timedelta | None = None
    digest_at: time | None = None
    defaults: tuple[Wanted, ...] | None = None


class Wishes(Protocol):
    """Where preferences and browsers are kept."""

    async def preferences(self, user: UserId) -> Preferences:
        """Returns what a person has chosen, or the defaults."""
        ...

    async def choose(
        self, user: UserId, change: Callable[[Preferences], Preferences], at: datetime
    ) -> Preferences:
        """Changes what a person has chosen; nobody else's change gets lost."""
        ...

    async def browsers(self, user: UserId) -> tuple[Subscribed, ...]:
        """Returns a person's browsers, the newest first."""
        ...

    async def subscribe(self, user: UserId, found: Browser, at: datetime, most: int) -> UUID | None:
        """Adds a browser, whoever had it; returns its id, None where there are too many."""
        ...

    async def unsubscribe(self, user: UserId, id: SubscriptionId) -> bool:
        """Removes a browser; tells whether it was there."""
        ...


class PreferenceService:
    """Shows and changes preferences, and adds and removes browsers."""

    def __init__(
        self, wishes: Wishes, endpoints: Endpoints, clock: Clock, new_id: Callable[[], UUID]
    ) -> None:
        self._wishes = wishes
        self._endpoints = endpoints
        self._clock = clock
        self._new_id = new_id

    async def update(self, user: UserId, patch: PreferencesPatch) -> Preferences:
        """Changes what the patch names.

        Raises:
            Refused: INVALID, LIMIT_EXCEEDED.
        """
        at = self._clock.now()
        for one in patch.defaults or ():
            if isinstance(one.when, At):
                raise invalid("A default reminder follows the due.", "input", "defaults")
            require_sound(one, at, "input", "defaults")

        def change(old: Preferences) -> Preferences:
            new = _patched(old, patch)
            preferences.require_sound(new, "input")
            return new

        return await self._wishes.choose(user, change, at)

    async def mute(self, user: UserId, category: Category, channel: ChannelName) -> None:
        """Switches a channel off for a category: what a mail's one click does."""
        await self.update(user, PreferencesPatch(chosen={(category, channel): False}))

    async def subscribe(self, user: UserId, endpoint: str, p256dh: str, auth: str) -> Subscribed:
        """Adds a browser as its `PushSubscription.toJSON()` tells it; again is no change.

        Raises:
            Refused: INVALID (a key, or an endpoint that is not public), LIMIT_EXCEEDED.
        """
        found = browser(SubscriptionId(self._new_id()), endpoint, p256dh, auth, "input")
        url = await self._endpoints.check(endpoint, "input", "endpoint")
        at = self._clock.now()
        made = await self._wishes.subscribe(
            user, replace(found, endpoint=url), at, SUBSCRIPTIONS_MAX
        )
        if made is None:
            raise over_limit(f"Use at most {SUBSCRIPTIONS_MAX} browsers: remove one.", "input")
        return Subscribed(id=SubscriptionId(made), endpoint=url, created_at=at)

    async def unsubscribe(self, user: UserId, id: SubscriptionId) -> None:
        """Removes a browser.

        Raises:
            Refused: NOT_FOUND.
        """
        if not await self._wishes.unsubscribe(user, id):
            raise not_found("There is no such subscription.", "id")


def _patched(old: Preferences, patch: PreferencesPatch) -> Preferences:
    late = old.late
    return replace(
        old,
        chosen={**old.chosen, **(patch.chosen or {})},
        quiet=old.quiet if patch.quiet is None else patch.quiet,
        quiet_policy=patch.quiet_policy or old.quiet_policy,
        late=replace(late, when=patch.when_late or late.when, keep=patch.late_keep or late.keep),
        digest_at=old.digest_at if patch.digest_at is None else patch.digest_at,
        defaults=old.defaults if patch.defaults is None else patch.defaults,
    )
