"""New ids: UUIDs of version 7, which sort by time and so fill indexes from one side."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """Returns a new id: 48 bits of Unix milliseconds, then 74 random ones (RFC 9562, 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    high = milliseconds << 16 | 0x7000 | random >> 68
    low = 0x8000_0000_0000_0000 | random & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=high << 64 | low)
