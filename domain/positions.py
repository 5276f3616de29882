"""Manual positions: texts between any two of which another fits, so a move rewrites one task.

A key is eight digits of a counter, then a fraction; all digits are base 62 and sort by code
point. Appending counts up, so keys do not grow with the length of a list; inserting between two
keys takes their middle. Two writers that append at once take the same counter: a few digits of
the task's own id keep their keys apart.
"""

from uuid import UUID

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BASE = len(DIGITS)
COUNTER_DIGITS = 8
SALT_DIGITS = 3
# Halving one gap again and again adds a digit about every sixth time; far below the index's limit.
KEY_MAX_LENGTH = 400
_VALUE = {digit: value for value, digit in enumerate(DIGITS)}


def between(low: str | None, high: str | None, owner: UUID) -> str:
    """Returns a key greater than `low` and less than `high`; None is the open end.

    Args:
        low: key of the task before, or None for the start.
        high: key of the task after, greater than `low`, or None for the end.
        owner: id of the task that gets the key; makes it its own.
    """
    if low is None and high is None:
        return _counted(BASE**COUNTER_DIGITS // 2, owner)
    if high is None:
        return _counted(_counter(low or "") + 1, owner)
    if low is None:
        return _counted(_counter(high) - 1, owner)
    return _middle(low, high) + _salt(owner)


def _counted(counter: int, owner: UUID) -> str:
    return _number(counter, COUNTER_DIGITS) + _salt(owner)


def _salt(owner: UUID) -> str:
    # A key may not end in "0": nothing would fit between "x" and "x0".
    return _number(owner.int % BASE**SALT_DIGITS, SALT_DIGITS) + DIGITS[BASE // 2]


def _counter(key: str) -> int:
    value = 0
    for digit in key[:COUNTER_DIGITS]:
        value = value * BASE + _VALUE[digit]
    return value


def _number(value: int, width: int) -> str:
    digits = []
    for _ in range(width):
        value, digit = divmod(value, BASE)
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))


def _middle(low: str, high: str) -> str:
    """Returns a prefix p with low < p, and p + anything < high."""
    prefix: list[str] = []
    for index in range(max(len(low), len(high)) + 1):
        floor = _VALUE[low[index]] if index < len(low) else 0
        ceiling = _VALUE[high[index]] if index < len(high) else 0
        if ceiling - floor > 1:
            return "".join(prefix) + DIGITS[(floor + ceiling) // 2]
        prefix.append(DIGITS[floor])
        if ceiling > floor:
            # Below `high` already; what remains is to rise above the rest of `low`.
            return "".join(prefix) + _above(low[index + 1 :])
    raise ValueError("low must be less than high")


def _above(rest: str) -> str:
    prefix: list[str] = []
    for digit in rest:
        if _VALUE[digit] < BASE - 1:
            return "".join(prefix) + DIGITS[(_VALUE[digit] + BASE) // 2]
        prefix.append(digit)
    return "".join(prefix) + DIGITS[BASE // 2]
