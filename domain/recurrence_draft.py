"""A recurrence as somebody asks for it, and the one that it means."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from typing import TypeVar
from zoneinfo import ZoneInfo

from domain.due import Due
from domain.errors import Refused, invalid
from domain.recurrence.checks import check
from domain.recurrence.cron_text import parse_cron
from domain.recurrence.policies import Choices, policies_for
from domain.recurrence.presets import Preset, preset
from domain.recurrence.rrule_text import parse_rrule
from domain.recurrence.rule import Cron, LocalStart, Rule
from domain.recurrence.slots import Slot
from domain.series import Recurrence

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrenceDraft:
    """Exactly one of rule, cron and preset; without a zone the user's own is meant.

    Without a start it is what the task is due, else today; where a rule of hours or less, or a
    crontab line, needs a time to count from, the present one.
    """

    rule: str | None = None
    cron: str | None = None
    preset: Preset | None = None
    start: LocalStart | None = None
    zone: ZoneInfo | None = None
    choices: Choices = field(default_factory=Choices)


def recurrence_of(
    draft: RecurrenceDraft, *, due: Due | None, own_zone: str, now: datetime, path: tuple[str, ...]
) -> tuple[Recurrence, Slot]:
    """Returns what the draft means, and its first slot.

    Raises:
        Refused: INVALID, below `path`; the rule cannot be read, contradicts itself, fires too
            often, or never.
    """
    rule = within(path, lambda: _rule(draft))
    zone = draft.zone or ZoneInfo(own_zone)
    recurrence = Recurrence(
        rule=rule,
        start=draft.start or _start(rule, due, now.astimezone(zone)),
        zone=zone,
        policies=policies_for(rule, draft.choices),
    )
    return recurrence, within(path, lambda: first_slot(recurrence))


def first_slot(recurrence: Recurrence) -> Slot:
    """Returns the first slot of a recurrence that may be kept; see `check`."""
    policies = recurrence.policies
    return check(recurrence.rule, recurrence.start, recurrence.zone, policies)


def within(path: tuple[str, ...], find: Callable[[], T]) -> T:
    """Returns what is found; a refusal's problems are told below `path`."""
    try:
        return find()
    except Refused as refused:
        below = (replace(one, path=(*path, *one.path)) for one in refused.problems)
        raise Refused(*below) from refused


def _rule(draft: RecurrenceDraft) -> Rule:
    given = [one for one in (draft.rule, draft.cron, draft.preset) if one is not None]
    if len(given) != 1:
        message = 'Give exactly one of rule, cron and preset, such as rule: "FREQ=DAILY".'
        raise invalid(message)
    if draft.rule is not None:
        return parse_rrule(draft.rule)
    if draft.cron is not None:
        return parse_cron(draft.cron)
    return preset(Preset(draft.preset))


def _start(rule: Rule, due: Due | None, now: datetime) -> LocalStart:
    """Returns where a series starts that does not say so; `now` is local."""
    if due is not None:
        if due.at is None:
            return LocalStart(due.day, None)
        local = due.instant.astimezone(now.tzinfo)
        return LocalStart(local.date(), local.time())
    pattern = rule.pattern
    counts = isinstance(pattern, Cron) or pattern.is_elapsed
    return LocalStart(now.date(), time(now.hour, now.minute, now.second) if counts else None)
