"""What a rule leaves open, as explicit fields: gaps, overlaps, month ends, downtime."""

from dataclasses import dataclass
from enum import Enum

from domain.recurrence.rule import Cron, Rule, Skip


class Gap(Enum):
    """What becomes of a local time that does not exist."""

    RUN_AFTER = "RUN_AFTER"
    """At the end of the gap: 02:30 becomes 03:00, as Debian's cron does."""
    SHIFT = "SHIFT"
    """Later by the gap's length: 02:30 becomes 03:30 (RFC 5545, 3.3.5)."""
    SKIP = "SKIP"


class Overlap(Enum):
    """Which of two equal local times counts."""

    FIRST = "FIRST"
    LAST = "LAST"
    BOTH = "BOTH"


class MonthEnd(Enum):
    """What becomes of the 31st in a shorter month."""

    CLAMP = "CLAMP"
    SKIP = "SKIP"


class Anchor(Enum):
    """What the next occurrence counts from."""

    SCHEDULE = "SCHEDULE"
    COMPLETION = "COMPLETION"


class CatchUp(Enum):
    """Which slots that passed during downtime become occurrences."""

    ONE = "ONE"
    SKIP = "SKIP"
    ALL = "ALL"


class Open(Enum):
    """What happens when the next is due and the last is still open."""

    ALLOW = "ALLOW"
    WAIT = "WAIT"
    REPLACE = "REPLACE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What somebody chose; None leaves the default of the rule's kind."""

    gap: Gap | None = None
    overlap: Overlap | None = None
    month_end: MonthEnd | None = None
    anchor: Anchor | None = None
    catch_up: CatchUp | None = None
    open: Open | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What holds for a series: nothing is left open."""

    gap: Gap
    overlap: Overlap
    month_end: MonthEnd
    anchor: Anchor = Anchor.SCHEDULE
    catch_up: CatchUp = CatchUp.ONE
    open: Open = Open.ALLOW


def policies_for(rule: Rule, choices: Choices | None = None) -> Policies:
    """Returns the policies of a rule: what was chosen, else the defaults of its kind."""
    chosen = choices or Choices()
    gap, overlap, month_end = _defaults(rule)
    return Policies(
        gap=chosen.gap or gap,
        overlap=chosen.overlap or overlap,
        month_end=chosen.month_end or month_end,
        anchor=chosen.anchor or Anchor.SCHEDULE,
        catch_up=chosen.catch_up or CatchUp.ONE,
        open=chosen.open or Open.ALLOW,
    )


def _defaults(rule: Rule) -> tuple[Gap, Overlap, MonthEnd]:
    pattern = rule.pattern
    if isinstance(pattern, Cron):
        if pattern.is_wildcard:
            return Gap.SKIP, Overlap.BOTH, MonthEnd.SKIP
        return Gap.RUN_AFTER, Overlap.FIRST, MonthEnd.SKIP
    month_end = MonthEnd.CLAMP if pattern.skip is Skip.BACKWARD else MonthEnd.SKIP
    # An hour that exists twice has elapsed twice.
    overlap = Overlap.BOTH if pattern.is_elapsed else Overlap.FIRST
    return Gap.SHIFT, overlap, month_end


def skip_for(rule: Rule, policies: Policies) -> Skip:
    """Returns how dates that do not exist are treated; SKIP=FORWARD has no policy and stays."""
    pattern = rule.pattern
    if not isinstance(pattern, Cron) and pattern.skip is Skip.FORWARD:
        return Skip.FORWARD
    return Skip.BACKWARD if policies.month_end is MonthEnd.CLAMP else Skip.OMIT
