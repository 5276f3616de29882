"""What tests of the engine share: short ways to ask it, zones, and rules by Hypothesis."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from domain.recurrence.cron_text import parse_cron
from domain.recurrence.policies import Choices, policies_for
from domain.recurrence.rrule_text import parse_rrule
from domain.recurrence.rule import WEEKDAYS, LocalStart, Rule
from domain.recurrence.schedule import occurrences
from domain.recurrence.slots import Slot

MINUTE = timedelta(minutes=1)
# Half hours, quarters, no offset at all, midnight changes, two hours, a lost day, both ends.
ZONES = tuple(
    ZoneInfo(name)
    for name in (
        "UTC",
        "Africa/Cairo",
        "Africa/Casablanca",
        "America/Havana",
        "America/Los_Angeles",
        "America/New_York",
        "America/Santiago",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Antarctica/Casey",
        "Antarctica/Troll",
        "Asia/Gaza",
        "Asia/Kathmandu",
        "Asia/Kolkata",
        "Asia/Tehran",
        "Asia/Tokyo",
        "Australia/Lord_Howe",
        "Australia/Sydney",
        "Europe/Dublin",
        "Europe/London",
        "Europe/Moscow",
        "Europe/Paris",
        "Pacific/Apia",
        "Pacific/Auckland",
        "Pacific/Chatham",
        "Pacific/Kiritimati",
    )
)


def local_start(text: str) -> LocalStart:
    """Returns the start of `2027-01-31` or `2027-01-31T09:00`."""
    day, _, at = text.partition("T")
    return LocalStart(date.fromisoformat(day), time.fromisoformat(at) if at else None)


def rule_of(text: str) -> Rule:
    """Returns the rule of an RRULE or a crontab line."""
    return parse_rrule(text) if "FREQ" in text else parse_cron(text)


def slots(
    text: str,
    start: str,
    zone: str = "UTC",
    choices: Choices | None = None,
    after: str | None = None,
) -> Iterator[Slot]:
    """Yields the slots of a rule given as text."""
    rule = rule_of(text)
    moment = None if after is None else datetime.fromisoformat(after)
    policies = policies_for(rule, choices)
    return occurrences(rule, local_start(start), ZoneInfo(zone), policies, moment)


def texts(found: Iterator[Slot], count: int) -> list[str]:
    """Returns the texts of the first slots."""
    return [slot.text for slot in islice(found, count)]


def instants(found: Iterator[Slot], zone: str, count: int) -> list[str]:
    """Returns the first instants in a zone, to the minute, with its offset."""
    times = (slot.instant.astimezone(ZoneInfo(zone)) for slot in islice(found, count))
    return [time.isoformat(timespec="minutes") for time in times]


def _numbers(low: int, high: int, most: int = 4) -> st.SearchStrategy[str]:
    numbers = st.lists(st.integers(low, high), min_size=1, max_size=most, unique=True)
    return numbers.map(lambda found: ",".join(map(str, found)))


def _signed(high: int) -> st.SearchStrategy[str]:
    numbers = st.integers(-high, high).filter(bool)
    return st.lists(numbers, min_size=1, max_size=3, unique=True).map(
        lambda found: ",".join(map(str, found))
    )


def _days(most: int = 4) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=most, unique=True).map(",".join)


@st.composite
def _nth_days(draw: st.DrawFn, highest: int) -> str:
    numbers = draw(_signed(highest)).split(",")
    return ",".join(f"{number}{draw(st.sampled_from(WEEKDAYS))}" for number in numbers)


@st.composite
def rrules(draw: st.DrawFn, frequencies: tuple[str, ...]) -> str:
    """Returns the text of a rule that RFC 5545 allows, without BYWEEKNO and an end."""
    frequency = draw(st.sampled_from(frequencies))
    is_elapsed = frequency in {"HOURLY", "MINUTELY", "SECONDLY"}
    parts = {
        "FREQ": st.just(frequency),
        "INTERVAL": st.sampled_from(["1", "1", "1", "2", "3", "4", "5", "7", "13"]),
    }
    optional = {
        "BYMONTH": _numbers(1, 12),
        "BYDAY": _days(),
        "BYHOUR": _numbers(0, 23),
        "BYMINUTE": _numbers(0, 59),
        "BYSECOND": _numbers(0, 59),
        "WKST": st.sampled_from(WEEKDAYS),
    }
    if frequency != "WEEKLY":
        optional["BYMONTHDAY"] = _signed(31)
    if frequency == "YEARLY" or is_elapsed:
        optional["BYYEARDAY"] = _signed(366)
    if frequency in {"MONTHLY", "YEARLY"}:
        optional["BYDAY"] = _days() | _nth_days(5)
    chosen = draw(st.lists(st.sampled_from(sorted(optional)), max_size=3, unique=True))
    texts = {
        name: draw(part) for name, part in {**parts, **{n: optional[n] for n in chosen}}.items()
    }
    if any(name.startswith("BY") for name in texts) and draw(st.booleans()):
        texts["BYSETPOS"] = draw(_signed(6))
    return ";".join(f"{name}={text}" for name, text in texts.items())


@st.composite
def cron_fields(draw: st.DrawFn, low: int, high: int, *, steps: bool = True) -> str:
    """Returns a field of a crontab line, in the words that all its readers share."""
    kind = draw(st.sampled_from(["*", "*", "/" if steps else "*", "n", ",", "-"]))
    if kind == "/":
        return f"*/{draw(st.integers(1, high))}"
    if kind == ",":
        return draw(_numbers(low, high))
    if kind == "-":
        first = draw(st.integers(low, high - 1))
        return f"{first}-{draw(st.integers(first + 1, high))}"
    return kind if kind == "*" else str(draw(st.integers(low, high)))


@st.composite
def cron_lines(draw: st.DrawFn, *, day_steps: bool = True) -> str:
    """Returns a crontab line; some of them never fire."""
    fields = (
        cron_fields(0, 59),
        cron_fields(0, 23),
        cron_fields(1, 31, steps=day_steps),
        cron_fields(1, 12),
        cron_fields(0, 6, steps=day_steps),
    )
    return " ".join(draw(field) for field in fields)


local_times = st.datetimes(datetime(2009, 1, 1), datetime(2032, 1, 1)).map(  # noqa: DTZ001 - local
    lambda local: local.replace(second=0, microsecond=0)
)


@cache
def changes(zone: ZoneInfo) -> tuple[datetime, ...]:
    """Returns the days from 2009 to 2031 on which the zone's clocks change, as local midnights."""
    first = datetime(2009, 1, 1, tzinfo=UTC)
    days = [first + timedelta(days=day) for day in range(23 * 365)]
    return tuple(
        day.replace(tzinfo=None)
        for day, following in pairwise(days)
        if day.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset()
    )


@st.composite
def places(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    """Returns a zone and a local time, more often than not shortly before its clocks change."""
    zone = draw(st.sampled_from(ZONES))
    near = changes(zone)
    if not near or draw(st.integers(0, 3)) == 0:
        return zone, draw(local_times)
    ahead = timedelta(minutes=draw(st.integers(-1_440, 2_880) | st.integers(0, 60 * 24 * 40)))
    return zone, draw(st.sampled_from(near)) - ahead
