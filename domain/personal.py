"""What a decision about tasks reads and writes that belongs to people: reminders and the ledger.

A person's changes go into the person's own stream, in the same flush as those of the workspace.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from domain.changes import Fact
from domain.deliveries import Delivery
from domain.ids import ReminderId, UserId
from domain.notifications import Notification
from domain.preferences import Preferences
from domain.reminders import Reminder

# Of who leaves a workspace, so much is taken back at once. What is beyond is found to have no
# recipient when its time comes.
LEAVING_MAX: Final = 1_000

# A change of a person's stream.
Told: TypeAlias = tuple[UserId, Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSeen:
    """Of the tasks that were looked at: all reminders, and what of the ledger may still change.

    `members` are those of the reminders' people who are members of the workspace; `preferences`
    those of the actor and of whom the task is or shall be assigned to.
    """

    reminders: tuple[Reminder, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    members: frozenset[UserId] = frozenset()
    preferences: Mapping[UserId, Preferences] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerWrites:
    """What changes; each reminder comes with when it rings as its task stands then.

    `moved` are deliveries as they were seen and as they shall be; where one is not as it was seen
    any more, nothing is written. `told` are the changes of people's streams.
    """

    reminders_new: tuple[tuple[Reminder, datetime | None], ...] = ()
    reminders_at: tuple[tuple[Reminder, datetime | None], ...] = ()
    reminders_gone: tuple[ReminderId, ...] = ()
    new: tuple[Delivery, ...] = ()
    moved: tuple[tuple[Delivery, Delivery], ...] = ()
    notifications: tuple[Notification, ...] = ()
    told: tuple[Told, ...] = ()

    def __or__(self, other: "LedgerWrites") -> "LedgerWrites":
        """Returns both."""
        return LedgerWrites(
            reminders_new=self.reminders_new + other.reminders_new,
            reminders_at=self.reminders_at + other.reminders_at,
            reminders_gone=self.reminders_gone + other.reminders_gone,
            new=self.new + other.new,
            moved=self.moved + other.moved,
            notifications=self.notifications + other.notifications,
            told=self.told + other.told,
        )

    def __bool__(self) -> bool:
        """Tells whether there is anything to write."""
        return self != NOTHING


NOTHING = LedgerWrites()
