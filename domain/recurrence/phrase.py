"""English phrases into rules: `every 2 weeks on mon, thu until June`; docs/recurrence.md.

A phrase begins with `every`, with an adverb such as `daily`, or with `3 days after`, and ends
before the first word that does not belong to it. The rest of the text is the title. What only
looks like a phrase is left alone.
"""

from dataclasses import dataclass, replace
from datetime import date, time, timedelta

from domain.recurrence.grammar import Draft
from domain.recurrence.policies import Choices, MonthEnd
from domain.recurrence.rule import Frequency, LocalStart, RRule, Rule
from domain.recurrence.words import Words

# A title; longer texts are no place to look for phrases.
TEXT_MAX_CHARS = 2_000
# `for 999 years` from here ends within the calendar.
_LATEST = date(9000, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """What was read: the rest of the text, the rule, what it chooses, and hints for a start.

    `at` is the first time of day that was named, `begins` the day.
    """

    title: str
    rule: Rule
    choices: Choices
    at: time | None
    begins: date | None

    def start(self, given: LocalStart) -> LocalStart:
        """Returns where the series starts: as the phrase says, and not before `given`."""
        at = self.at or given.at
        if self.begins is not None and self.begins > given.day:
            return LocalStart(self.begins, at)
        if self.at is None or given.at is None or given.at <= self.at:
            return LocalStart(given.day, at)
        pattern = self.rule.pattern
        if isinstance(pattern, RRule) and pattern.by_hour:
            return given
        return LocalStart(given.day + timedelta(days=1), at)


def parse_phrase(text: str, today: date) -> Phrase | None:
    """Returns what the first phrase of a text says, or None where there is none.

    Args:
        text: a title with a phrase in it.
        today: what `until June` or `from monday` count from.
    """
    if len(text) > TEXT_MAX_CHARS:
        return None
    words = Words(text)
    for begin in range(len(words.words)):
        words.at = begin
        draft = Draft(words, min(today, _LATEST))
        if draft.take():
            start, end = words.words[begin].start, words.words[words.at - 1].end
            return _phrase(draft, _title(text[:start], text[end:]))
    return None


def _title(before: str, after: str) -> str:
    parts = (before.rstrip(" ,"), after.lstrip(" ,"))
    return " ".join(part.strip() for part in parts if part.strip())


def _phrase(draft: Draft, title: str) -> Phrase | None:
    """Returns what was read; None where no rule can say it: `every 2 weeks at 9:00 and 17:30`."""
    pattern = _with_times(
        RRule(
            frequency=draft.frequency,
            interval=draft.interval,
            count=draft.count,
            until=_last_day(draft),
            by_day=draft.by_day,
            by_month_day=draft.by_month_day,
            by_month=draft.by_month,
            by_set_pos=draft.by_set_pos,
        ),
        sorted(set(draft.times)),
    )
    if pattern is None:
        return None
    month_end = draft.month_end
    if month_end is None and draft.frequency >= Frequency.MONTHLY and not draft.by_day:
        # Who says `every month` on a 31st means February too.
        month_end = MonthEnd.CLAMP
    return Phrase(
        title=title,
        rule=Rule(pattern=pattern),
        choices=Choices(anchor=draft.anchor, month_end=month_end),
        at=min(draft.times, default=None),
        begins=draft.begins,
    )


def _with_times(pattern: RRule, times: list[time]) -> RRule | None:
    """Returns the rule at these times of day; one alone is the start's.

    BYHOUR and BYMINUTE say all their combinations; BYSETPOS picks some from those of one day.
    """
    if len(times) < 2:
        return pattern
    hours = tuple(sorted({at.hour for at in times}))
    minutes = tuple(sorted({at.minute for at in times}))
    pattern = replace(pattern, by_hour=hours, by_minute=minutes)
    if len(hours) * len(minutes) == len(times):
        return pattern
    is_of_days = pattern.frequency is Frequency.WEEKLY and pattern.interval == 1 and pattern.by_day
    if pattern.frequency is not Frequency.DAILY and not is_of_days:
        return None
    combined = [time(hour, minute) for hour in hours for minute in minutes]
    picks = tuple(place for place, at in enumerate(combined, 1) if at in times)
    return replace(pattern, frequency=Frequency.DAILY, by_set_pos=picks)


def _last_day(draft: Draft) -> date | None:
    """Returns the last day of the series: as it was said, or by how long it lasts."""
    if draft.lasts is None:
        return draft.until
    first = min(draft.begins or draft.today, _LATEST)
    unit, number = draft.lasts
    if unit < Frequency.MONTHLY:
        days = number * (7 if unit is Frequency.WEEKLY else 1)
        return first + timedelta(days=days - 1)
    months = number * (12 if unit is Frequency.YEARLY else 1)
    year, month = divmod(12 * first.year + first.month - 1 + months, 12)
    return date(year, month + 1, 1) + timedelta(days=first.day - 2)
