"""The examples of RFC 5545, 3.8.5.3 and of RFC 7529, 5, each as the document prints it."""

from itertools import islice

import pytest

from domain.recurrence.slots import Slot
from tests.recurrences import slots

NEW_YORK = "America/New_York"


def days(found: list[Slot]) -> str:
    """Returns the dates as the document writes them: months, and the days in each."""
    months: dict[str, list[str]] = {}
    for slot in found:
        months.setdefault(f"{slot.local:%Y-%m}", []).append(str(slot.local.day))
    return " ".join(f"{month}:{','.join(numbers)}" for month, numbers in months.items())


@pytest.mark.parametrize(
    "rule, start, expected",
    [
        ("FREQ=DAILY;COUNT=10", "1997-09-02", "1997-09:2,3,4,5,6,7,8,9,10,11"),
        ("FREQ=DAILY;INTERVAL=2", "1997-09-02", "1997-09:2,4,6,8,10,12"),
        ("FREQ=DAILY;INTERVAL=10;COUNT=5", "1997-09-02", "1997-09:2,12,22 1997-10:2,12"),
        ("FREQ=WEEKLY;COUNT=10", "1997-09-02", "1997-09:2,9,16,23,30 1997-10:7,14,21,28 1997-11:4"),
        (
            "FREQ=WEEKLY;INTERVAL=2;WKST=SU",
            "1997-09-02",
            "1997-09:2,16,30 1997-10:14,28 1997-11:11",
        ),
        (
            "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH",
            "1997-09-02",
            "1997-09:2,4,9,11,16,18,23,25,30 1997-10:2",
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
            "1997-09-01",
            "1997-09:1,3,5,15,17,19,29 1997-10:1,3,13,15,17,27,29,31 "
            "1997-11:10,12,14,24,26,28 1997-12:8,10,12,22",
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
            "1997-09-02",
            "1997-09:2,4,16,18,30 1997-10:2,14,16",
        ),
        (
            "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
            "1997-09-05",
            "1997-09:5 1997-10:3 1997-11:7 1997-12:5 1998-01:2 1998-02:6 1998-03:6 1998-04:3 "
            "1998-05:1 1998-06:5",
        ),
        (
            "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
            "1997-09-07",
            "1997-09:7,28 1997-11:2,30 1998-01:4,25 1998-03:1,29 1998-05:3,31",
        ),
        (
            "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
            "1997-09-22",
            "1997-09:22 1997-10:20 1997-11:17 1997-12:22 1998-01:19 1998-02:16",
        ),
        (
            "FREQ=MONTHLY;BYMONTHDAY=-3",
            "1997-09-28",
            "1997-09:28 1997-10:29 1997-11:28 1997-12:29 1998-01:29 1998-02:26",
        ),
        (
            "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
            "1997-09-30",
            "1997-09:30 1997-10:1,31 1997-11:1,30 1997-12:1,31 1998-01:1,31 1998-02:1",
        ),
        (
            "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
            "1997-09-10",
            "1997-09:10,11,12,13,14,15 1999-03:10,11,12,13",
        ),
        (
            "FREQ=YEARLY;COUNT=4;BYMONTH=6,7",
            "1997-06-10",
            "1997-06:10 1997-07:10 1998-06:10 1998-07:10",
        ),
        (
            "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
            "1997-01-01",
            "1997-01:1 1997-04:10 1997-07:19 2000-01:1 2000-04:9 2000-07:18 2003-01:1 2003-04:10 "
            "2003-07:19 2006-01:1",
        ),
        ("FREQ=YEARLY;BYDAY=20MO;COUNT=3", "1997-05-19", "1997-05:19 1998-05:18 1999-05:17"),
        (
            "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;COUNT=3",
            "1997-05-12",
            "1997-05:12 1998-05:11 1999-05:17",
        ),
        (
            "FREQ=YEARLY;BYMONTH=3;BYDAY=TH;COUNT=11",
            "1997-03-13",
            "1997-03:13,20,27 1998-03:5,12,19,26 1999-03:4,11,18,25",
        ),
        (
            "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;COUNT=5",
            "1997-09-02",
            "1998-02:13 1998-03:13 1998-11:13 1999-08:13 2000-10:13",
        ),
        (
            "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13;COUNT=10",
            "1997-09-13",
            "1997-09:13 1997-10:11 1997-11:8 1997-12:13 1998-01:10 1998-02:7 1998-03:7 1998-04:11 "
            "1998-05:9 1998-06:13",
        ),
        (
            "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8;COUNT=3",
            "1996-11-05",
            "1996-11:5 2000-11:7 2004-11:2",
        ),
        (
            "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
            "1997-09-04",
            "1997-09:4 1997-10:7 1997-11:6",
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2;COUNT=7",
            "1997-09-29",
            "1997-09:29 1997-10:30 1997-11:27 1997-12:30 1998-01:29 1998-02:26 1998-03:30",
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
            "1997-08-05",
            "1997-08:5,10,19,24",
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
            "1997-08-05",
            "1997-08:5,17,19,31",
        ),
        (
            "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
            "2007-01-15",
            "2007-01:15,30 2007-02:15 2007-03:15,30",
        ),
        (
            "RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD;COUNT=4",
            "2014-01-31",
            "2014-01:31 2014-02:28 2014-03:31 2014-04:30",
        ),
        (
            "RSCALE=GREGORIAN;FREQ=YEARLY;SKIP=FORWARD;COUNT=5",
            "2012-02-29",
            "2012-02:29 2013-03:1 2014-03:1 2015-03:1 2016-02:29",
        ),
    ],
)
def test_days(rule: str, start: str, expected: str) -> None:
    count = sum(len(month.split(",")) for month in expected.split())

    found = list(islice(slots(rule, f"{start}T09:00", NEW_YORK), count + ("COUNT" in rule)))

    assert days(found) == expected
    assert {slot.text[11:] for slot in found} == {"09:00"}


@pytest.mark.parametrize(
    "rule, expected",
    [
        ("FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T210000Z", "09:00 12:00 15:00"),
        ("FREQ=MINUTELY;INTERVAL=15;COUNT=6", "09:00 09:15 09:30 09:45 10:00 10:15"),
        ("FREQ=MINUTELY;INTERVAL=90;COUNT=4", "09:00 10:30 12:00 13:30"),
        ("FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,20,40;COUNT=6", "09:00 09:20 09:40 10:00 10:20 10:40"),
    ],
)
def test_times(rule: str, expected: str) -> None:
    found = list(slots(rule, "1997-09-02T09:00", NEW_YORK))

    assert {slot.local.day for slot in found} == {2}
    assert " ".join(slot.text[11:] for slot in found) == expected


def test_minutes_of_the_day_are_the_same_by_either_frequency() -> None:
    hours = ",".join(map(str, range(9, 17)))
    daily = slots(f"FREQ=DAILY;BYHOUR={hours};BYMINUTE=0,20,40", "1997-09-02T09:00", NEW_YORK)
    minutely = slots(f"FREQ=MINUTELY;INTERVAL=20;BYHOUR={hours}", "1997-09-02T09:00", NEW_YORK)

    assert list(islice(daily, 2_000)) == list(islice(minutely, 2_000))
