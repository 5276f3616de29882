"""The rules that people pick from a menu."""

from enum import Enum

from domain.recurrence.rule import Frequency, RRule, Rule, Skip


class Preset(Enum):
    """The names are those of the public `RecurrencePreset`."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


def preset(name: Preset) -> Rule:
    """Returns the rule of a preset; its day and time come from the start.

    Who picks `monthly` on a 31st, or `yearly` on a 29 February, means every month and year: what
    such a one lacks is its last day. An explicit month-end policy wins.
    """
    frequency = Frequency[name.value]
    skip = Skip.BACKWARD if frequency >= Frequency.MONTHLY else None
    return Rule(pattern=RRule(frequency=frequency, skip=skip))
