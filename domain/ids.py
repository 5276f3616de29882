"""Identifiers as distinct types, so that one cannot stand where another is meant."""

from typing import NewType
from uuid import UUID

UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)
WorkspaceId = NewType("WorkspaceId", UUID)
MemberId = NewType("MemberId", UUID)
CategoryId = NewType("CategoryId", UUID)
TagId = NewType("TagId", UUID)
TaskId = NewType("TaskId", UUID)
SeriesId = NewType("SeriesId", UUID)
ChangeId = NewType("ChangeId", UUID)
ReminderId = NewType("ReminderId", UUID)
DeliveryId = NewType("DeliveryId", UUID)
SubscriptionId = NewType("SubscriptionId", UUID)


def parse_uuid(text: str) -> UUID | None:
    """Returns the id in the canonical form of RFC 9562 (8-4-4-4-12, either case), else None.

    `uuid.UUID` alone would also take braces, `urn:uuid:` and missing hyphens: several texts
    for one id, which no client could compare.
    """
    if len(text) != 36 or text[8] + text[13] + text[18] + text[23] != "----":
        return None
    digits = text.replace("-", "")
    if len(digits) != 32 or not digits.isascii() or not digits.isalnum():
        return None
    try:
        return UUID(hex=digits)
    except ValueError:
        return None
