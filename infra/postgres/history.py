"""The slots of a series, and what became of each, in SQL."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Text,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
)

from domain.reading import HISTORY_ORDER
from domain.selection import Field
from domain.series import SlotState
from domain.tasks import Status
from infra.postgres.building import Statement, text_of
from infra.postgres.connections import Node, Owned, by_time
from infra.postgres.tables import series_slot, task


def history(
    statement: Statement, series: FromClause, field: Field, node: Node
) -> ColumnElement[Any]:
    """Returns the slots of a series, the latest first; without those that were taken back."""
    ledger = series_slot.alias()
    rows = (
        # No two slots of a series have one instant, but by their origins.
        select(*ledger.c, ledger.c.origin.label("id"))
        .where(ledger.c.state != text_of(SlotState.WITHDRAWN))
        .subquery()
    )
    owned = Owned(rows=rows, where=rows.c.series_id == series.c.id, owner=series)
    return by_time(statement, owned, field, HISTORY_ORDER, node)


def slot_state(statement: Statement, slots: FromClause) -> ColumnElement[Any]:
    """Returns what became of a slot: what the ledger says, else what its task says."""
    made = task.alias()
    statement.join(made, made.c.id == slots.c.task_id)
    return case(
        (slots.c.state != text_of(SlotState.SPAWNED), slots.c.state),
        (made.c.id.is_(None), text_of("SKIPPED")),
        (made.c.status == text_of(Status.DONE), text_of("DONE")),
        (made.c.deleted_at.is_not(None), text_of("SKIPPED")),
        (made.c.status == text_of(Status.CANCELLED), text_of("SKIPPED")),
        (_is_moved(slots, made), text_of("MOVED")),
        else_=text_of("OPEN"),
    )


def _is_moved(slots: FromClause, made: FromClause) -> ColumnElement[bool]:
    """Whether the task is due at another time than its slot."""
    day = func.left(slots.c.slot, literal_column("10"))
    of_a_day = made.c.due_at.is_(None) & (cast(made.c.due_day, Text) != day)
    of_a_time = made.c.due_at.is_not(None) & (made.c.due_instant != slots.c.instant)
    return or_(made.c.due_day.is_(None), of_a_day, of_a_time)
