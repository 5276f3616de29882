"""Manual positions: texts between any two of which another fits, so a move rewrites one task.

A key is eight digits of a counter, then a fraction; all digits are base 62 and sort by code
point. At the ends one counts on, so keys do not grow with the length of a list. Two writers that
append at once take the same counter: a few digits of the task's own id keep their keys apart.

Between two keys it depends. Of two that are equally long nobody knows which is older: the
shortest near their middle leaves most room. Else the longer one was put in later, and people go
on where they were: after the last again, or right before it, at the same pinned task. So the next
key is one step beside it, and a run of 100,000 insertions makes keys four digits longer, where
halving what is left would take a digit for every six.
"""

from uuid import UUID

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BASE = len(DIGITS)
COUNTER_DIGITS = 8
SALT_DIGITS = 3
# A run has half of BASE ** (RUN_DIGITS - 1) steps; between two of its keys six more fit at least.
RUN_DIGITS = 4
# For who puts each task between the last two of 2,000; far below the index's limit.
KEY_MAX_LENGTH = 400
_VALUE = {digit: value for value, digit in enumerate(DIGITS)}


def between(low: str | None, high: str | None, owner: UUID) -> str:
    """Returns a key greater than `low` and less than `high`; None is the open end.

    Args:
        low: key of the task before, or None for the start.
        high: key of the task after, greater than `low`, or None for the end.
        owner: id of the task that gets the key; makes it its own at an open end.
    """
    if low is None and high is None:
        return _counted(BASE**COUNTER_DIGITS // 2, owner)
    if high is None:
        return _counted(_value(low or "", COUNTER_DIGITS) + 1, owner)
    if low is None:
        return _counted(_value(high, COUNTER_DIGITS) - 1, owner)
    return _inside(low, high)


def _counted(counter: int, owner: UUID) -> str:
    salt = owner.int % BASE**SALT_DIGITS
    # A key may not end in "0": nothing would fit between "x" and "x0".
    return _digits(counter, COUNTER_DIGITS) + _digits(salt, SALT_DIGITS) + DIGITS[BASE // 2]


def _value(key: str, width: int) -> int:
    """Returns the fraction's first digits as a whole number."""
    value = 0
    for digit in key[:width].ljust(width, DIGITS[0]):
        value = value * BASE + _VALUE[digit]
    return value


def _digits(value: int, width: int) -> str:
    digits = []
    for _ in range(width):
        value, digit = divmod(value, BASE)
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))


def _inside(low: str, high: str) -> str:
    width = max(len(low), len(high)) + RUN_DIGITS
    floor, ceiling = _value(low, width), _value(high, width)
    if floor >= ceiling:
        raise ValueError("low must be less than high")
    gap, middle = ceiling - floor, (floor + ceiling) // 2
    # Digits that can be left off, and still some key lies inside.
    spare = 0
    while 2 * BASE ** (spare + 1) <= gap:
        spare += 1
    # The last digit of the longer key, or of a shorter one that leaves room for a run.
    last = BASE ** max(RUN_DIGITS, spare - RUN_DIGITS)
    step = BASE * last
    if len(low) == len(high):
        value = _rounded(middle, BASE**spare)
    elif gap > 2 * step:
        value = _rounded(floor + step if len(low) > len(high) else ceiling - step, last)
    elif gap >= 2 * last:
        value = _rounded(middle, last)
    else:
        # No room beside it: a new run, in the middle, whose keys do not end in "0".
        value = _rounded(middle, BASE) + BASE // 2
    return _digits(value, width).rstrip(DIGITS[0])


def _rounded(value: int, unit: int) -> int:
    return value - value % unit
