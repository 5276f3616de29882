"""The English words that phrases are read in and rules described in."""

from collections.abc import Iterable, Sequence

from domain.recurrence.rule import ByDay, Frequency

WEEKDAY_NAMES = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)
MONTH_NAMES = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
ORDINAL_NAMES = ("first", "second", "third", "fourth", "fifth")
WORKDAYS = tuple(ByDay(0, weekday) for weekday in range(5))
WEEKEND = (ByDay(0, 5), ByDay(0, 6))
UNIT_NAMES = {
    Frequency.SECONDLY: "second",
    Frequency.MINUTELY: "minute",
    Frequency.HOURLY: "hour",
    Frequency.DAILY: "day",
    Frequency.WEEKLY: "week",
    Frequency.MONTHLY: "month",
    Frequency.YEARLY: "year",
}

_SHORT_DAYS = ("tues", "weds", "thur", "thurs")
WEEKDAYS = {
    **{name.lower(): day for day, name in enumerate(WEEKDAY_NAMES)},
    **{f"{name.lower()}s": day for day, name in enumerate(WEEKDAY_NAMES)},
    **{name[:3].lower(): day for day, name in enumerate(WEEKDAY_NAMES)},
    **dict(zip(_SHORT_DAYS, (1, 2, 3, 3), strict=True)),
}
MONTHS = {
    **{name.lower(): month for month, name in enumerate(MONTH_NAMES, 1)},
    **{name[:3].lower(): month for month, name in enumerate(MONTH_NAMES, 1)},
    "sept": 9,
}
# A unit, and how many of it the word stands for.
UNITS = {
    "minute": (Frequency.MINUTELY, 1),
    "min": (Frequency.MINUTELY, 1),
    "hour": (Frequency.HOURLY, 1),
    "day": (Frequency.DAILY, 1),
    "week": (Frequency.WEEKLY, 1),
    "fortnight": (Frequency.WEEKLY, 2),
    "month": (Frequency.MONTHLY, 1),
    "quarter": (Frequency.MONTHLY, 3),
    "year": (Frequency.YEARLY, 1),
}
UNITS |= {f"{name}s": unit for name, unit in UNITS.items()}
ADVERBS = {
    "hourly": (Frequency.HOURLY, 1),
    "daily": (Frequency.DAILY, 1),
    "weekly": (Frequency.WEEKLY, 1),
    "fortnightly": (Frequency.WEEKLY, 2),
    "monthly": (Frequency.MONTHLY, 1),
    "quarterly": (Frequency.MONTHLY, 3),
    "yearly": (Frequency.YEARLY, 1),
    "annually": (Frequency.YEARLY, 1),
}
NUMBERS = {
    name: number
    for number, name in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 2
    )
}
# Hours of the words that name a part of the day.
DAY_PARTS = {"morning": 9, "noon": 12, "afternoon": 15, "evening": 19, "night": 21, "midnight": 0}


def listed(words: Sequence[str], link: str = "and") -> str:
    """Returns the words as English lists them: `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {link} {words[-1]}"


def ordinal(number: int) -> str:
    """Returns `1st`, `22nd`, `last`, `2nd last`."""
    if number == -1:
        return "last"
    size = abs(number)
    suffix = (
        "th" if size % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(size % 10, "th")
    )
    return f"{size}{suffix}{'' if number > 0 else ' last'}"


def counted(number: int, unit: str) -> str:
    """Returns `1 day`, `3 days`."""
    return f"{number} {unit}{'' if number == 1 else 's'}"


def clock(hour: int, minute: int, second: int = 0) -> str:
    """Returns `9:05`, with seconds where there are some."""
    return f"{hour}:{minute:02}" + (f":{second:02}" if second else "")


def names(numbers: Iterable[int], among: Sequence[str]) -> str:
    """Returns the listed names of numbers from 0."""
    return listed([among[number] for number in numbers])
