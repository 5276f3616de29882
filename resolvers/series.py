"""Series: which rows a read means, previews, and one use case for each mutation."""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import strawberry
from strawberry import UNSET

from domain.changes import State
from domain.errors import OverLimit, Refused, Unauthenticated, invalid
from domain.ids import SeriesId
from domain.paging import SIZE_MAX
from domain.ports import Command
from domain.reading import OneSeries
from domain.recurrence.policies import Choices
from domain.recurrence.rule import LocalStart
from domain.recurrence_draft import RecurrenceDraft
from domain.services.mutations import Outcome
from domain.tasks import instant_text
from resolvers.payloads import (
    Payload,
    command,
    done,
    mutation,
    problem_state,
    visible_id,
    wanted_id,
)
from resolvers.render import render
from resolvers.selection import selected
from resolvers.streams import SIGN_IN
from schema import series as t
from schema.context import RequestInfo
from schema.planned import planned
from schema.scalars import DateTime, Sequence

T = TypeVar("T")


def _series(id: strawberry.ID, at_least: Sequence | None = UNSET) -> OneSeries:
    return OneSeries(id=SeriesId(visible_id(id)), at_least=at_least or None)


def recurrence_draft(given: t.RecurrenceInput) -> RecurrenceDraft:
    """Returns a recurrence as it was asked for."""
    start = given.start or None
    chosen = given.policies or t.RecurrencePoliciesInput()
    return RecurrenceDraft(
        rule=_given(given.rule),
        cron=_given(given.cron),
        preset=_given(given.preset),
        start=None if start is None else LocalStart(start.date, _given(start.time)),
        zone=_given(given.time_zone),
        choices=Choices(
            gap=_given(chosen.gap),
            overlap=_given(chosen.overlap),
            month_end=_given(chosen.month_end),
            anchor=_given(chosen.anchor),
            catch_up=_given(chosen.catch_up),
            open=_given(chosen.open),
        ),
    )


@strawberry.type
class SeriesQuery:
    series: t.Series | None = planned(
        _series, t.Series | None, "Null where it is absent, or not in a workspace of the viewer's."
    )

    @strawberry.field(
        graphql_type=t.RecurrencePreview | None,
        description="What a recurrence would be; nothing is kept.",
    )
    async def recurrence_preview(
        self,
        info: RequestInfo,
        recurrence: t.RecurrenceInput,
        first: int = 10,
        after: DateTime | None = UNSET,
    ) -> Payload:
        if info.context.viewer is None:
            raise Unauthenticated(SIGN_IN)
        if first < 0:
            raise invalid("Ask for 0 occurrences or more.", "first")
        if first > SIZE_MAX:
            raise OverLimit(f"Ask for at most {SIZE_MAX} occurrences; this asks for {first}.")
        draft = recurrence_draft(recurrence)
        selection = selected(info)
        try:
            found = await info.context.use.series.preview(
                info.context.viewer.user, draft, first, _given(after)
            )
        except Refused as refused:
            problems = [problem_state(one) for one in refused.problems]
            refusal: State = {"occurrences": [], "summary": None, "user_errors": problems}
            return render(selection, refusal)
        times = [instant_text(slot.instant) for slot in found.slots]
        answer: State = {"occurrences": times, "summary": found.summary, "user_errors": []}
        return render(selection, answer)


_Versioned = t.SeriesPauseInput | t.SeriesResumeInput | t.SeriesEndInput


@strawberry.type
class SeriesMutation:
    @mutation(
        t.SeriesPausePayload, "Makes no occurrence until it is resumed; those that are open stay."
    )
    async def series_pause(
        self, info: RequestInfo, id: strawberry.ID, input: t.SeriesPauseInput | None = UNSET
    ) -> Payload:
        carry_out = info.context.use.series.pause
        return await _carried_out(info, id, input or t.SeriesPauseInput(), carry_out)

    @mutation(
        t.SeriesResumePayload, "Goes on with the next slot; what passed meanwhile is passed over."
    )
    async def series_resume(
        self, info: RequestInfo, id: strawberry.ID, input: t.SeriesResumeInput | None = UNSET
    ) -> Payload:
        carry_out = info.context.use.series.resume
        return await _carried_out(info, id, input or t.SeriesResumeInput(), carry_out)

    @mutation(t.SeriesEndPayload, "Makes no occurrence any more; those that are open stay.")
    async def series_end(
        self, info: RequestInfo, id: strawberry.ID, input: t.SeriesEndInput | None = UNSET
    ) -> Payload:
        carry_out = info.context.use.series.end
        return await _carried_out(info, id, input or t.SeriesEndInput(), carry_out)

    @mutation(
        t.SeriesSkipPayload,
        "Leaves out a slot that has no occurrence yet; `taskSkip` is for one that has.",
    )
    async def series_skip(
        self, info: RequestInfo, id: strawberry.ID, input: t.SeriesSkipInput
    ) -> Payload:
        series = SeriesId(wanted_id(id, "id"))
        who = command(info, input.client_mutation_id)
        outcome = await info.context.use.series.skip(
            who, series, input.slot, _given(input.expected_version)
        )
        return await done(info, "series", outcome)


async def _carried_out(
    info: RequestInfo,
    id: strawberry.ID,
    given: _Versioned,
    carry_out: Callable[[Command, SeriesId, int | None], Awaitable[Outcome]],
) -> Payload:
    """Does what needs nothing but the series and the version that the caller has seen."""
    who = command(info, given.client_mutation_id)
    outcome = await carry_out(who, SeriesId(wanted_id(id, "id")), _given(given.expected_version))
    return await done(info, "series", outcome)


def _one(series: UUID) -> OneSeries:
    return OneSeries(id=SeriesId(series))


def _given(value: T | None) -> T | None:
    return None if value is UNSET else value
