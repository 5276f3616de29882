"""Reads rows by one statement whose value is the answer. Implements domain.reading.Reader.

The statement's text depends on the selection and on the *shape* of the reads: which filters,
orders and cursors are there, never their values. It is built once per shape and kept.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
from sqlalchemy import and_, case, select
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from domain.changes import State
from domain.ids import UserId
from domain.messages import ResyncReason, ResyncRequired
from domain.paging import Page
from domain.ports import Clock
from domain.preferences import preferences_state
from domain.reading import (
    ANSWER_MAX_BYTES,
    ChangeSlice,
    LogPage,
    NotificationSlice,
    OneNotification,
    OneSeries,
    OneTask,
    OneWorkspace,
    Present,
    Row,
    TaskPage,
    TheViewer,
    too_large,
)
from domain.selection import Selection
from domain.tasks import instant_text
from infra.postgres.bounds import TOO_LARGE, in_turn
from infra.postgres.building import Request, Statement, Values, text_of
from infra.postgres.connections import LIVE
from infra.postgres.lanes import Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.pages import page_shape
from infra.postgres.roots import ROOTS
from infra.postgres.wishes import PostgresWishes

# Of one selection: a form with a dozen filters that may be there or not takes that many and more.
SHAPES_MAX = 64

_DIALECT = dialect()  # type: ignore[no-untyped-call]
_REACHED = """
SELECT coalesce((
    SELECT w.head >= $3 FROM workspace w JOIN member m ON m.workspace_id = w.id
    WHERE m.user_id = $2 AND w.id = {workspace}), true)"""
_REACHED_BY_WORKSPACE = _REACHED.format(workspace="$1")
_REACHED_BY: Mapping[type, str] = {
    OneTask: _REACHED.format(workspace="(SELECT workspace_id FROM task WHERE id = $1)"),
    OneSeries: _REACHED.format(workspace="(SELECT workspace_id FROM series WHERE id = $1)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A statement's text, and how its parameters are taken from a request.

    `is_by_key`: its rows come by key or keyset, so that a generic plan of the server's serves all
    values alike; else each execution is planned for its own.
    """

    sql: str
    values: tuple[Values, ...]
    positions: tuple[int, ...]
    is_by_key: bool

    def parameters(self, request: Request) -> list[object]:
        """Returns the statement's parameters."""
        bound: list[object] = []
        for values in self.values:
            bound.extend(values(request))
        return [bound[position] for position in self.positions]


class PostgresRead:
    """The plans of one selection, by the shapes of its reads."""

    def __init__(
        self, selection: Selection, lanes: "ReadLanes", clock: Clock, answer_max_bytes: int
    ) -> None:
        self._selection = selection
        self._lanes = lanes
        self._clock = clock
        self._most = answer_max_bytes
        self._plans: dict[Hashable, Plan] = {}

    async def read(
        self, viewer: UserId | None, reads: Sequence[Row], pages: Sequence[Page]
    ) -> bytes | None:
        """See `PreparedRead.read`."""
        request = Request(viewer=viewer, reads=reads, pages=pages, now=self._clock.now())
        plan = self._plan(request)
        lanes = self._lanes.generic if plan.is_by_key else self._lanes.custom
        answer: bytes | None
        try:
            answer = await lanes.fetchval(plan.sql, *plan.parameters(request))
        except asyncpg.InvalidTextRepresentationError as error:
            if TOO_LARGE not in str(error):
                raise
            raise too_large(self._most) from error
        if answer is not None and len(answer) > self._most:
            raise too_large(self._most)
        return answer

    def _plan(self, request: Request) -> Plan:
        shape = (*map(_shape, request.reads), *map(_page_shape, request.pages))
        plan = self._plans.get(shape)
        if plan is None:
            if len(self._plans) >= SHAPES_MAX:
                del self._plans[next(iter(self._plans))]
            plan = self._plans[shape] = build(self._selection, request, self._most)
        return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLanes:
    """Lanes for plans that serve all values, and for those made for each; see `LaneOptions`."""

    generic: Lanes
    custom: Lanes


class PostgresReader:
    """Reads what domain.reading describes; no answer has more than `answer_max_bytes`."""

    def __init__(
        self,
        lanes: ReadLanes,
        log: PostgresLog,
        clock: Clock,
        answer_max_bytes: int = ANSWER_MAX_BYTES,
        push_key: str | None = None,
    ) -> None:
        """Takes the key that browsers subscribe with, None where no push messages are sent."""
        self._lanes = lanes
        self._log = log
        self._clock = clock
        self._answer_max_bytes = answer_max_bytes
        self._push_key = push_key
        self._wishes = PostgresWishes(lanes.generic, new_id=uuid4, committed=lambda _s, _n: None)

    def prepare(self, selection: Selection) -> PostgresRead:
        """See `Reader.prepare`."""
        return PostgresRead(selection, self._lanes, self._clock, self._answer_max_bytes)

    async def has_reached(self, viewer: UserId, read: Row) -> bool:
        """See `Reader.has_reached`."""
        free = TheViewer | NotificationSlice | OneNotification | Present
        if isinstance(read, free) or read.at_least is None:
            return True
        sql = _REACHED_BY.get(type(read), _REACHED_BY_WORKSPACE)
        ident = read.workspace if isinstance(read, TaskPage) else read.id
        reached: bool = await self._lanes.generic.fetchval(sql, ident, viewer, read.at_least)
        return reached

    async def preferences(self, viewer: UserId) -> State:
        """See `Reader.preferences`."""
        return {
            **preferences_state(await self._wishes.preferences(viewer)),
            "push_key": self._push_key,
            "push_subscriptions": [
                {
                    "id": str(one.id),
                    "endpoint": one.endpoint,
                    "created_at": instant_text(one.created_at),
                }
                for one in await self._wishes.browsers(viewer)
            ],
        }

    async def changes(self, viewer: UserId, read: ChangeSlice) -> LogPage | None:
        """See `Reader.changes`."""
        page = await self._log.page(read.workspace, read.after, read.first, viewer)
        if page is None:
            return None
        reason = None
        if read.after > page.head:
            reason = ResyncReason.LOG_RESTORED
        elif read.after < page.floor:
            reason = ResyncReason.LOG_PRUNED
        if reason is not None:
            resync = ResyncRequired(seq=read.after, reason=reason, head=page.head)
            return LogPage(changes=(), head=page.head, has_next=False, resync=resync)
        last = page.changes[-1].seq if page.changes else read.after
        return LogPage(changes=page.changes, head=page.head, has_next=last < page.head, resync=None)


# --- shapes --------------------------------------------------------------------------------------


def _shape(read: Row) -> Hashable:
    match read:
        case TaskPage(where=where, orders=orders, page=page, at_least=at_least):
            return (page_shape(where, orders, page), at_least is None)
        case NotificationSlice(after=after):
            return after is None
        case OneTask() | OneSeries() | OneWorkspace():
            return read.at_least is None
        case _:
            return None


def _page_shape(page: Page) -> Hashable:
    return page.after is None


def _is_by_key(read: Row) -> bool:
    return not isinstance(read, TaskPage) or read.where.filter == LIVE.filter


# --- building ------------------------------------------------------------------------------------


def build(selection: Selection, request: Request, most: int) -> Plan:
    """Returns the plan of the reads of a request for that selection.

    Args:
        selection: what is wanted.
        request: the reads.
        most: about how many bytes the answer may have; beyond, the statement fails (TOO_LARGE).
    """
    statement = Statement(request, most)
    pairs = []
    reads = iter(enumerate(request.reads))
    for field in selection.fields:
        if field.selection is None:
            pairs.append((field.key, text_of(selection.kind)))
        else:
            index, read = next(reads)
            pairs.append((field.key, ROOTS[type(read)](statement, index, field.selection)))
    large = [field.key for field in selection.fields if field.selection is not None]
    answer = in_turn(statement, pairs, large)
    if statement.guards:
        answer = case((and_(*statement.guards), answer))
    compiled = select(answer).compile(dialect=_DIALECT)
    names = getattr(compiled, "positiontup", None) or ()
    return Plan(
        sql=str(compiled),
        values=tuple(statement.values),
        positions=tuple(int(name.removeprefix("p")) for name in names),
        is_by_key=all(_is_by_key(read) for read in request.reads),
    )
