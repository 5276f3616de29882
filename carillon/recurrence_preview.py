"""`carillon recurrence preview`: when a rule, a crontab line or a phrase fires, and what it means.

With --batch, requests are JSON lines on standard input, answered one by one and in order.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import orjson

from domain.errors import Refused, invalid
from domain.recurrence.checks import check
from domain.recurrence.cron_text import parse_cron
from domain.recurrence.describe import describe
from domain.recurrence.local_text import local_time
from domain.recurrence.phrase import parse_phrase
from domain.recurrence.policies import Choices, Gap, MonthEnd, Overlap, Policies, policies_for
from domain.recurrence.rrule_text import local_times, parse_rrule
from domain.recurrence.rule import LocalStart, LocalTime, Rule
from domain.recurrence.schedule import occurrences
from domain.zone_names import zone_named

# What the command answers where nothing could be shown.
FAILED = 1
COUNT_DEFAULT = 10
# A page; whoever wants more asks again with the last one as `after`.
COUNT_MAX = 10_000
# One request; the longest rule has a tenth of it.
LINE_MAX_BYTES = 1 << 20
KINDS = ("rule", "cron", "phrase")
Value = TypeVar("Value", bound=Enum)

HELP = """
Prints one occurrence a line, as RFC 3339 with the zone's offset, and the rule's meaning on standard
error. Every option of --batch is a field of its JSON lines ("month_end"), besides "id", "rdate" and
"exdate" (lists of local times); it answers {"id", "occurrences"} or {"id", "error"} for each line.
"""


class Series(NamedTuple):
    """What is asked about."""

    rule: Rule
    start: LocalStart
    zone: ZoneInfo
    policies: Policies


def configure(parser: ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog = HELP
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    preview = actions.add_parser("preview", help="Print occurrences", epilog=HELP)
    what = preview.add_mutually_exclusive_group(required=True)
    what.add_argument("--rule", metavar="RRULE", help="such as FREQ=MONTHLY;BYDAY=-1FR")
    what.add_argument("--cron", metavar="EXPR", help="such as '30 7 * * mon-fri'")
    what.add_argument("--phrase", metavar="TEXT", help="such as 'every weekday at 9'")
    what.add_argument("--batch", action="store_true", help="JSON lines in, JSON lines out")
    preview.add_argument("--timezone", metavar="ZONE", help="such as Europe/Paris")
    preview.add_argument("--start", metavar="LOCAL", help="inclusive, such as 2027-01-31T09:00")
    preview.add_argument("--count", metavar="N", type=int, default=COUNT_DEFAULT)
    preview.add_argument("--after", metavar="T", help="exclusive, such as 2027-01-31T08:00:00Z")
    preview.add_argument("--gap", metavar=_names(Gap))
    preview.add_argument("--overlap", metavar=_names(Overlap))
    preview.add_argument("--month-end", metavar=_names(MonthEnd))


def run(arguments: Namespace) -> int:
    """Answers one request, or all those of standard input."""
    if arguments.batch:
        return batch(sys.stdin.buffer, sys.stdout.buffer)
    asked = {name: value for name, value in vars(arguments).items() if value is not None}
    try:
        series = _series(asked)
        shown = _shown(series, asked)
    except Refused as refused:
        for problem in refused.problems:
            sys.stderr.write(f"{'.'.join(problem.path)}: {problem.message}\n")
        return FAILED
    sys.stderr.write(f"{describe(series.rule, series.start, series.policies)}\n")
    sys.stdout.writelines(f"{occurrence}\n" for occurrence in shown)
    return 0


def batch(lines: BinaryIO, answers: BinaryIO) -> int:
    """Answers a stream of requests, each as soon as it is read; a bad line costs that line."""
    while line := lines.readline(LINE_MAX_BYTES + 1):
        if len(line) > LINE_MAX_BYTES:
            while line and not line.endswith(b"\n"):
                line = lines.readline(LINE_MAX_BYTES)
            said = _error(None, f"Write lines of at most {LINE_MAX_BYTES} bytes.")
        elif line.isspace():
            continue
        else:
            said = _answer(line)
        answers.write(orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE))
        answers.flush()
    return 0


def _answer(line: bytes) -> dict[str, object]:
    try:
        asked = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _error(None, f"This is no JSON: {error}.")
    if not isinstance(asked, dict):
        return _error(None, 'Write an object, such as {"id": 1, "cron": "@daily", ...}.')
    try:
        return {"id": asked.get("id"), **answer(asked)}
    except Refused as refused:
        text = "; ".join(f"{'.'.join(it.path)}: {it.message}" for it in refused.problems)
        return _error(asked.get("id"), text)


def answer(asked: Mapping[str, Any]) -> dict[str, object]:
    """Returns the occurrences that a request asks for.

    Raises:
        Refused: INVALID; it cannot be read, or the rule is refused.
    """
    return {"occurrences": _shown(_series(asked), asked)}


def _error(id: object, text: str) -> dict[str, object]:
    return {"id": id, "error": text}


def _series(asked: Mapping[str, Any]) -> Series:
    zone, start = _zone(asked.get("timezone")), _start(asked.get("start"))
    choices = Choices(
        gap=_chosen(asked, "gap", Gap),
        overlap=_chosen(asked, "overlap", Overlap),
        month_end=_chosen(asked, "month_end", MonthEnd),
    )
    rule, start, choices = _read(asked, start, choices)
    rule = Rule(
        pattern=rule.pattern,
        with_dates=_merged(rule.with_dates, asked, "rdate"),
        without_dates=_merged(rule.without_dates, asked, "exdate"),
    )
    return Series(rule, start, zone, policies_for(rule, choices))


def _read(
    asked: Mapping[str, Any], start: LocalStart, choices: Choices
) -> tuple[Rule, LocalStart, Choices]:
    given = {kind: asked[kind] for kind in KINDS if asked.get(kind) is not None}
    if len(given) != 1:
        raise invalid(
            'Give exactly one of rule, cron and phrase, such as "cron": "@daily".', "rule"
        )
    kind, text = given.popitem()
    if not isinstance(text, str):
        raise invalid('Write a text, such as "FREQ=DAILY".', kind)
    if kind == "rule":
        return parse_rrule(text), start, choices
    if kind == "cron":
        return parse_cron(text), start, choices
    phrase = parse_phrase(text, start.day)
    if phrase is None:
        raise invalid("No phrase is found; write one such as 'every weekday at 9'.", "phrase")
    chosen = Choices(
        gap=choices.gap,
        overlap=choices.overlap,
        month_end=choices.month_end or phrase.choices.month_end,
        anchor=phrase.choices.anchor,
    )
    return phrase.rule, phrase.start(start), chosen


def _shown(series: Series, asked: Mapping[str, Any]) -> list[str]:
    count = asked.get("count", COUNT_DEFAULT)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= COUNT_MAX:
        raise invalid(f"Write a number from 1 to {COUNT_MAX}, such as 10.", "count")
    after = _after(asked.get("after"))
    check(*series, floor=None)
    return [
        _rfc3339(slot.instant, series.zone) for slot in islice(occurrences(*series, after), count)
    ]


def _rfc3339(instant: datetime, zone: ZoneInfo) -> str:
    local = instant.astimezone(zone)
    # RFC 3339 has no seconds in offsets; local mean times before standard time do.
    if (local.utcoffset() or timedelta()) % timedelta(minutes=1):
        return instant.isoformat()
    return local.isoformat()


def _zone(name: object) -> ZoneInfo:
    if (zone := zone_named(name)) is None:
        raise invalid("Write an IANA time zone name, such as Europe/Paris.", "timezone")
    return zone


def _start(text: object) -> LocalStart:
    found = local_time(text) if isinstance(text, str) else None
    if found is None or found.fold is not None:
        raise invalid("Write a local time without offset, such as 2027-01-31T09:00.", "start")
    return LocalStart(found.day, found.at)


def _after(text: object) -> datetime | None:
    if text is None:
        return None
    try:
        after = datetime.fromisoformat(text if isinstance(text, str) else "")
        if after.tzinfo is not None:
            return after.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise invalid("Write an instant as RFC 3339 does, such as 2027-01-31T08:00:00Z.", "after")


def _chosen(asked: Mapping[str, Any], name: str, policy: type[Value]) -> Value | None:
    text = asked.get(name)
    if text is None:
        return None
    key = str(text).upper().replace("-", "_")
    if key not in policy.__members__:
        raise invalid(f"Write one of {_names(policy)}.", name)
    return policy[key]


def _names(policy: type[Enum]) -> str:
    return "|".join(member.name.lower().replace("_", "-") for member in policy)


def _merged(
    known: tuple[LocalTime, ...], asked: Mapping[str, Any], name: str
) -> tuple[LocalTime, ...]:
    texts = asked.get(name)
    if texts is None:
        return known
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise invalid('Write a list of local times, such as ["2027-01-31T09:00"].', name)
    try:
        return tuple({*known, *local_times(texts)})
    except ValueError as error:
        raise invalid(str(error), name) from error
