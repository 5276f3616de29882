"""Crontab lines in English."""

from collections.abc import Callable, Iterable

from domain.recurrence.rule import ByDay, Cron
from domain.recurrence.vocabulary import (
    MONTH_NAMES,
    WEEKDAY_NAMES,
    WORKDAYS,
    clock,
    counted,
    listed,
    ordinal,
)

_ALL_MINUTES = tuple(range(60))
_ALL_HOURS = tuple(range(24))
_ALL_DAYS = tuple(range(1, 32))
_ALL_MONTHS = tuple(range(1, 13))
_TIMES_LISTED_MAX = 6


def describe_cron(cron: Cron) -> str:
    """Returns what a crontab line does."""
    texts = [_times(cron), _days(cron)]
    if cron.months != _ALL_MONTHS:
        texts.append(f"in {_ranges(cron.months, lambda month: MONTH_NAMES[month - 1])}")
    return " ".join(text for text in texts if text)


def _times(cron: Cron) -> str:
    count = len(cron.hours) * len(cron.minutes) * len(cron.seconds)
    if count <= _TIMES_LISTED_MAX:
        times = [
            clock(hour, minute, second)
            for hour in cron.hours
            for minute in cron.minutes
            for second in cron.seconds
        ]
        days = "" if _days(cron) else " every day"
        return f"at {listed(times)}{days}"
    seconds = _step("second", cron.seconds, _ALL_MINUTES) if cron.seconds != (0,) else ""
    minutes = _step("minute", cron.minutes, _ALL_MINUTES)
    hours = _step("hour", cron.hours, _ALL_HOURS)
    if hours == "every hour" and minutes.startswith("every"):
        hours = ""
    if seconds and minutes == "every minute":
        minutes = "" if seconds.startswith("every") else minutes
    named = " of ".join(text for text in (seconds, minutes, hours) if text)
    return named if named.startswith("every") else f"at {named}"


def _step(unit: str, values: tuple[int, ...], every: tuple[int, ...]) -> str:
    """Returns `every 15 minutes` where the values are such steps, else lists them."""
    if values == every:
        return f"every {unit}"
    step = values[1] - values[0] if len(values) > 1 else 0
    if step > 1 and values == tuple(range(0, len(every), step)) and len(every) % step == 0:
        return f"every {counted(step, unit)}"
    return f"{unit}{'s' * (len(values) > 1)} {_ranges(values, str)}"


def _days(cron: Cron) -> str:
    by_month = _month_days(cron) if _limits_month_days(cron) else ""
    by_week = f"on {_weekdays(cron.week_days)}" if len(cron.week_days) < 7 else ""
    if cron.both_days:
        return " that is also ".join(filter(None, (by_month, by_week)))
    if not (by_month and by_week):
        # One of them allows every day, and either is enough.
        return ""
    return f"{by_month} and {by_week}"


def _limits_month_days(cron: Cron) -> bool:
    return bool(cron.near_month_days) or cron.month_days != _ALL_DAYS


def _month_days(cron: Cron) -> str:
    days = [day for day in cron.month_days if day > 0]
    texts = [_in_steps(days) or f"the {_ranges(days, ordinal)}"] if days else []
    texts += [f"the {ordinal(day)} day" for day in reversed(cron.month_days) if day < 0]
    for day in cron.near_month_days:
        texts.append(
            "the last weekday" if day == -1 else f"the weekday nearest to the {ordinal(day)}"
        )
    return f"on {listed(texts)}"


def _in_steps(days: list[int]) -> str:
    step = days[1] - days[0] if len(days) > _TIMES_LISTED_MAX else 0
    if step < 2 or days != list(range(days[0], days[-1] + 1, step)):
        return ""
    return f"every {ordinal(step)} day from the {ordinal(days[0])} to the {ordinal(days[-1])}"


def _weekdays(days: tuple[ByDay, ...]) -> str:
    plain = tuple(day for day in days if not day.ordinal)
    texts = [
        f"the {ordinal(day.ordinal)} {WEEKDAY_NAMES[day.weekday]}" for day in days if day.ordinal
    ]
    if plain == WORKDAYS:
        texts.append("every weekday")
    elif plain:
        names = _ranges([day.weekday for day in plain], lambda day: WEEKDAY_NAMES[day])
        texts.append(f"every {names}")
    return listed(texts)


def _ranges(values: Iterable[int], name: Callable[[int], str]) -> str:
    """Returns the values by name, three or more in a row as `1 to 3`."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    texts: list[str] = []
    for run in runs:
        if len(run) > 2:
            texts.append(f"{name(run[0])} to {name(run[-1])}")
        else:
            texts += map(name, run)
    return listed(texts)
