"""How many bytes an answer that is made in several parts may still have."""

from domain.reading import too_large


class Allowance:
    """The rest of an answer's bytes: one statement keeps within them by itself, several do not."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def take(self, part: bytes) -> bytes:
        """Returns the part, which counts from now on.

        Raises:
            OverLimit: the answer has no room for it.
        """
        self._taken += len(part)
        if self._taken > self._most:
            raise too_large(self._most)
        return part
