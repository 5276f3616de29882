"""The system's clock. Implements domain.ports.Clock."""

from datetime import UTC, datetime


class SystemClock:
    """Reads the machine's clock; the only place that does."""

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.now(UTC)
