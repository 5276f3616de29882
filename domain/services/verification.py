"""Showing that an address is one's own, where the operator wants that."""

from datetime import datetime
from typing import Protocol

from domain.channels import Category, ChannelName
from domain.deliveries import Delivery
from domain.errors import Unauthenticated, conflict
from domain.ids import UserId
from domain.ports import Clock


class Mailboxes(Protocol):
    """What is known of people's addresses."""

    async def add(
        self, user: UserId, channel: ChannelName, at: datetime, category: Category
    ) -> Delivery | None:
        """Adds a delivery that is due then, or finds it; None where there is no such person."""
        ...

    async def verified(self, user: UserId, email: str, at: datetime) -> bool:
        """Keeps that the address is the person's; False where they have another by now."""
        ...


class VerificationService:
    """Sends the link, and takes it when it comes back."""

    def __init__(self, mailboxes: Mailboxes, clock: Clock, *, is_on: bool) -> None:
        self._mailboxes = mailboxes
        self._clock = clock
        self._is_on = is_on

    async def welcome(self, user: UserId) -> None:
        """Sends the link to who has just signed up, if the operator wants it."""
        if self._is_on:
            await self._send(user)

    async def send(self, user: UserId) -> None:
        """Sends the link again, at most once a minute.

        Raises:
            Refused: CONFLICT; mail goes to addresses as they are.
        """
        if not self._is_on:
            raise conflict("Addresses need not be verified here.")
        await self._send(user)

    async def confirm(self, user: UserId, email: str) -> None:
        """Takes a link that came back.

        Raises:
            Unauthenticated: the person has another address by now.
        """
        if not await self._mailboxes.verified(user, email, self._clock.now()):
            raise Unauthenticated("The link is not valid any more.")

    async def _send(self, user: UserId) -> None:
        # One instant a minute has one delivery: asking again sends nothing.
        at = self._clock.now().replace(second=0, microsecond=0)
        await self._mailboxes.add(user, ChannelName.EMAIL, at, Category.VERIFICATION)
