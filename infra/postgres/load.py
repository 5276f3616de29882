"""One look at all that a decision needs: a single statement, so a single snapshot."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

import orjson

from domain.due import Due
from domain.ids import CategoryId, MemberId, TagId, TaskId, UserId, WorkspaceId
from domain.labels import Kind, Label
from domain.ports import Command, Needs, Recorded, Seen
from domain.tasks import DEPTH_MAX, SUBTREE_MAX, Priority, Status, Task
from domain.workspaces import Member, Role, User, Workspace

_TASK = """json_build_object('id', t.id, 'title', t.title, 'description', t.description,
    'status', t.status, 'priority', t.priority, 'due_day', t.due_day, 'due_at', t.due_at,
    'due_zone', t.due_zone, 'due_fold', t.due_fold, 'due_instant', t.due_instant,
    'category_id', t.category_id, 'tag_ids', t.tag_ids, 'assignee_id', t.assignee_id,
    'parent_id', t.parent_id, 'position', t.position, 'version', t.version,
    'created_at', t.created_at, 'updated_at', t.updated_at, 'completed_at', t.completed_at,
    'deleted_at', t.deleted_at)"""

# What is not asked for costs one comparison with a null parameter. The spliced parts are constants.
LOOK = f"""
WITH RECURSIVE
target AS (
    SELECT coalesce(
        $3::uuid,
        (SELECT workspace_id FROM task WHERE id = $4::uuid),
        (SELECT workspace_id FROM category WHERE $5::text = 'category' AND id = $6::uuid),
        (SELECT workspace_id FROM tag WHERE $5::text = 'tag' AND id = $6::uuid)) AS id
),
ws AS (
    SELECT w.*, m.role FROM workspace w JOIN member m ON m.workspace_id = w.id
    WHERE m.user_id = $1::uuid AND w.id = (SELECT id FROM target)
),
subtree AS (
    SELECT id, 1 AS depth FROM task WHERE $8::boolean AND parent_id = $4::uuid
    UNION ALL
    SELECT t.id, s.depth + 1 FROM task t JOIN subtree s ON t.parent_id = s.id
    WHERE s.depth <= {DEPTH_MAX}
),
ancestor AS (
    SELECT parent_id AS id, 1 AS depth FROM task WHERE id = $9::uuid AND parent_id IS NOT NULL
    UNION ALL
    SELECT t.parent_id, a.depth + 1 FROM task t JOIN ancestor a ON t.id = a.id
    WHERE t.parent_id IS NOT NULL AND a.depth <= {DEPTH_MAX}
),
below AS (SELECT id, depth FROM subtree LIMIT {SUBTREE_MAX + 1}),
asked AS (
    SELECT t.*, b.depth FROM task t LEFT JOIN below b USING (id)
    WHERE t.workspace_id = (SELECT id FROM ws)
      AND (t.id = ANY(array_append($7::uuid[], $4::uuid))
           OR t.id IN (SELECT id FROM below)
           OR t.id = (SELECT id FROM ancestor WHERE depth = 1))
),
around AS (
    SELECT (SELECT position FROM asked WHERE id = $15::uuid) AS after,
           (SELECT position FROM asked WHERE id = $16::uuid) AS before
)
SELECT json_build_object(
    'workspace', (SELECT row_to_json(w) FROM (
        SELECT id, name, created_at, role, head, roles_rev, labels_rev, tree_rev FROM ws) w),
    'actor', (SELECT json_build_object('name', name, 'zone', time_zone)
              FROM account WHERE id = $1::uuid),
    'recorded', (
        SELECT json_build_object('field', r.field, 'arguments', encode(r.arguments, 'hex'),
            'seq', r.seq, 'subject', r.subject,
            'visible', EXISTS (SELECT FROM member m
                               WHERE m.workspace_id = r.stream AND m.user_id = r.user_id),
            'state', (SELECT c.payload FROM change c
                      WHERE c.subject = r.subject AND c.stream = r.stream AND c.seq <= r.seq
                      ORDER BY c.seq DESC LIMIT 1))
        FROM idempotency r WHERE r.user_id = $1::uuid AND r.key = $2::text),
    'label', (
        SELECT row_to_json(l) FROM (
            SELECT id, name, colour FROM category
            WHERE $5::text = 'category' AND id = $6::uuid AND workspace_id = (SELECT id FROM ws)
            UNION ALL
            SELECT id, name, colour FROM tag
            WHERE $5::text = 'tag' AND id = $6::uuid AND workspace_id = (SELECT id FROM ws)) l),
    'tasks', (SELECT json_agg({_TASK}) FROM asked t WHERE t.depth IS NULL),
    'below', (SELECT json_agg({_TASK} ORDER BY t.depth) FROM asked t WHERE t.depth IS NOT NULL),
    'depth', (SELECT max(depth) FROM below),
    'ancestors', (SELECT json_agg(id ORDER BY depth) FROM ancestor),
    'categories', (
        SELECT json_agg(row_to_json(l)) FROM (
            SELECT id, name, colour FROM category
            WHERE workspace_id = (SELECT id FROM ws)
              AND id IN (SELECT category_id FROM asked UNION ALL SELECT $10::uuid)) l),
    'tags', (
        SELECT json_agg(row_to_json(l)) FROM (
            SELECT id, name, colour FROM tag
            WHERE workspace_id = (SELECT id FROM ws)
              AND id IN (SELECT unnest(tag_ids) FROM asked
                         UNION ALL SELECT unnest($11::uuid[]))) l),
    'users', (
        SELECT json_agg(json_build_object('id', a.id, 'name', a.name, 'member', m.id,
                                          'role', m.role, 'since', m.created_at))
        FROM account a LEFT JOIN member m
          ON m.user_id = a.id AND m.workspace_id = (SELECT id FROM ws)
        WHERE EXISTS (SELECT FROM ws)
          AND (a.email_key = $13::text
               OR a.id IN (SELECT assignee_id FROM asked UNION ALL SELECT unnest($12::uuid[])))),
    'invitee', (SELECT id FROM account WHERE email_key = $13::text AND EXISTS (SELECT FROM ws)),
    'low', CASE WHEN $15::uuid IS NOT NULL THEN (SELECT after FROM around)
                WHEN $16::uuid IS NOT NULL THEN (
                    SELECT max(position) FROM task WHERE deleted_at IS NULL
                      AND workspace_id = (SELECT id FROM ws)
                      AND position < (SELECT before FROM around))
                WHEN $14::boolean THEN (
                    SELECT max(position) FROM task
                    WHERE deleted_at IS NULL AND workspace_id = (SELECT id FROM ws)) END,
    'high', CASE WHEN $16::uuid IS NOT NULL THEN (SELECT before FROM around)
                 WHEN $15::uuid IS NOT NULL THEN (
                    SELECT min(position) FROM task WHERE deleted_at IS NULL
                      AND workspace_id = (SELECT id FROM ws)
                      AND position > (SELECT after FROM around)) END,
    'taken', $17::uuid IS NOT NULL AND (
        EXISTS (SELECT FROM task WHERE id = $17::uuid)
        OR EXISTS (SELECT FROM tag WHERE id = $17::uuid)
        OR EXISTS (SELECT FROM category WHERE id = $17::uuid)
        OR EXISTS (SELECT FROM workspace WHERE id = $17::uuid)
        OR EXISTS (SELECT FROM member WHERE id = $17::uuid)
        OR EXISTS (SELECT FROM account WHERE id = $17::uuid)),
    'name_taken', CASE $18::text
        WHEN 'category' THEN (SELECT id FROM category
            WHERE workspace_id = (SELECT id FROM ws) AND name_key = $19::text)
        WHEN 'tag' THEN (SELECT id FROM tag
            WHERE workspace_id = (SELECT id FROM ws) AND name_key = $19::text) END,
    'label_count', CASE $18::text
        WHEN 'category' THEN (
            SELECT count(*) FROM category WHERE workspace_id = (SELECT id FROM ws))
        WHEN 'tag' THEN (SELECT count(*) FROM tag WHERE workspace_id = (SELECT id FROM ws)) END,
    'owners', CASE WHEN cardinality($12::uuid[]) > 0 THEN (
        SELECT count(*) FROM member
        WHERE workspace_id = (SELECT id FROM ws) AND role = {Role.OWNER.value}) END,
    'memberships', CASE WHEN (SELECT id FROM target) IS NULL THEN (
        SELECT count(*) FROM member WHERE user_id = $1::uuid) END
)::text
"""  # noqa: S608

Row = Mapping[str, Any]


def parameters(command: Command, needs: Needs) -> tuple[object, ...]:
    """Returns the values of LOOK's parameters."""
    label_kind, label_id = needs.label or (None, None)
    name_kind, name_key = needs.name or (None, None)
    tasks = [*needs.tasks, *(one for one in (needs.after, needs.before) if one is not None)]
    return (
        command.actor,
        command.key,
        needs.workspace,
        needs.task,
        label_kind,
        label_id,
        tasks,
        needs.subtree,
        needs.ancestors_of,
        needs.category,
        list(needs.tags),
        list(needs.users),
        needs.email_key,
        needs.end,
        needs.after,
        needs.before,
        needs.new_id,
        name_kind,
        name_key,
    )


def seen(command: Command, needs: Needs, answer: str) -> Seen:
    """Returns what LOOK answered, in the domain's terms."""
    row: Row = orjson.loads(answer)
    ws: Row | None = row["workspace"]
    space = None if ws is None else WorkspaceId(UUID(ws["id"]))
    tasks = {task.id: task for task in (_task(one, space) for one in row["tasks"] or () if space)}
    people = row["users"] or ()
    users = {UserId(UUID(one["id"])): _user(one) for one in people}
    kind: Kind = needs.label[0] if needs.label else "tag"
    return Seen(
        workspace=None if ws is None else _workspace(ws),
        role=Role(ws["role"]) if ws else Role.VIEWER,
        actor=User(id=command.actor, name=row["actor"]["name"] if row["actor"] else ""),
        actor_zone=row["actor"]["zone"] if row["actor"] else "UTC",
        head=ws["head"] if ws else 0,
        roles_rev=ws["roles_rev"] if ws else 0,
        labels_rev=ws["labels_rev"] if ws else 0,
        tree_rev=ws["tree_rev"] if ws else 0,
        recorded=_recorded(row["recorded"]),
        label=_label(kind, row["label"], space) if row["label"] and space else None,
        task=tasks.get(needs.task) if needs.task else None,
        tasks=tasks,
        descendants=tuple(_task(one, space) for one in (row["below"] or ()) if space),
        ancestors=tuple(TaskId(UUID(one)) for one in row["ancestors"] or ()),
        subtree_depth=row["depth"] or 0,
        labels={
            label.id: label
            for name, plural in (("category", "categories"), ("tag", "tags"))
            for label in _labels(name, row[plural], space)
        },
        users=users,
        members={
            UserId(UUID(one["id"])): _member(one, space)
            for one in people
            if one["member"] and space
        },
        invitee=users.get(UserId(UUID(row["invitee"]))) if row["invitee"] else None,
        low=row["low"],
        high=row["high"],
        taken=row["taken"],
        name_taken=UUID(row["name_taken"]) if row["name_taken"] else None,
        label_count=row["label_count"] or 0,
        owner_count=row["owners"] or 0,
        membership_count=row["memberships"] or 0,
    )


def _recorded(row: Row | None) -> Recorded | None:
    if row is None:
        return None
    return Recorded(
        field=row["field"],
        arguments=bytes.fromhex(row["arguments"]),
        visible=row["visible"],
        seq=row["seq"],
        subject=UUID(row["subject"]),
        state=orjson.loads(row["state"]) if row["state"] else {},
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _sure(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _workspace(row: Row) -> Workspace:
    return Workspace(
        id=WorkspaceId(UUID(row["id"])), name=row["name"], created_at=_sure(row["created_at"])
    )


def _user(row: Row) -> User:
    return User(id=UserId(UUID(row["id"])), name=row["name"])


def _member(row: Row, workspace: WorkspaceId) -> Member:
    return Member(
        id=MemberId(UUID(row["member"])),
        workspace_id=workspace,
        user=_user(row),
        role=Role(row["role"]),
        created_at=_sure(row["since"]),
    )


def _labels(kind: str, rows: list[Row] | None, workspace: WorkspaceId | None) -> list[Label]:
    if workspace is None:
        return []
    return [
        _label("category" if kind == "category" else "tag", row, workspace) for row in rows or ()
    ]


def _label(kind: Kind, row: Row, workspace: WorkspaceId) -> Label:
    return Label(
        kind=kind,
        id=UUID(row["id"]),
        workspace_id=workspace,
        name=row["name"],
        colour=row["colour"],
    )


def _due(row: Row) -> Due | None:
    if row["due_day"] is None:
        return None
    return Due(
        day=date.fromisoformat(row["due_day"]),
        at=None if row["due_at"] is None else time.fromisoformat(row["due_at"]),
        zone=row["due_zone"],
        fold=row["due_fold"],
        instant=_sure(row["due_instant"]),
    )


def _task(row: Row, workspace: WorkspaceId) -> Task:
    return Task(
        id=TaskId(UUID(row["id"])),
        workspace_id=workspace,
        title=row["title"],
        description=row["description"],
        status=Status(row["status"]),
        priority=Priority(row["priority"]),
        due=_due(row),
        category_id=CategoryId(UUID(row["category_id"])) if row["category_id"] else None,
        tag_ids=frozenset(TagId(UUID(one)) for one in row["tag_ids"]),
        assignee_id=UserId(UUID(row["assignee_id"])) if row["assignee_id"] else None,
        parent_id=TaskId(UUID(row["parent_id"])) if row["parent_id"] else None,
        position=row["position"],
        version=row["version"],
        created_at=_sure(row["created_at"]),
        updated_at=_sure(row["updated_at"]),
        completed_at=_instant(row["completed_at"]),
        deleted_at=_instant(row["deleted_at"]),
    )
