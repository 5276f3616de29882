"""How a person is told of things: shown and changed."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import strawberry

from domain.errors import Unauthenticated
from domain.ids import SubscriptionId, UserId
from domain.preferences import Quiet
from domain.reading import ThePreferences
from domain.reminders import Wanted
from domain.services.preferences import PreferencesPatch
from domain.tasks import instant_text
from resolvers.notifications import given_or_none, wanted_of
from resolvers.payloads import Payload, mutation, wanted_id
from resolvers.render import render
from resolvers.selection import selected
from resolvers.streams import SIGN_IN
from schema import preferences as t
from schema.context import RequestInfo
from schema.planned import planned

T = TypeVar("T")
U = TypeVar("U")


def _preferences() -> ThePreferences:
    return ThePreferences()


@strawberry.type
class PreferenceQuery:
    notification_preferences: t.NotificationPreferences | None = planned(
        _preferences, t.NotificationPreferences | None, "How the viewer is told of things."
    )


@strawberry.type
class PreferenceMutation:
    @mutation(t.NotificationPreferencesUpdatePayload, "Changes how the viewer is told of things.")
    async def notification_preferences_update(
        self, info: RequestInfo, input: t.NotificationPreferencesUpdateInput
    ) -> Payload:
        user = _viewer(info)
        await info.context.use.preferences.update(user, _patch(input))
        return await _shown(info, "preferences", await info.context.preferences())

    @mutation(t.PushSubscriptionAddPayload, "Has a browser of the viewer's take push messages.")
    async def push_subscription_add(
        self, info: RequestInfo, input: t.PushSubscriptionAddInput
    ) -> Payload:
        made = await info.context.use.preferences.subscribe(
            _viewer(info), input.endpoint, input.p256dh, input.auth
        )
        state: dict[str, object] = {
            "id": str(made.id),
            "endpoint": made.endpoint,
            "created_at": instant_text(made.created_at),
        }
        return await _shown(info, "push_subscription", state)

    @mutation(t.PushSubscriptionRemovePayload, "Has a browser take no more push messages.")
    async def push_subscription_remove(self, info: RequestInfo, id: strawberry.ID) -> Payload:
        one = SubscriptionId(wanted_id(id, "id"))
        await info.context.use.preferences.unsubscribe(_viewer(info), one)
        values: Payload = {"push_subscription_id": str(one), "user_errors": []}
        return {f.key: values[f.attribute] for f in selected(info).fields if f.attribute in values}


async def _shown(info: RequestInfo, subject: str, state: dict[str, object]) -> Payload:
    answer: Payload = {}
    for field in selected(info).fields:
        if field.attribute == subject and field.selection is not None:
            answer[field.key] = render(field.selection, state)
        elif field.attribute == "user_errors":
            answer[field.key] = []
    return answer


def _patch(given: t.NotificationPreferencesUpdateInput) -> PreferencesPatch:
    keep = given_or_none(given.late_keep)
    return PreferencesPatch(
        chosen=_each(
            given.choices, lambda some: {(one.category, one.channel): one.is_on for one in some}
        ),
        quiet=_each(given.quiet_hours, lambda some: tuple(map(_quiet, some))),
        quiet_policy=given_or_none(given.quiet_policy),
        when_late=given_or_none(given.late_policy),
        late_keep=None if keep is None else timedelta(days=min(keep.days, 1_000)) + keep.span,
        digest_at=given_or_none(given.digest_at),
        defaults=_each(given.defaults, lambda some: tuple(map(_default, some))),
    )


def _each(given: list[T] | None, read: Callable[[list[T]], U]) -> U | None:
    found = given_or_none(given)
    return None if found is None else read(found)


def _quiet(given: t.QuietHoursInput) -> Quiet:
    # The domain counts as Python does; people as ISO 8601 does.
    return Quiet(days=frozenset(day - 1 for day in given.days), start=given.start, end=given.end)


def _default(given: t.DefaultReminderInput) -> Wanted:
    return wanted_of(
        None, given.before_due, given.on_day, given.channels, given.nag, "input", "defaults"
    )


def _viewer(info: RequestInfo) -> UserId:
    if info.context.viewer is None:
        raise Unauthenticated(SIGN_IN)
    return info.context.viewer.user
