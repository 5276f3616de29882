"""Who is asking: the outcome of checking an access token."""

from dataclasses import dataclass
from datetime import datetime

from domain.ids import SessionId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """A user as one signed-in session; valid while `expires_at` has not come.

    The session may be revoked earlier: who holds a viewer for long asks again, or is told.
    """

    user: UserId
    session: SessionId
    expires_at: datetime
