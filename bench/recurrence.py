"""Next occurrences a second, against cronsim, croniter and dateutil, in one run.

The question is that of a worker: given a series and the instant of its last occurrence, when is the
next? Each library gets what it keeps between questions (a parsed rule, or for cronsim and croniter,
which keep none, the line), and the answer is an instant in UTC. Rounds alternate between the
libraries, and the best round of each counts.
"""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, reset_tzpath

from croniter import croniter
from cronsim import CronSim
from dateutil.rrule import rrulestr

from domain.recurrence.cron_text import parse_cron
from domain.recurrence.policies import policies_for
from domain.recurrence.rrule_text import parse_rrule
from domain.recurrence.rule import LocalStart, Rule
from domain.recurrence.schedule import occurrences

# A series of today is asked about a day of its first two years.
START = datetime(2027, 1, 4, 9)  # noqa: DTZ001 - local
YEARS = 2
QUESTIONS = 200
ROUNDS = 5
PAGE = 50
ZONE = "America/New_York"
LINES = ("0 9 * * *", "*/15 * * * *", "30 7 * * 1-5", "0 0 1 * *", "0 12 13 * 5")
RULES = (
    "FREQ=DAILY",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR",
    "FREQ=MONTHLY;BYDAY=-1FR",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=YEARLY;BYMONTH=3,9;BYMONTHDAY=1",
)
Answer = Callable[[datetime], object]


async def main() -> None:
    """Prints the figures."""
    reset_tzpath(())
    zone = ZoneInfo(ZONE)
    dice = random.Random(5)  # noqa: S311 - the same questions each time
    span = YEARS * 365 * 86_400
    first = START.replace(tzinfo=zone).astimezone(UTC)
    moments = [first + timedelta(seconds=dice.randrange(span)) for _ in range(QUESTIONS)]
    print("next occurrence after a moment, calls/s; in brackets how many times the library's")
    for line in LINES:
        rule = parse_cron(line)
        _compare(
            line,
            moments,
            _ours(rule, zone),
            {"cronsim": _cronsim(line, zone), "croniter": _croniter(line, zone)},
        )
    for text in RULES:
        rule = parse_rrule(text)
        _compare(text, moments, _ours(rule, zone), {"dateutil": _dateutil(text, zone)})
    print(f"a page of {PAGE} from the start, pages/s")
    for text in RULES:
        rule = parse_rrule(text)
        _compare(text, moments[:20], _our_page(rule, zone), {"dateutil": _page(text, zone)})


def _compare(name: str, moments: list[datetime], ours: Answer, theirs: dict[str, Answer]) -> None:
    answers = {"carillon": ours, **theirs}
    for moment in moments[:20]:
        expected = ours(moment)
        for library, answer in theirs.items():
            assert answer(moment) == expected, (name, library, moment)
    best = dict.fromkeys(answers, 0.0)
    for _ in range(ROUNDS):
        for library, answer in answers.items():
            begun = time.perf_counter()
            for moment in moments:
                answer(moment)
            best[library] = max(best[library], len(moments) / (time.perf_counter() - begun))
    others = ", ".join(
        f"{library} {rate:,.0f} ({best['carillon'] / rate:.1f}x)"
        for library, rate in best.items()
        if library != "carillon"
    )
    print(f"  {name:46} carillon {best['carillon']:9,.0f}, {others}")


def _ours(rule: Rule, zone: ZoneInfo) -> Answer:
    start, policies = LocalStart(START.date(), START.time()), policies_for(rule)
    return lambda moment: next(occurrences(rule, start, zone, policies, moment)).instant


def _our_page(rule: Rule, zone: ZoneInfo) -> Answer:
    start, policies = LocalStart(START.date(), START.time()), policies_for(rule)
    return lambda _: [
        slot.instant for slot in islice(occurrences(rule, start, zone, policies), PAGE)
    ]


def _cronsim(line: str, zone: ZoneInfo) -> Answer:
    return lambda moment: next(CronSim(line, moment.astimezone(zone))).astimezone(UTC)


def _croniter(line: str, zone: ZoneInfo) -> Answer:
    return lambda moment: croniter(line, moment.astimezone(zone)).get_next(datetime).astimezone(UTC)


def _dateutil(text: str, zone: ZoneInfo) -> Answer:
    rule = rrulestr(text, dtstart=START.replace(tzinfo=zone))
    return lambda moment: rule.after(moment.astimezone(zone)).astimezone(UTC)


def _page(text: str, zone: ZoneInfo) -> Answer:
    rule = rrulestr(text, dtstart=START.replace(tzinfo=zone))
    return lambda _: [local.astimezone(UTC) for local in islice(rule, PAGE)]
