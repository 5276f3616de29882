"""Token buckets: how often something may be tried, for each of many keys."""

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime, timedelta


class Throttle:
    """Allows `burst` tries for each key at once, and one more every `refill`.

    Each bucket is one instant, at which it will be full again (the generic cell rate algorithm of
    ITU-T I.371). Beyond `keys_max` the keys that were not tried for longest are forgotten.
    """

    def __init__(self, *, burst: int, refill: timedelta, keys_max: int) -> None:
        self._refill = refill
        self._depth = burst * refill
        self._keys_max = keys_max
        self._full_at: OrderedDict[Hashable, datetime] = OrderedDict()

    def take(self, key: Hashable, at: datetime) -> bool:
        """Takes one try, or tells that there is none left."""
        full_at = max(self._full_at.pop(key, at), at)
        allowed = full_at + self._refill - at <= self._depth
        self._full_at[key] = full_at + self._refill if allowed else full_at
        if len(self._full_at) > self._keys_max:
            self._full_at.popitem(last=False)
        return allowed

    def give_back(self, key: Hashable) -> None:
        """Returns a try that shall not count; a forgotten key has nothing to get back."""
        if key in self._full_at:
            self._full_at[key] -= self._refill
