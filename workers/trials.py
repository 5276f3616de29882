"""What operators and the API ask of the notifications worker by service invocation."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from domain.channels import ChannelName
from domain.deliveries import Delivery, delivery_state
from domain.errors import invalid, not_found
from domain.ids import DeliveryId, UserId, parse_uuid


class Deliveries(Protocol):
    """The ledger, as it is asked."""

    async def find(self, id: DeliveryId) -> Delivery | None:
        """Returns a delivery, None where there is none."""
        ...

    async def add(self, user: UserId, channel: ChannelName, at: datetime) -> Delivery | None:
        """Adds a test that is due then, or finds it; None where there is no such person."""
        ...


class Trials:
    """Answers calls; what is refused is told by problems, and each may be asked twice."""

    def __init__(self, deliveries: Deliveries, wake: Callable[[], None]) -> None:
        self._deliveries = deliveries
        self._wake = wake

    async def delivery_state(self, given: Any) -> object:
        """Returns where a delivery stands: {"id": ...}."""
        found = await self._deliveries.find(DeliveryId(_id(given, "id")))
        if found is None:
            raise not_found("There is no such delivery.", "id")
        return delivery_state(found)

    async def send_test(self, given: Any) -> object:
        """Sends a test: {"user": ..., "channel": ..., "at": ...}; returns its delivery.

        `at` makes it one test however often it is asked for, as a sidecar may; it may lie ahead.
        """
        user = UserId(_id(given, "user"))
        try:
            channel = ChannelName(_said(given, "channel"))
            at = datetime.fromisoformat(_said(given, "at")).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            names = ", ".join(ChannelName)
            raise invalid(f"Name a channel of {names}, and an instant `at`.") from error
        row = await self._deliveries.add(user, channel, at)
        if row is None:
            raise not_found("There is no such person.", "user")
        self._wake()
        return delivery_state(row)


def _said(given: Any, name: str) -> str:
    value = given.get(name) if isinstance(given, Mapping) else None
    if not isinstance(value, str):
        raise invalid("Send an object with this text.", name)
    return value


def _id(given: Any, name: str) -> Any:
    found = parse_uuid(_said(given, name))
    if found is None:
        raise invalid("Send an id as a UUID.", name)
    return found
