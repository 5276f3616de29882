"""Rules in English, in the words of the phrases where a phrase can say it (docs/recurrence.md)."""

from datetime import date, datetime, time

from domain.recurrence.describe_cron import describe_cron
from domain.recurrence.policies import Anchor, MonthEnd, Policies
from domain.recurrence.rule import ByDay, Cron, Frequency, LocalStart, LocalTime, RRule, Rule, Skip
from domain.recurrence.times import positions
from domain.recurrence.vocabulary import (
    MONTH_NAMES,
    UNIT_NAMES,
    WEEKDAY_NAMES,
    WORKDAYS,
    clock,
    counted,
    listed,
    ordinal,
)

# More times of a day, or dates, than a sentence holds.
_LISTED_MAX = 12


def describe(rule: Rule, start: LocalStart, policies: Policies) -> str:
    """Returns what a series does in one English sentence, without a full stop."""
    pattern = rule.pattern
    if isinstance(pattern, Cron):
        words = [describe_cron(pattern)]
    else:
        words = _when(pattern, start, policies)
        if policies.anchor is Anchor.COMPLETION:
            words.append("after completion")
    sentence = " ".join(word for word in words if word)
    if not isinstance(pattern, Cron):
        sentence += _end(pattern)
    if rule.with_dates:
        sentence += f", and on {_dates(rule.with_dates)}"
    if rule.without_dates:
        sentence += f", but not on {_dates(rule.without_dates)}"
    return sentence[0].upper() + sentence[1:]


def _when(rule: RRule, start: LocalStart, policies: Policies) -> list[str]:
    if rule.is_elapsed:
        return [_every(rule), _limits(rule), _clocks(rule)]
    when = [*_days(rule, start, policies), _at(rule, start)]
    if rule.by_set_pos and rule.frequency is not Frequency.DAILY and not _is_nth_workday(rule):
        when.insert(0, f"the {_ordinals(rule.by_set_pos)} time of")
    return when


def _is_nth_workday(rule: RRule) -> bool:
    is_plain = not (rule.by_month_day or rule.by_hour or rule.by_minute or rule.by_second)
    return rule.frequency is Frequency.MONTHLY and rule.by_day == WORKDAYS and is_plain


def _every(rule: RRule) -> str:
    unit = UNIT_NAMES[rule.frequency]
    return f"every {unit}" if rule.interval == 1 else f"every {counted(rule.interval, unit)}"


def _days(rule: RRule, start: LocalStart, policies: Policies) -> list[str]:
    if rule.frequency is Frequency.DAILY:
        return [_every(rule), _limits(rule)]
    if rule.frequency is Frequency.WEEKLY:
        return [_weekly(rule, start), _months(rule)]
    if rule.frequency is Frequency.MONTHLY:
        return [_every(rule), _monthly(rule, start, policies), _months(rule)]
    return [_every(rule), _yearly(rule, start, policies)]


def _weekly(rule: RRule, start: LocalStart) -> str:
    days = rule.by_day or (ByDay(0, start.day.weekday()),)
    if rule.interval > 1:
        begins = f", weeks from {WEEKDAY_NAMES[rule.week_start]}" if rule.week_start else ""
        return f"{_every(rule)} on {_weekdays(days)}{begins}"
    return "every weekday" if days == WORKDAYS else f"every {_weekdays(days)}"


def _monthly(rule: RRule, start: LocalStart, policies: Policies) -> str:
    if rule.by_set_pos and _is_nth_workday(rule):
        return f"on the {_ordinals(rule.by_set_pos)} weekday"
    if not rule.by_day:
        return f"on {_month_days(rule.by_month_day or (start.day.day,), rule, policies)}"
    if not rule.by_month_day:
        return f"on {_nth_weekdays(rule.by_day)}"
    month_days = _month_days(rule.by_month_day, rule, policies)
    return f"on {_nth_weekdays(rule.by_day)} that is {month_days}"


def _yearly(rule: RRule, start: LocalStart, policies: Policies) -> str:
    limits = []
    if rule.by_week_no:
        weeks = listed([str(week) if week > 0 else f"{ordinal(week)}" for week in rule.by_week_no])
        limits.append(f"in week {weeks}")
    if rule.by_year_day:
        limits.append(f"on the {_ordinals(rule.by_year_day)} day of the year")
    if rule.by_day:
        limits.append(f"on {_nth_weekdays(rule.by_day)}")
    elif rule.by_week_no and not (rule.by_month_day or rule.by_year_day):
        limits.append(f"on every {WEEKDAY_NAMES[start.day.weekday()]}")
    if rule.by_month_day:
        limits.append(f"on {_month_days(rule.by_month_day, rule, policies)}")
    if limits:
        link = "of" if rule.by_day or rule.by_month_day else "in"
        return " ".join([*limits, _months(rule, link)]).strip()
    months = rule.by_month or (start.day.month,)
    if len(months) == 1:
        lacking = _lacking(start.day.day, months, rule, policies)
        return f"on {start.day.day} {MONTH_NAMES[months[0] - 1]}{lacking}"
    return f"on {_month_days((start.day.day,), rule, policies)} {_months(rule, 'of')}"


def _month_days(days: tuple[int, ...], rule: RRule, policies: Policies) -> str:
    months = rule.by_month or tuple(range(1, 13))
    named = f"the {_ordinals(days)}{' day' if min(days) < 0 else ''}"
    return f"{named}{_lacking(max(days), months, rule, policies)}"


def _lacking(day: int, months: tuple[int, ...], rule: RRule, policies: Policies) -> str:
    """Returns what happens in months that lack the day."""
    longest = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if all(day <= longest[month - 1] for month in months):
        return ""
    if rule.skip is Skip.FORWARD:
        return " or the day after the month"
    if policies.month_end is MonthEnd.CLAMP:
        return " or the last day"
    return " where there is one"


def _nth_weekdays(days: tuple[ByDay, ...]) -> str:
    plain = tuple(day for day in days if not day.ordinal)
    nth = tuple(day for day in days if day.ordinal)
    ordinals = tuple(sorted({day.ordinal for day in nth}))
    weekdays = tuple(ByDay(0, weekday) for weekday in sorted({day.weekday for day in nth}))
    if len(ordinals) * len(weekdays) == len(nth) > 0:
        texts = [f"the {_ordinals(ordinals)} {_weekdays(weekdays)}"]
    else:
        texts = [f"the {ordinal(day.ordinal)} {WEEKDAY_NAMES[day.weekday]}" for day in nth]
    if plain:
        texts.append("every weekday" if plain == WORKDAYS else f"every {_weekdays(plain)}")
    return listed(texts)


def _weekdays(days: tuple[ByDay, ...]) -> str:
    return listed([WEEKDAY_NAMES[day.weekday] for day in days])


def _limits(rule: RRule) -> str:
    """Returns which days a rule of days, or less, may fall on."""
    texts = []
    if rule.by_day:
        texts.append(f"that is a {listed([WEEKDAY_NAMES[d.weekday] for d in rule.by_day], 'or')}")
    if rule.by_month_day:
        days = [f"the {ordinal(day)}{' day' * (day < 0)}" for day in rule.by_month_day]
        texts.append(f"on {listed(days, 'or')}")
    if rule.by_year_day:
        texts.append(f"on the {_ordinals(rule.by_year_day)} day of the year")
    return " ".join([*texts, _months(rule)]).strip()


def _months(rule: RRule, link: str = "in") -> str:
    if not rule.by_month:
        return ""
    return f"{link} {listed([MONTH_NAMES[month - 1] for month in rule.by_month])}"


def _ordinals(numbers: tuple[int, ...]) -> str:
    return listed([ordinal(number) for number in sorted(numbers, key=lambda n: (n < 0, n))])


def _at(rule: RRule, start: LocalStart) -> str:
    if start.at is None and not (rule.by_hour or rule.by_minute or rule.by_second):
        return ""
    at = start.at or time()
    times = [
        clock(hour, minute, second)
        for hour in rule.by_hour or (at.hour,)
        for minute in rule.by_minute or (at.minute,)
        for second in rule.by_second or (at.second,)
    ]
    if rule.by_set_pos and rule.frequency is Frequency.DAILY:
        times = [times[index] for index in positions(rule.by_set_pos, len(times))]
    if len(times) > _LISTED_MAX:
        return f"at {len(times)} times from {times[0]} to {times[-1]}"
    return f"at {listed(times) or 'no time'}"


def _clocks(rule: RRule) -> str:
    """Returns the times of day that a rule of hours, or less, names."""
    parts = (
        ("second", rule.by_second),
        ("minute", rule.by_minute),
        ("hour", rule.by_hour),
    )
    texts = [
        f"{name}{'s' * (len(values) > 1)} {listed([str(value) for value in values])}"
        for name, values in parts
        if values
    ]
    picks = f"the {_ordinals(rule.by_set_pos)} of " if rule.by_set_pos else ""
    return f"at {picks}{' of '.join(texts)}" if texts else ""


def _end(rule: RRule) -> str:
    if rule.count is not None:
        return ", once" if rule.count == 1 else f", {rule.count} times"
    if rule.until is None:
        return ""
    day = f"{rule.until.day} {MONTH_NAMES[rule.until.month - 1]} {rule.until.year}"
    if not isinstance(rule.until, datetime):
        return f", until {day}"
    at = clock(rule.until.hour, rule.until.minute, rule.until.second)
    return f", until {day}, {at}{' UTC' if rule.until.tzinfo else ''}"


def _dates(dates: tuple[LocalTime, ...]) -> str:
    texts = [_date(found.day, found.at) for found in dates[:_LISTED_MAX]]
    if len(dates) > _LISTED_MAX:
        texts.append(f"{len(dates) - _LISTED_MAX} more")
    return listed(texts)


def _date(day: date, at: time | None) -> str:
    text = f"{day.day} {MONTH_NAMES[day.month - 1]} {day.year}"
    return text if at is None else f"{text}, {clock(at.hour, at.minute, at.second)}"
