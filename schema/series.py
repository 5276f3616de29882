"""Recurring tasks: when they recur, and what is decided for every case."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ForwardRef

import strawberry
from strawberry import UNSET

from domain.recurrence.policies import Anchor, CatchUp, Gap, MonthEnd, Open, Overlap
from domain.recurrence.presets import Preset
from domain.services.occurrences import Scope
from schema.errors import UserError
from schema.paging import nested
from schema.planned import planned
from schema.scalars import Date, DateTime, LocalTime, Sequence, TimeZone

GapPolicy = strawberry.enum(
    Gap,
    name="GapPolicy",
    description="What becomes of a local time that does not exist, since clocks go forward:"
    " RUN_AFTER is the end of the gap (02:30 becomes 03:00), SHIFT later by its length (03:30).",
)
OverlapPolicy = strawberry.enum(
    Overlap, name="OverlapPolicy", description="Which of two equal local times counts."
)
MonthEndPolicy = strawberry.enum(
    MonthEnd,
    name="MonthEndPolicy",
    description="What becomes of the 31st in a shorter month: CLAMP is its last day.",
)
AnchorPolicy = strawberry.enum(
    Anchor,
    name="AnchorPolicy",
    description="What the next occurrence counts from. By SCHEDULE it is made when the latest one's"
    " slot has come; by COMPLETION when the latest one is completed, cancelled or deleted.",
)
CatchUpPolicy = strawberry.enum(
    CatchUp,
    name="CatchUpPolicy",
    description="Which slots that passed while nothing ran become occurrences: the latest ONE, none"
    " (SKIP), or ALL, the latest hundred at most.",
)
OpenPolicy = strawberry.enum(
    Open,
    name="OpenPolicy",
    description="What happens when the next is due and the last is still open: ALLOW both, WAIT"
    " until it is closed, or REPLACE it: it is cancelled.",
)
RecurrenceScope = strawberry.enum(
    Scope,
    name="RecurrenceScope",
    description="How far an edit of an occurrence reaches: THIS one alone; THIS_AND_FOLLOWING,"
    " which become a series of their own; or ALL that are open, and what later ones are like.",
)
RecurrencePreset = strawberry.enum(Preset, name="RecurrencePreset")


@strawberry.type
class RecurrenceStart:
    date: Date
    time: LocalTime | None


@strawberry.type
class RecurrencePolicies:
    gap: GapPolicy  # type: ignore[valid-type]
    overlap: OverlapPolicy  # type: ignore[valid-type]
    month_end: MonthEndPolicy  # type: ignore[valid-type]
    anchor: AnchorPolicy  # type: ignore[valid-type]
    catch_up: CatchUpPolicy  # type: ignore[valid-type]
    open: OpenPolicy  # type: ignore[valid-type]


@strawberry.type
class Recurrence:
    rule: str | None
    cron: str | None
    start: RecurrenceStart | None
    time_zone: TimeZone
    policies: RecurrencePolicies


@strawberry.type(
    description="What a task recurs by. `nextAt` is when the next occurrence is made: the time of"
    " the latest one's slot; null while the series is paused, has ended, or waits for an occurrence"
    " to be closed. It moves with every occurrence, which is no change of the series."
)
class Series:
    id: strawberry.ID
    workspace_id: strawberry.ID
    recurrence: Recurrence
    summary: str = strawberry.field(description="The rule in English.")
    is_paused: bool
    next_at: DateTime | None
    ended_at: DateTime | None
    version: int
    # The type of a slot has a task, and lies beside that.
    history: object = planned(
        nested,
        Annotated[ForwardRef("SeriesSlotConnection"), strawberry.lazy("schema.tasks")],
        "Its slots up to the next, and those that were skipped ahead; the latest first.",
    )


@strawberry.enum(
    description="What became of a slot. MOVED is open, and due at another time; a cancelled or"
    " deleted occurrence is SKIPPED; MISSED was passed over, or replaced by the next."
)
class SeriesSlotState(Enum):
    OPEN = "OPEN"
    DONE = "DONE"
    SKIPPED = "SKIPPED"
    MISSED = "MISSED"
    MOVED = "MOVED"


@strawberry.type(
    description="`slot` is the local time YYYY-MM-DDTHH:MM[:SS], with a trailing f for the second"
    " of two."
)
class Occurrence:
    series_id: strawberry.ID
    slot: str


@strawberry.type
class RecurrencePreview:
    occurrences: list[DateTime]
    summary: str | None
    user_errors: list[UserError]


@strawberry.input
class RecurrenceStartInput:
    date: Date
    time: LocalTime | None = UNSET


@strawberry.input
class RecurrencePoliciesInput:
    gap: GapPolicy | None = UNSET  # type: ignore[valid-type]
    overlap: OverlapPolicy | None = UNSET  # type: ignore[valid-type]
    month_end: MonthEndPolicy | None = UNSET  # type: ignore[valid-type]
    anchor: AnchorPolicy | None = UNSET  # type: ignore[valid-type]
    catch_up: CatchUpPolicy | None = UNSET  # type: ignore[valid-type]
    open: OpenPolicy | None = UNSET  # type: ignore[valid-type]


@strawberry.input(
    description="Exactly one of rule (RFC 5545, without DTSTART), cron, preset. timeZone: the"
    " viewer's where absent; start: the task's due, or now: today, and where a rule of hours or"
    " less, or a crontab line, counts from a time, the present one."
)
class RecurrenceInput:
    rule: str | None = UNSET
    cron: str | None = UNSET
    preset: RecurrencePreset | None = UNSET  # type: ignore[valid-type]
    start: RecurrenceStartInput | None = UNSET
    time_zone: TimeZone | None = UNSET
    policies: RecurrencePoliciesInput | None = UNSET


@strawberry.input
class SeriesPauseInput:
    expected_version: int | None = UNSET
    client_mutation_id: str | None = UNSET


@strawberry.input
class SeriesResumeInput:
    expected_version: int | None = UNSET
    client_mutation_id: str | None = UNSET


@strawberry.input
class SeriesEndInput:
    expected_version: int | None = UNSET
    client_mutation_id: str | None = UNSET


@strawberry.input
class SeriesSkipInput:
    slot: str = strawberry.field(description="One that has no occurrence yet, as slots are told.")
    expected_version: int | None = UNSET
    client_mutation_id: str | None = UNSET


@strawberry.type
class SeriesPausePayload:
    series: Series | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class SeriesResumePayload:
    series: Series | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class SeriesEndPayload:
    series: Series | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]


@strawberry.type
class SeriesSkipPayload:
    series: Series | None
    seq: Sequence | None
    client_mutation_id: str | None
    user_errors: list[UserError]
