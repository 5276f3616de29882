"""The log: its pages, and its live stream."""

import strawberry
from strawberry import UNSET

from domain.errors import OverLimit, invalid
from domain.ids import WorkspaceId
from domain.paging import SIZE_MAX
from domain.reading import ChangesAfter, ChangeSlice
from resolvers.payloads import visible_id
from schema import changes as t
from schema.planned import planned, streamed
from schema.scalars import Sequence


def _slice(workspace_id: strawberry.ID, after: Sequence, first: int = 100) -> ChangeSlice:
    if first < 0:
        raise invalid("Ask for 0 changes or more.", "first")
    if first > SIZE_MAX:
        raise OverLimit(f"Ask for at most {SIZE_MAX} changes a page; this asks for {first}.")
    return ChangeSlice(workspace=WorkspaceId(visible_id(workspace_id)), after=after, first=first)


def _stream(workspace_id: strawberry.ID, after: Sequence | None = UNSET) -> ChangesAfter:
    return ChangesAfter(
        workspace=WorkspaceId(visible_id(workspace_id)), after=None if after is UNSET else after
    )


@strawberry.type
class ChangeQuery:
    changes: t.ChangePage | None = planned(
        _slice, t.ChangePage | None, "The changes that follow `after`, in order."
    )


@strawberry.type
class ChangeSubscription:
    changes: t.ChangeMessage = streamed(
        _stream,
        t.ChangeMessage,
        "Every change after `after` (without it: from now), then CaughtUp, then live. A slow reader"
        " loses nothing: the stream replays from where it stopped. ResyncRequired, only where the"
        " log does not reach back to `after` (pruned, or a restored database): read the state"
        " again; the stream goes on after `head`.",
    )
