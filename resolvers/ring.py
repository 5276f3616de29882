"""The latest changes of one workspace, kept in memory within bounds."""

from collections import deque
from collections.abc import Sequence

from domain.changes import Change

# A reader this far behind goes to the log instead: some minutes of a busy workspace.
RING_MAX_CHANGES = 1_024
# About what a change takes besides its payload.
CHANGE_BYTES = 700


class Ring:
    """A window on the log that ends at `head`."""

    __slots__ = ("_changes", "bytes", "head")

    def __init__(self, head: int) -> None:
        self.head = head
        self.bytes = 0
        self._changes: deque[Change] = deque()

    def extend(self, changes: Sequence[Change], max_bytes: int) -> None:
        """Takes what follows `head`; forgets the oldest beyond the bounds."""
        for change in changes:
            self._changes.append(change)
            self.bytes += _size(change)
        self.head = changes[-1].seq
        while self._changes and (len(self._changes) > RING_MAX_CHANGES or self.bytes > max_bytes):
            self.bytes -= _size(self._changes.popleft())

    def clear(self, head: int) -> None:
        """Forgets everything; what follows is after `head`."""
        self._changes.clear()
        self.bytes = 0
        self.head = head

    def after(self, seq: int, limit: int) -> list[Change] | None:
        """Returns what follows `seq`, at most `limit`; None where the window does not reach."""
        missing = self.head - seq
        if not 0 <= missing <= len(self._changes):
            return None
        start = len(self._changes) - missing
        return [self._changes[i] for i in range(start, min(start + limit, len(self._changes)))]


def _size(change: Change) -> int:
    # Characters: near enough to bytes for a bound, and known without encoding.
    return len(change.payload) + CHANGE_BYTES
