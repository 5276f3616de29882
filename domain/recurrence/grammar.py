"""The grammar of phrases, as docs/recurrence.md writes it down: one method for each line."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import date, time, timedelta
from functools import wraps

from domain.recurrence.policies import Anchor, MonthEnd
from domain.recurrence.rule import ByDay, Frequency
from domain.recurrence.vocabulary import ADVERBS, DAY_PARTS, UNITS, WEEKEND, WORKDAYS
from domain.recurrence.words import Words

_COMPLETIONS = (
    ("completion",),
    ("completing", "it"),
    ("i", "did", "it"),
    ("it", "is", "done"),
    ("it", "was", "done"),
)
# What may follow a bare hour that is not the first: `at 9, 12 and 17 until June`.
_AFTER_TIMES = (
    *(",", "and", "&", "am", "pm", "on", "in", "for", "from", "starting", "beginning"),
    *("until", "till", "til", "ending", "after", "every", "every!", "each"),
)
_Take = Callable[["Draft"], bool]


def _whole(take: _Take) -> _Take:
    """Makes a line of the grammar leave words and draft as they were where it does not apply."""

    @wraps(take)
    def attempt(draft: "Draft") -> bool:
        at = draft.words.at
        before = {kept.name: getattr(draft, kept.name) for kept in fields(draft)}
        found = take(draft)
        if not found:
            draft.words.at = at
            for name, value in before.items():
                setattr(draft, name, value)
        return found

    return attempt


@dataclass(slots=True)
class Draft:
    """A phrase while it is read; `lasts` is how long it goes on: a unit, and how many of it."""

    words: Words
    today: date
    frequency: Frequency = Frequency.DAILY
    interval: int = 1
    by_day: tuple[ByDay, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_month: tuple[int, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    times: tuple[time, ...] = field(default=())
    until: date | None = None
    count: int | None = None
    lasts: tuple[Frequency, int] | None = None
    begins: date | None = None
    anchor: Anchor | None = None
    month_end: MonthEnd | None = None

    @_whole
    def take(self) -> bool:
        """Phrase = [ "at" times ] ( every | adverb | after ) { more }."""
        if self.words.take("at") and not self._take_times(is_marked=True):
            return False
        if not (self._every() or self._adverb() or self._after()):
            return False
        while self._more():
            pass
        return True

    @_whole
    def _every(self) -> bool:
        """Every = ( "every" | "every!" | "each" ) what."""
        head = self.words.take_any("every", "every!", "each")
        if head == "every!":
            self.anchor = Anchor.COMPLETION
        return head is not None and self._what()

    @_whole
    def _adverb(self) -> bool:
        """Adverb = "daily" | ..., at the end of the text or before more: no `daily news`."""
        adverb = self.words.take_any(*ADVERBS)
        if adverb is None:
            return False
        self.frequency, self.interval = ADVERBS[adverb]
        return not self.words.ahead() or self._more()

    @_whole
    def _after(self) -> bool:
        """After = number unit completion."""
        return self._units() and self._completion()

    def _what(self) -> bool:
        """What = other | units | month-day | nth | unit | weekdays | day-part | months."""
        lines = (
            self._other,
            self._units,
            self._month_day,
            self._nth,
            self._unit,
            self._weekdays,
            self._day_part,
            self._months,
        )
        return any(line() for line in lines)

    @_whole
    def _other(self) -> bool:
        """Other = "other" ( unit | weekdays )."""
        self.interval = 2
        return self.words.take("other") and (self._unit() or self._weekdays())

    @_whole
    def _units(self) -> bool:
        """Units = number unit."""
        number = self.words.take_number()
        self.interval = number or 1
        return number is not None and self._unit()

    @_whole
    def _unit(self) -> bool:
        """Unit = "minute" | "hour" | "day" | "week" | "fortnight" | "month" | "quarter" | ..."""
        unit = self.words.take_any(*UNITS)
        if unit is None:
            return False
        self.frequency, times = UNITS[unit]
        self.interval *= times
        return True

    @_whole
    def _weekdays(self) -> bool:
        """Weekdays = "weekday" | "weekend" | days; days = day { "," day } or day "-" day."""
        if self.words.take_any("weekday", "weekdays", "workday", "workdays"):
            self.by_day = WORKDAYS
        elif self.words.take_any("weekend", "weekends"):
            self.by_day = WEEKEND
        else:
            self.by_day = tuple(ByDay(0, day) for day in self.words.take_weekdays())
        self.frequency = Frequency.WEEKLY
        return bool(self.by_day)

    @_whole
    def _month_day(self) -> bool:
        """month-day = "14 march" | "14th of march" | "march 14"."""
        found = self.words.take_month_day()
        if found is None:
            return False
        self.frequency = Frequency.YEARLY
        self.by_month, self.by_month_day = (found[0],), (found[1],)
        return True

    @_whole
    def _months(self) -> bool:
        """Months = month { "," month }."""
        self.frequency = Frequency.YEARLY
        self.by_month = tuple(self.words.take_months())
        return bool(self.by_month)

    @_whole
    def _day_part(self) -> bool:
        """day-part = "morning" | "noon" | "afternoon" | "evening" | "night" | "midnight"."""
        part = self.words.take_any(*DAY_PARTS)
        if part is not None:
            self.times = self.times or (time(DAY_PARTS[part]),)
        return part is not None

    @_whole
    def _nth(self) -> bool:
        """Nth = ordinals ( days | "weekday" | "day" | unit | nothing ) [ of-month ]."""
        words, is_figure = self.words, any(word[0].isdigit() for word in self.words.ahead())
        ordinals = tuple(sorted(set(words.take_list(words.take_ordinal))))
        if not ordinals:
            return False
        self.frequency = Frequency.MONTHLY
        largest = max(map(abs, ordinals))
        if words.take_any("weekday", "workday"):
            self.by_day, self.by_set_pos = WORKDAYS, ordinals
        elif weekdays := words.take_weekdays():
            # No month has a sixth Friday.
            pairs = (ByDay(nth, day) for nth in ordinals for day in weekdays)
            self.by_day = tuple(pairs) if largest <= 5 else ()
        elif self._interval(ordinals):
            return True
        elif largest <= 31 and (words.take("day") or is_figure):
            self.by_month_day = ordinals
        self._of_month()
        return bool(self.by_day or self.by_month_day)

    def _interval(self, ordinals: tuple[int, ...]) -> bool:
        """Takes the unit of `3rd month` or `3rd day`; `last day` is one of the month."""
        is_of_month = self.words.ahead(4)[1:] in (["of", "the", "month"], ["of", "each", "month"])
        if len(ordinals) > 1 or ordinals[0] < 2 or is_of_month:
            return False
        found = self._unit()
        self.interval *= ordinals[0] if found else 1
        return found

    def _of_month(self) -> None:
        """of-month = "of the month" | ( "of" | "in" ) months."""
        if not any(self.words.take("of", which, "month") for which in ("the", "each", "every")):
            self._of_months()

    @_whole
    def _of_months(self) -> bool:
        return self.words.take_any("of", "in") is not None and self._months()

    @_whole
    def _more(self) -> bool:
        """More = [ "," ] ( on | at | in | end | begin | completion | leniency )."""
        self.words.take(",")
        lines = (
            self._on,
            self._at,
            self._in,
            self._end,
            self._begin,
            self._completion,
            self._leniency,
        )
        return any(line() for line in lines)

    @_whole
    def _on(self) -> bool:
        """On = "on" [ "the" ] ( weekdays | nth | month-day ), what the unit has."""
        if self.by_day or self.by_month_day or not self.words.take("on"):
            return False
        self.words.take("the")
        interval = self.interval
        if self.frequency is Frequency.WEEKLY:
            return self._weekdays()
        if self.frequency is Frequency.MONTHLY:
            return self._nth() and self.interval == interval and not self.by_month
        is_yearly = self.frequency is Frequency.YEARLY
        found = is_yearly and (self._month_day() or (self._nth() and bool(self.by_month)))
        self.frequency = Frequency.YEARLY
        return found

    @_whole
    def _at(self) -> bool:
        """At = [ [ "in the" ] day-part ] ( "at" | "@" ) times, or times that look like it."""
        is_part = (self.words.take("in", "the") or bool(self.by_day)) and self._day_part()
        is_marked = self.words.take_any("at", "@") is not None
        return self._take_times(is_marked=is_marked) or (is_part and not is_marked)

    def _take_times(self, *, is_marked: bool) -> bool:
        """Times = time { "," time }."""
        words, first = self.words, self.words.at
        found = tuple(
            words.take_list(
                lambda: words.take_time(
                    is_marked=is_marked and (words.at == first or self._is_a_time_of_several())
                )
            )
        )
        self.times = found or self.times
        return bool(found)

    def _is_a_time_of_several(self) -> bool:
        """Whether a number after a comma may be a time: not in `at 9, 2 times` or `at 9, 3 km`."""
        following = self.words.ahead(2)[1:]
        return not following or following[0] in _AFTER_TIMES

    @_whole
    def _in(self) -> bool:
        """In = "in" months."""
        self.by_month, known = tuple(self._taken_after_in()), self.by_month
        return bool(self.by_month) and not known

    def _taken_after_in(self) -> list[int]:
        return self.words.take_months() if self.words.take("in") else []

    def _end(self) -> bool:
        """End = until | times | span, once."""
        if self.until is not None or self.count is not None or self.lasts is not None:
            return False
        return self._until() or self._times() or self._span()

    @_whole
    def _until(self) -> bool:
        """Until = ( "until" | "till" | "ending" ) [ "on" ] date, inclusive; a month is not."""
        if self.words.take_any("until", "till", "til", "ending") is None:
            return False
        self.words.take("on")
        found = self.words.take_date(self.today)
        if found is not None:
            self.until = found[0] - timedelta(days=found[1])
        return found is not None

    @_whole
    def _times(self) -> bool:
        """Times = [ "for" ] number "times" | "once"."""
        self.words.take("for")
        if self.words.take("once"):
            self.count = 1
            return True
        self.count = self.words.take_number()
        return self.count is not None and self.words.take_any("time", "times") is not None

    @_whole
    def _span(self) -> bool:
        """Span = "for" number unit."""
        number = self.words.take_number() if self.words.take("for") else None
        unit = self.words.take_any(*UNITS)
        if number is None or unit is None:
            return False
        frequency, times = UNITS[unit]
        self.lasts = frequency, number * times
        return frequency >= Frequency.DAILY

    @_whole
    def _begin(self) -> bool:
        """Begin = ( "starting" | "beginning" | "from" ) [ "on" ] date."""
        if self.begins or self.words.take_any("starting", "beginning", "from") is None:
            return False
        self.words.take("on")
        found = self.words.take_date(self.today)
        self.begins = found and found[0]
        return found is not None

    @_whole
    def _completion(self) -> bool:
        """Completion = "after" ( "completion" | "completing it" | "I did it" | "it is done" )."""
        self.anchor = Anchor.COMPLETION
        return self.words.take("after") and any(self.words.take(*done) for done in _COMPLETIONS)

    @_whole
    def _leniency(self) -> bool:
        """Leniency = "or the last day" | "where there is one", for a day that months may lack."""
        if not self.by_month_day or self.month_end is not None:
            return False
        if self.words.take("or", "the", "last", "day"):
            self.month_end = MonthEnd.CLAMP
        elif self.words.take("where", "there", "is", "one"):
            self.month_end = MonthEnd.SKIP
        return self.month_end is not None
