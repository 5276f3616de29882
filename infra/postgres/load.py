"""One look at all that a decision needs: a single statement, so a single snapshot."""

# ruff: noqa: S608 - what is spliced are names of our own tables and numbers of parameters

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

# The founder's membership is as old as its workspace; whoever was added came later.
_MEMBERSHIPS = """(
    SELECT count(*) FROM member m JOIN workspace w ON w.id = m.workspace_id
    WHERE m.user_id = {user} AND m.created_at {when} w.created_at)"""

Row = Mapping[str, Any]


def look(command: Command, needs: Needs) -> tuple[str, list[object]]:
    """Returns the statement that reads just what is needed, and its parameters' values.

    Its text depends only on what is asked for, so a lane keeps a few of them prepared. One
    statement for all that can be asked would start some forty subplans each time.
    """
    made = _Look(command, needs)
    parts = ", ".join(f"'{name}', {expression}" for name, expression in made.parts.items())
    ctes = ", ".join(f"{name} AS ({query})" for name, query in made.ctes.items())
    return f"WITH RECURSIVE {ctes} SELECT json_build_object({parts})::text", made.values


class _Look:
    """One look in the making: every spliced piece is a constant, every value a parameter."""

    def __init__(self, command: Command, needs: Needs) -> None:
        self.values: list[object] = []
        self.ctes: dict[str, str] = {}
        self.parts: dict[str, str] = {}
        self._actor = self._bind(command.actor, "uuid")
        self._workspace(needs)
        if command.key is not None:
            self._recorded(command.key)
        if needs.subtree or needs.ancestors_of:
            self._tree(needs)
        if needs.task or needs.tasks or needs.after or needs.before:
            self._tasks(needs)
        if needs.end or needs.after or needs.before:
            self._around(needs)
        if needs.new_id:
            self._taken(needs.new_id)
        if needs.name:
            self._named(*needs.name)
        self._labels(needs)
        if needs.users or needs.email_key or "asked" in self.ctes:
            self._people(needs)

    def _bind(self, value: object, kind: str) -> str:
        self.values.append(value)
        return f"${len(self.values)}::{kind}"

    def _workspace(self, needs: Needs) -> None:
        self.parts["actor"] = f"""(
            SELECT json_build_object('name', name, 'zone', time_zone)
            FROM account WHERE id = {self._actor})"""
        if needs.workspace:
            target = self._bind(needs.workspace, "uuid")
        elif needs.task:
            target = f"(SELECT workspace_id FROM task WHERE id = {self._bind(needs.task, 'uuid')})"
        elif needs.label:
            kind, label = needs.label
            one = self._bind(label, "uuid")
            target = f"(SELECT workspace_id FROM {kind} WHERE id = {one})"
            self.parts["label"] = f"""(
                SELECT json_build_object('id', id, 'name', name, 'colour', colour)
                FROM {kind} WHERE id = {one} AND workspace_id = (SELECT id FROM ws))"""
        else:
            target = "NULL::uuid"
            self.parts["founded"] = _MEMBERSHIPS.format(user=self._actor, when="=")
        self.ctes["ws"] = f"""
            SELECT w.*, m.role FROM workspace w JOIN member m ON m.workspace_id = w.id
            WHERE m.user_id = {self._actor} AND w.id = {target}"""
        self.parts["workspace"] = """(
            SELECT json_build_object('id', id, 'name', name, 'created_at', created_at,
                'role', role, 'head', head, 'roles_rev', roles_rev, 'labels_rev', labels_rev,
                'tree_rev', tree_rev) FROM ws)"""

    def _recorded(self, key: str) -> None:
        self.parts["recorded"] = f"""(
            SELECT json_build_object('field', r.field, 'arguments', encode(r.arguments, 'hex'),
                'seq', r.seq, 'subject', r.subject,
                'visible', EXISTS (SELECT FROM member m
                                   WHERE m.workspace_id = r.stream AND m.user_id = r.user_id),
                'state', (SELECT c.payload FROM change c
                          WHERE c.subject = r.subject AND c.stream = r.stream AND c.seq <= r.seq
                          ORDER BY c.seq DESC LIMIT 1))
            FROM idempotency r
            WHERE r.user_id = {self._actor} AND r.key = {self._bind(key, "text")})"""

    def _tree(self, needs: Needs) -> None:
        if needs.subtree:
            self.ctes["subtree"] = f"""
                SELECT id, 1 AS depth FROM task WHERE parent_id = {self._bind(needs.task, "uuid")}
                UNION ALL
                SELECT t.id, s.depth + 1 FROM task t JOIN subtree s ON t.parent_id = s.id
                WHERE s.depth <= {DEPTH_MAX}"""
            self.ctes["below"] = f"SELECT id, depth FROM subtree LIMIT {SUBTREE_MAX + 1}"
            self.parts["depth"] = "(SELECT max(depth) FROM below)"
            self.parts["below"] = f"""(
                SELECT json_agg({_TASK} ORDER BY b.depth) FROM task t JOIN below b USING (id)
                WHERE t.workspace_id = (SELECT id FROM ws))"""
        if needs.ancestors_of:
            self.ctes["ancestor"] = f"""
                SELECT parent_id AS id, 1 AS depth FROM task
                WHERE id = {self._bind(needs.ancestors_of, "uuid")} AND parent_id IS NOT NULL
                UNION ALL
                SELECT t.parent_id, a.depth + 1 FROM task t JOIN ancestor a ON t.id = a.id
                WHERE t.parent_id IS NOT NULL AND a.depth <= {DEPTH_MAX}"""
            self.parts["ancestors"] = "(SELECT json_agg(id ORDER BY depth) FROM ancestor)"

    def _tasks(self, needs: Needs) -> None:
        named = (needs.task, *needs.tasks, needs.after, needs.before)
        ids = self._bind([one for one in named if one is not None], "uuid[]")
        parent = "OR id = (SELECT id FROM ancestor WHERE depth = 1)" if needs.ancestors_of else ""
        self.ctes["asked"] = f"""
            SELECT * FROM task
            WHERE workspace_id = (SELECT id FROM ws) AND (id = ANY({ids}) {parent})"""
        self.parts["tasks"] = f"(SELECT json_agg({_TASK}) FROM asked t)"

    def _around(self, needs: Needs) -> None:
        there = "FROM task WHERE deleted_at IS NULL AND workspace_id = (SELECT id FROM ws)"
        if needs.after:
            at = f"(SELECT position FROM asked WHERE id = {self._bind(needs.after, 'uuid')})"
            self.parts["low"] = at
            self.parts["high"] = f"(SELECT min(position) {there} AND position > {at})"
        elif needs.before:
            at = f"(SELECT position FROM asked WHERE id = {self._bind(needs.before, 'uuid')})"
            self.parts["low"] = f"(SELECT max(position) {there} AND position < {at})"
            self.parts["high"] = at
        else:
            self.parts["low"] = f"(SELECT max(position) {there})"

    def _taken(self, new_id: UUID) -> None:
        one = self._bind(new_id, "uuid")
        tables = ("task", "tag", "category", "workspace", "member", "account")
        exist = (f"EXISTS (SELECT FROM {table} WHERE id = {one})" for table in tables)
        self.parts["taken"] = f"({' OR '.join(exist)})"

    def _named(self, kind: Kind, key: str) -> None:
        own = f"FROM {kind} WHERE workspace_id = (SELECT id FROM ws)"
        self.parts["name_taken"] = f"(SELECT id {own} AND name_key = {self._bind(key, 'text')})"
        self.parts["label_count"] = f"(SELECT count(*) {own})"

    def _labels(self, needs: Needs) -> None:
        sources = [name for name in ("asked",) if name in self.ctes]
        if needs.subtree:
            sources.append("task t JOIN below USING (id)")
        for kind, plural, column in (
            ("category", "categories", "category_id"),
            ("tag", "tags", "unnest(tag_ids)"),
        ):
            wanted = [f"SELECT {column} FROM {source}" for source in sources]
            if kind == "category" and needs.category:
                wanted.append(f"SELECT {self._bind(needs.category, 'uuid')}")
            if kind == "tag" and needs.tags:
                wanted.append(f"SELECT unnest({self._bind(list(needs.tags), 'uuid[]')})")
            if wanted:
                self.parts[plural] = f"""(
                    SELECT json_agg(json_build_object('id', id, 'name', name, 'colour', colour))
                    FROM {kind} WHERE workspace_id = (SELECT id FROM ws)
                      AND id IN ({" UNION ALL ".join(wanted)}))"""

    def _people(self, needs: Needs) -> None:
        wanted = ["SELECT assignee_id FROM asked"] if "asked" in self.ctes else []
        if needs.subtree:
            wanted.append("SELECT assignee_id FROM task t JOIN below USING (id)")
        if needs.users:
            wanted.append(f"SELECT unnest({self._bind(list(needs.users), 'uuid[]')})")
        if needs.owners:
            self.parts["owners"] = f"""(
                SELECT count(*) FROM member
                WHERE workspace_id = (SELECT id FROM ws) AND role = {Role.OWNER.value})"""
        if needs.email_key:
            key = self._bind(needs.email_key, "text")
            wanted.append(f"SELECT id FROM account WHERE email_key = {key}")
            self.parts["invitee"] = f"""(
                SELECT id FROM account WHERE email_key = {key} AND EXISTS (SELECT FROM ws))"""
            invitee = f"(SELECT id FROM account WHERE email_key = {key})"
            self.parts["joined"] = _MEMBERSHIPS.format(user=invitee, when=">")
        self.parts["users"] = f"""(
            SELECT json_agg(json_build_object('id', a.id, 'name', a.name, 'member', m.id,
                                              'role', m.role, 'since', m.created_at))
            FROM account a LEFT JOIN member m
              ON m.user_id = a.id AND m.workspace_id = (SELECT id FROM ws)
            WHERE EXISTS (SELECT FROM ws) AND a.id IN ({" UNION ALL ".join(wanted)}))"""


def seen(command: Command, needs: Needs, answer: str) -> Seen:
    """Returns what the look found, in the domain's terms."""
    row: Row = orjson.loads(answer)
    ws: Row | None = row["workspace"]
    space = None if ws is None else WorkspaceId(UUID(ws["id"]))
    tasks = {
        task.id: task for task in (_task(one, space) for one in row.get("tasks") or () if space)
    }
    people = row.get("users") or ()
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
        recorded=_recorded(row.get("recorded")),
        label=_label(kind, row["label"], space) if row.get("label") and space else None,
        task=tasks.get(needs.task) if needs.task else None,
        tasks=tasks,
        descendants=tuple(_task(one, space) for one in (row.get("below") or ()) if space),
        ancestors=tuple(TaskId(UUID(one)) for one in row.get("ancestors") or ()),
        subtree_depth=row.get("depth") or 0,
        labels={
            label.id: label
            for name, plural in (("category", "categories"), ("tag", "tags"))
            for label in _labels(name, row.get(plural), space)
        },
        users=users,
        members={
            UserId(UUID(one["id"])): _member(one, space)
            for one in people
            if one["member"] and space
        },
        invitee=users.get(UserId(UUID(row["invitee"]))) if row.get("invitee") else None,
        low=row.get("low"),
        high=row.get("high"),
        taken=row.get("taken", False),
        name_taken=UUID(row["name_taken"]) if row.get("name_taken") else None,
        label_count=row.get("label_count") or 0,
        owner_count=row.get("owners") or 0,
        founded_count=row.get("founded") or 0,
        joined_count=row.get("joined") or 0,
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
