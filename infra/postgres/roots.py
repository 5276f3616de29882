"""Each kind of read as SQL: which rows, visible to whom."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Table,
    Text,
    Uuid,
    any_,
    cast,
    exists,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from domain.reading import (
    NotificationSlice,
    OneNotification,
    OneSeries,
    OneTask,
    OneWorkspace,
    Present,
    TaskPage,
    TheViewer,
)
from domain.selection import Selection
from infra.postgres import bounds, connections
from infra.postgres.building import Statement, json_list, json_object, text_of
from infra.postgres.objects import Source, json_of
from infra.postgres.tables import (
    account,
    member,
    notification,
    series,
    task,
    user_stream,
    workspace,
)

# Gets the index of the read among the request's.
Root: TypeAlias = Callable[[Statement, int, Selection], ColumnElement[Any]]


def _the_viewer(statement: Statement, _index: int, selection: Selection) -> ColumnElement[Any]:
    rows = account.alias()
    found = statement.joined(rows, lambda: [json_of(statement, Source(rows=rows), selection)])
    return found.where(rows.c.id == statement.viewer).scalar_subquery()


def _one_workspace(statement: Statement, index: int, selection: Selection) -> ColumnElement[Any]:
    rows, place = workspace.alias(), member.alias()
    ident = statement.bind(lambda request: request.reads[index].id, Uuid())
    _wait(statement, index, lambda mine: mine.c.id == ident)
    source = Source(rows=rows, role=place.c.role)
    found = statement.joined(
        rows.join(place, place.c.workspace_id == rows.c.id),
        lambda: [json_of(statement, source, selection)],
    )
    return found.where(rows.c.id == ident, place.c.user_id == statement.viewer).scalar_subquery()


def _one_task(statement: Statement, index: int, selection: Selection) -> ColumnElement[Any]:
    return _one_of(task, statement, index, selection)


def _one_series(statement: Statement, index: int, selection: Selection) -> ColumnElement[Any]:
    return _one_of(series, statement, index, selection)


def _one_of(
    table: Table, statement: Statement, index: int, selection: Selection
) -> ColumnElement[Any]:
    rows, place, same = table.alias(), member.alias(), table.alias()
    ident = statement.bind(lambda request: request.reads[index].id, Uuid())
    its = select(same.c.workspace_id).where(same.c.id == ident).scalar_subquery()
    _wait(statement, index, lambda mine: mine.c.id == its)
    found = statement.joined(
        rows.join(place, place.c.workspace_id == rows.c.workspace_id),
        lambda: [json_of(statement, Source(rows=rows), selection)],
    )
    return found.where(rows.c.id == ident, place.c.user_id == statement.viewer).scalar_subquery()


def _task_page(statement: Statement, index: int, selection: Selection) -> ColumnElement[Any]:
    place = member.alias()
    space = statement.bind(lambda request: request.reads[index].workspace, Uuid())
    visible = exists().where(place.c.workspace_id == space, place.c.user_id == statement.viewer)
    statement.guards.append(visible)
    _wait(statement, index, lambda mine: mine.c.id == space)
    return connections.tasks(statement, index, selection, _node)


def _node(statement: Statement, rows: FromClause, selection: Selection) -> ColumnElement[Any]:
    return json_of(statement, Source(rows=rows), selection)


def _notifications(statement: Statement, index: int, selection: Selection) -> ColumnElement[Any]:
    first = statement.bind(lambda request: request.reads[index].first, BigInteger())
    after = None
    if statement.request.reads[index].after is not None:
        after = statement.bind(lambda request: request.reads[index].after, BigInteger())
    pairs = []
    for field in selection.fields:
        if field.selection is not None:
            page = _feed(statement, after).limit(first).subquery()
            value = _entries(statement, page, field.selection)
        elif field.attribute == "has_next_page":
            # Nothing follows the newest.
            more = (
                literal_column("false")
                if after is None
                else exists(_feed(statement, after).offset(first))
            )
            value = more
        elif field.attribute == "head":
            value = _own_head(statement)
        else:
            value = text_of(selection.kind)
        pairs.append((field.key, value))
    return json_object(pairs)


def _feed(statement: Statement, after: ColumnElement[Any] | None) -> Select[Any]:
    """Returns the viewer's entries that follow, or the newest first where none is named."""
    rows = notification.alias()
    mine = select(rows).where(rows.c.user_id == statement.viewer)
    if after is None:
        return mine.where(rows.c.archived_at.is_(None)).order_by(rows.c.seq.desc())
    return mine.where(rows.c.seq > after).order_by(rows.c.seq)


def _entries(statement: Statement, page: FromClause, selection: Selection) -> ColumnElement[Any]:
    source = Source(rows=page)
    found = statement.joined(
        page, lambda: [json_list(json_of(statement, source, selection), [page.c.seq])]
    )
    return found.scalar_subquery()


def _own_head(statement: Statement) -> ColumnElement[Any]:
    stream = user_stream.alias()
    head = select(cast(stream.c.head, Text)).where(stream.c.id == statement.viewer)
    return func.coalesce(head.scalar_subquery(), literal_column("'0'"))


def _one_notification(statement: Statement, index: int, selection: Selection) -> ColumnElement[Any]:
    rows = notification.alias()
    ident = statement.bind(lambda request: request.reads[index].id, Uuid())
    found = statement.joined(rows, lambda: [json_of(statement, Source(rows=rows), selection)])
    return found.where(rows.c.id == ident, rows.c.user_id == statement.viewer).scalar_subquery()


def _present(statement: Statement, index: int, selection: Selection) -> ColumnElement[Any]:
    table = {"Task": task, "Series": series, "Member": member, "User": account}[selection.kind]
    rows = table.alias()
    space = statement.bind(lambda request: request.reads[index].workspace, Uuid())
    ids = statement.bind(lambda request: list(request.reads[index].ids), ARRAY(Uuid()))
    source = Source(rows=rows, workspace=space)
    made = statement.joined(
        rows, lambda: [rows.c.id, json_of(statement, source, selection).label("item")]
    ).where(rows.c.id == any_(ids))
    if table is not account:
        made = made.where(rows.c.workspace_id == space)
    found, within = bounds.measured(statement, made, ["item"])
    by_id: Any = func.json_object_agg(found.c.id, found.c.item)
    return select(
        func.coalesce(by_id.filter(within), literal_column("'{}'::json"))
    ).scalar_subquery()


def _wait(
    statement: Statement, index: int, which: Callable[[FromClause], ColumnElement[bool]]
) -> None:
    """Adds the guard of `at_least`; it holds where the viewer sees no such workspace."""
    if statement.request.reads[index].at_least is None:
        return
    wanted = statement.bind(lambda request: request.reads[index].at_least, BigInteger())
    mine, seat = workspace.alias(), member.alias()
    head: Select[Any] = (
        select(mine.c.head >= wanted)
        .join_from(mine, seat, seat.c.workspace_id == mine.c.id)
        .where(which(mine), seat.c.user_id == statement.viewer)
    )
    statement.guards.append(func.coalesce(head.scalar_subquery(), literal_column("true")))


ROOTS: Final[Mapping[type, Root]] = {
    TheViewer: _the_viewer,
    OneWorkspace: _one_workspace,
    OneTask: _one_task,
    OneSeries: _one_series,
    TaskPage: _task_page,
    NotificationSlice: _notifications,
    OneNotification: _one_notification,
    Present: _present,
}
