"""Three libraries as oracles, by random rules in 26 zones; where they differ, who is right and why.

dateutil knows nothing of gaps and overlaps, so it is asked for local times, and a few lines here
(`in_zone`) make instants of them with nothing but zoneinfo. Each difference that the random rules
avoid is a case below, which shows both answers: it fails when the library changes its mind.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from cronsim import CronSim, CronSimError
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.errors import Refused
from domain.recurrence.policies import policies_for
from domain.recurrence.rule import LocalStart
from domain.recurrence.schedule import occurrences
from domain.recurrence.slots import Slot
from tests.recurrences import (
    changes,
    cron_lines,
    instants,
    local_times,
    places,
    rrules,
    rule_of,
    slots,
)

PAGE = 30
DAYS = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
TIMES = ("HOURLY", "MINUTELY", "SECONDLY")

# Where cronsim stumbles over clock changes that are not of whole hours; see below.
STUMBLING = {"Australia/Lord_Howe", "America/St_Johns"}


@cache
def lost_midnights(zone: ZoneInfo) -> list[datetime]:
    """Returns the days on which the zone's clocks skip midnight; cronsim runs there, see below."""
    days = (day + timedelta(days=ahead) for day in changes(zone) for ahead in range(2))
    midnights = (day.replace(tzinfo=zone) for day in days)
    return [
        midnight.replace(tzinfo=None)
        for midnight in midnights
        if midnight.astimezone(UTC).astimezone(zone).hour != 0
    ]


def in_zone(locals: Iterable[datetime], zone: ZoneInfo) -> list[datetime]:
    """Returns instants by RFC 5545, 3.3.5: the first of two, and the offset before a gap."""
    return sorted({local.replace(tzinfo=zone).astimezone(UTC) for local in locals})


def ours(text: str, start: datetime, zone: ZoneInfo) -> list[Slot]:
    """Returns our first slots; none where the rule is refused as one that never fires."""
    rule = rule_of(text)
    begin = LocalStart(start.date(), start.time())
    try:
        return list(islice(occurrences(rule, begin, zone, policies_for(rule)), PAGE))
    except Refused:
        return []


def theirs(text: str, start: datetime, last: datetime) -> list[datetime]:
    """Returns dateutil's local times up to one of ours, so that it never searches for minutes."""
    found = []
    for local in rrulestr(text, dtstart=start).xafter(start, inc=True):
        if local <= last:
            found.append(local)
        if local >= last:
            break
    return found


def starts_its_week(text: str, start: datetime) -> datetime:
    """Returns the start, or the first day of its week where BYSETPOS needs whole weeks.

    dateutil begins its first set with the start; RFC 5545, 3.3.10: "Each BYSETPOS value corresponds
    to the nth occurrence within the set of recurrence instances specified by the rule", which
    DTSTART does not cut.
    """
    if "WEEKLY" not in text or "BYSETPOS" not in text:
        return start
    first = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}
    week_start = first[text.partition("WKST=")[2][:2]] if "WKST=" in text else 0
    return start - timedelta(days=(start.weekday() - week_start) % 7)


@settings(max_examples=300, deadline=None)
@given(text=rrules(DAYS), place=places())
def test_rules_of_days_are_those_of_dateutil_in_every_zone(
    text: str, place: tuple[ZoneInfo, datetime]
) -> None:
    zone, start = place
    start = starts_its_week(text, start)
    found = ours(text, start, zone)
    assume(found)
    last = max(slot.local for slot in found)

    expected = in_zone(theirs(text, start, last), zone)

    assert [slot.instant for slot in found] == expected[: len(found)]


@settings(max_examples=150, deadline=None)
@given(text=rrules(TIMES), start=local_times)
def test_rules_of_hours_are_those_of_dateutil_where_clocks_never_change(
    text: str, start: datetime
) -> None:
    found = [slot.local for slot in ours(text, start, ZoneInfo("UTC"))]
    # dateutil tries second by second what we jump over.
    assume(found and found[-1] - start < timedelta(days=3))

    assert found == theirs(text, start, found[-1])


@settings(max_examples=100, deadline=None)
@given(
    frequency=st.sampled_from([("HOURLY", 3_600), ("MINUTELY", 60), ("SECONDLY", 1)]),
    interval=st.integers(1, 5_000),
    place=places(),
)
def test_hours_elapse_alike_in_every_zone(
    frequency: tuple[str, int], interval: int, place: tuple[ZoneInfo, datetime]
) -> None:
    zone, start = place
    rule = rule_of(f"FREQ={frequency[0]};INTERVAL={interval}")
    begin = LocalStart(start.date(), start.time())

    found = list(islice(occurrences(rule, begin, zone, policies_for(rule)), PAGE))

    step = timedelta(seconds=interval * frequency[1])
    first = start.replace(tzinfo=zone).astimezone(UTC)
    assert [slot.instant for slot in found] == [first + step * n for n in range(PAGE)]


def our_page(text: str, zone: ZoneInfo, after: datetime) -> list[datetime]:
    rule = rule_of(text)
    begin = LocalStart(after.date() - timedelta(days=2), None)
    found = occurrences(rule, begin, zone, policies_for(rule), after)
    return [slot.instant for slot in islice(found, PAGE)]


@settings(max_examples=300, deadline=None)
@given(text=cron_lines(), place=places())
def test_crontab_lines_are_those_of_cronsim_in_every_zone(
    text: str, place: tuple[ZoneInfo, datetime]
) -> None:
    zone, start = place
    assume(zone.key not in STUMBLING)
    after = start.replace(tzinfo=zone).astimezone(UTC)
    try:
        expected = [
            it.astimezone(UTC) for it in islice(CronSim(text, after.astimezone(zone)), PAGE)
        ]
        found = our_page(text, zone, after)
    except (CronSimError, Refused):
        # Both refuse 30 February; we also what needs a 31st in months of 30 days.
        with pytest.raises(Refused):
            our_page(text, zone, after)
        return

    is_wildcard = text.startswith("*") or text.split()[1].startswith("*")
    last = max(*found, *expected).astimezone(zone).replace(tzinfo=None)
    assume(not is_wildcard or not any(start < day < last for day in lost_midnights(zone)))
    assert found == expected


@settings(max_examples=150, deadline=None)
@given(text=cron_lines(day_steps=False), place=places())
def test_crontab_lines_are_those_of_croniter_between_clock_changes(
    text: str, place: tuple[ZoneInfo, datetime]
) -> None:
    zone, start = place
    start += timedelta(days=3)
    ahead = [day for day in changes(zone) if day > start - timedelta(days=3)]
    end = min([*ahead, start + timedelta(days=90)]) - timedelta(days=2)
    assume(start < end)
    after = start.replace(tzinfo=zone).astimezone(UTC)
    last = end.replace(tzinfo=zone).astimezone(UTC)
    try:
        found = [instant for instant in our_page(text, zone, after) if instant <= last]
    except Refused:
        return
    oracle = croniter(text, after.astimezone(zone), max_years_between_matches=2)
    expected = [oracle.get_next(datetime).astimezone(UTC) for _ in found]

    assert found == expected


@pytest.mark.parametrize(
    "_case, rule, start, dateutils, our",
    [
        # RFC 5545, 3.3.10: "Information, not contained in the rule, necessary to determine the
        # various recurrence instance start time and dates are derived from the Start Time
        # (DTSTART)", here the weekday. dateutil takes all seven days of the week.
        (
            "a week keeps its day",
            "FREQ=YEARLY;BYWEEKNO=20",
            "2027-05-19",
            "2027-05-19 2027-05-20",
            "2027-05-19 2028-05-17",
        ),
        # RFC 5545, 3.3.10: BYSETPOS "operates on a set of recurrence instances in one interval of
        # the recurrence rule. For example, in a WEEKLY rule, the interval would be one week": all
        # of it. 2027-01-07 is a Thursday, and dateutil's first week begins with it.
        (
            "whole weeks",
            "FREQ=WEEKLY;BYDAY=MO,FR;BYSETPOS=1",
            "2027-01-07",
            "2027-01-08 2027-01-11",
            "2027-01-11 2027-01-18",
        ),
        # RFC 5545, 3.3.10: BYWEEKNO means weeks "of the year [...] according to week numbering as
        # defined in ISO.8601.2004": week 1 of 2025 begins on 30 December 2024 and is one week of
        # 2025's interval. dateutil cuts it in two at New Year.
        (
            "the first day of week 1",
            "FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO,WE;BYSETPOS=1",
            "2024-06-01",
            "2025-01-01 2027-01-04",
            "2024-12-30 2025-12-29",
        ),
        (
            "week 1 of every other year, from 2023",
            "FREQ=YEARLY;INTERVAL=2;BYWEEKNO=1;BYDAY=MO",
            "2023-06-01",
            "2025-12-29 2027-01-04",
            "2024-12-30 2027-01-04",
        ),
        # Week -53 is week 1 where a year has 53, as 2026: it begins on 29 December 2025.
        (
            "weeks from the end",
            "FREQ=YEARLY;BYWEEKNO=-53;BYDAY=TU,SA",
            "2025-06-01",
            "2026-01-03 2032-01-03",
            "2025-12-30 2026-01-03",
        ),
        # RFC 5545, 3.3.10: UNTIL "bounds the recurrence rule in an inclusive manner": a day is all
        # of it, where dateutil takes its midnight.
        (
            "until a day",
            "FREQ=DAILY;UNTIL=20270102",
            "2027-01-01",
            "2027-01-01",
            "2027-01-01 2027-01-02",
        ),
    ],
)
def test_where_dateutil_differs(
    _case: str, rule: str, start: str, dateutils: str, our: str
) -> None:
    begin = datetime.fromisoformat(f"{start}T09:00")

    found = [f"{local:%Y-%m-%d}" for local in islice(rrulestr(rule, dtstart=begin), 2)]

    assert " ".join(found) == dateutils
    ours = [f"{slot.local:%Y-%m-%d}" for slot in islice(slots(rule, f"{start}T09:00"), 2)]
    assert " ".join(ours) == our


def test_dateutil_returns_a_time_that_does_not_exist_and_counts_hours_by_the_clock() -> None:
    zone = ZoneInfo("America/New_York")
    gap = datetime(2027, 3, 14, 2, 30, tzinfo=zone)
    midnight = datetime(2027, 3, 14, tzinfo=zone)

    assert (
        next(iter(rrulestr("FREQ=DAILY", dtstart=gap))).isoformat() == "2027-03-14T02:30:00-05:00"
    )
    # Six hours after midnight it is 07:00: one hour was left out. Design, section 7.
    sixth = next(iter(rrulestr("FREQ=HOURLY;INTERVAL=6", dtstart=midnight).xafter(midnight)))
    assert (sixth.hour, sixth - midnight) == (6, timedelta(hours=6))
    assert sixth.astimezone(UTC) - midnight.astimezone(UTC) == timedelta(hours=5)
    ours = list(islice(slots("FREQ=HOURLY;INTERVAL=6", "2027-03-14T00:00", zone.key), 2))
    assert ours[1].local.hour == 7


def test_dateutil_takes_an_interval_of_nothing_and_never_moves() -> None:
    # RFC 5545, 3.3.10: INTERVAL is "a positive integer".
    same = list(islice(rrulestr("FREQ=DAILY;INTERVAL=0", dtstart=datetime(2027, 1, 1)), 3))  # noqa: DTZ001 - local

    assert len(set(same)) == 1
    with pytest.raises(Refused, match="INTERVAL"):
        rule_of("FREQ=DAILY;INTERVAL=0")


@pytest.mark.parametrize(
    "_case, line, zone, after, cronsims, our",
    [
        # crontab(5): steps count "through the range", and 5-5 holds the 5th alone. cronsim goes on
        # to the end of the month.
        (
            "steps through one day",
            "0 12 5-5/2 * *",
            "UTC",
            "2027-01-01T00:00",
            "2027-01-05T12:00+00:00 2027-01-07T12:00+00:00",
            "2027-01-05T12:00+00:00 2027-02-05T12:00+00:00",
        ),
        # Half an hour comes twice on 4 April 2027; cronsim's whole hours step over 10:00.
        (
            "half an hour",
            "0 */10 * * *",
            "Australia/Lord_Howe",
            "2027-04-04T00:00",
            "2027-04-04T20:00+10:30 2027-04-05T00:00+10:30",
            "2027-04-04T10:00+10:30 2027-04-04T20:00+10:30",
        ),
        # Clocks went back at 00:01 to 23:01; cronsim returns the first midnight for ever.
        (
            "midnight twice",
            "0 */2 * * *",
            "America/St_Johns",
            "2010-11-06T23:00",
            "2010-11-07T00:00-02:30 2010-11-07T00:00-02:30",
            "2010-11-07T00:00-02:30 2010-11-07T00:00-03:30",
        ),
        # Midnight does not exist on 21 March 2012, and the first even hour is 02:00.
        (
            "a lost midnight",
            "0 */2 * * 3",
            "Asia/Tehran",
            "2012-03-20T12:00",
            "2012-03-21T00:00+03:30 2012-03-21T02:00+04:30",
            "2012-03-21T02:00+04:30 2012-03-21T04:00+04:30",
        ),
        # crontab(5) has five fields, and cronsim gives a sixth another meaning for clock changes;
        # minute and hour are as fixed with seconds before them as without.
        (
            "seconds in a gap",
            "0 30 2 * * *",
            "America/New_York",
            "2027-03-14T00:00",
            "2027-03-15T02:30-04:00 2027-03-16T02:30-04:00",
            "2027-03-14T03:00-04:00 2027-03-15T02:30-04:00",
        ),
    ],
)
def test_where_cronsim_differs(
    _case: str, line: str, zone: str, after: str, cronsims: str, our: str
) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))

    found = [it.isoformat(timespec="minutes") for it in islice(CronSim(line, moment), 2)]

    assert " ".join(found) == cronsims
    found = instants(slots(line, after, zone, after=moment.isoformat()), zone, 2)
    assert " ".join(found) == our


@pytest.mark.parametrize(
    "_case, line, zone, after, croniters, our",
    [
        # Debian's crontab(5): "If both fields are restricted (i.e., don't contain the "*"
        # character), the command will be run when either field matches"; entry.c looks at the
        # first character. croniter lets either match beside */2.
        (
            "a field that begins with *",
            "0 12 */2 * 1",
            "UTC",
            "2027-01-01T00:00",
            "2027-01-01T12:00+00:00 2027-01-03T12:00+00:00",
            "2027-01-11T12:00+00:00 2027-01-25T12:00+00:00",
        ),
        # cron(8): "running the same job twice is avoided".
        (
            "fixed in an overlap",
            "30 1 * * *",
            "America/New_York",
            "2027-11-07T00:00",
            "2027-11-07T01:30-04:00 2027-11-07T01:30-05:00",
            "2027-11-07T01:30-04:00 2027-11-08T01:30-05:00",
        ),
        # crontab(5): the 5th is all that 5-5 holds; croniter drops the range.
        (
            "steps through one day",
            "0 12 5-5/2 * *",
            "UTC",
            "2027-01-01T00:00",
            "2027-01-01T12:00+00:00 2027-01-03T12:00+00:00",
            "2027-01-05T12:00+00:00 2027-02-05T12:00+00:00",
        ),
        # 02:00 does not exist on 3 October 2027, and a line by wildcard goes by the clock.
        (
            "half an hour",
            "0 */2 * * *",
            "Australia/Lord_Howe",
            "2027-10-03T01:00",
            "2027-10-03T02:30+11:00 2027-10-03T04:00+11:00",
            "2027-10-03T04:00+11:00 2027-10-03T06:00+11:00",
        ),
    ],
)
def test_where_croniter_differs(
    _case: str, line: str, zone: str, after: str, croniters: str, our: str
) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    oracle = croniter(line, moment)

    found = [oracle.get_next(datetime).isoformat(timespec="minutes") for _ in range(2)]

    assert " ".join(found) == croniters
    found = instants(slots(line, after, zone, after=moment.isoformat()), zone, 2)
    assert " ".join(found) == our
