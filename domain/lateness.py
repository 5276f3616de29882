"""What becomes of deliveries that nobody could send in time, by the wish of their person."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.deliveries import Delivery, Reason, cancelled, collapsed

# Up to here it is as good as on time: a restart, a provider's short absence.
LATE_AFTER = timedelta(minutes=5)
KEEP_MIN = timedelta(hours=1)
KEEP_MAX = timedelta(days=30)


class WhenLate(StrEnum):
    """What a person wants of several late deliveries."""

    SEND = "SEND"
    COLLAPSE = "COLLAPSE"
    DROP = "DROP"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatePolicy:
    """SEND each and say that it is late, COLLAPSE several into one, DROP those older than `keep`.

    What DROP leaves is sent.
    """

    when: WhenLate = WhenLate.COLLAPSE
    keep: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What is sent, and what is not; `sums` has, by their ids, those that tell about others."""

    send: tuple[Delivery, ...]
    over: tuple[Delivery, ...]
    sums: dict[Delivery, tuple[Delivery, ...]]


def is_late(row: Delivery, at: datetime) -> bool:
    """Tells whether the delivery waited for us, and not for quiet hours or a next attempt."""
    return at - row.fire_at > LATE_AFTER


def settled(policy: LatePolicy, rows: Iterable[Delivery], at: datetime) -> Settled:
    """Returns what becomes of one person's claimed deliveries, late or not.

    Collapsed are those of one channel: the latest is sent, and tells about the others. A send
    that may have succeeded is not told again.
    """
    given = tuple(rows)
    late = [row for row in given if is_late(row, at)]
    on_time = tuple(row for row in given if not is_late(row, at))
    if policy.when is WhenLate.DROP:
        kept = tuple(row for row in late if at - row.fire_at <= policy.keep)
        gone = (row for row in late if at - row.fire_at > policy.keep)
        over = tuple(cancelled(row, Reason.TOO_LATE) for row in gone)
        return Settled(send=(*on_time, *kept), over=over, sums={})
    if policy.when is WhenLate.SEND:
        return Settled(send=given, over=(), sums={})
    return _collapsed(on_time, late)


def _collapsed(on_time: tuple[Delivery, ...], late: list[Delivery]) -> Settled:
    channels: dict[object, list[Delivery]] = defaultdict(list)
    alone = []
    for row in late:
        if row.is_unsure:
            alone.append(row)
        else:
            channels[row.channel].append(row)
    sums: dict[Delivery, tuple[Delivery, ...]] = {}
    over: list[Delivery] = []
    for rows in channels.values():
        *others, last = sorted(rows, key=lambda row: (row.due_at, row.id))
        sums[last] = tuple(others)
        over += [collapsed(row, last.id) for row in others]
    leaders = tuple(sums)
    return Settled(
        send=(*on_time, *alone, *leaders),
        over=tuple(over),
        sums={last: others for last, others in sums.items() if others},
    )
