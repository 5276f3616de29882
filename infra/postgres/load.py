"""One look at all that a decision needs: a single statement, so a single snapshot."""

# ruff: noqa: S608 - what is spliced are names of our own tables and numbers of parameters

from domain.ids import TaskId
from domain.labels import Kind
from domain.personal import LEAVING_MAX
from domain.ports import Command, Needs
from domain.tasks import DEPTH_MAX, SUBTREE_MAX, SUBTREE_MAX_BYTES, TAG_BYTES
from domain.workspaces import Role
from infra.postgres.series_look import OfIds, OfTask, series_parts

TASK = """json_build_object('id', t.id, 'title', t.title, 'description', t.description,
    'status', t.status, 'priority', t.priority, 'due_day', t.due_day, 'due_at', t.due_at,
    'due_zone', t.due_zone, 'due_fold', t.due_fold, 'due_instant', t.due_instant,
    'category_id', t.category_id, 'tag_ids', t.tag_ids, 'assignee_id', t.assignee_id,
    'parent_id', t.parent_id, 'position', t.position, 'version', t.version,
    'created_at', t.created_at, 'updated_at', t.updated_at, 'completed_at', t.completed_at,
    'deleted_at', t.deleted_at, 'series_id', t.series_id, 'slot', t.slot)"""
# The founder's membership is as old as its workspace; whoever was added came later.
_MEMBERSHIPS = """(
    SELECT count(*) FROM member m JOIN workspace w ON w.id = m.workspace_id
    WHERE m.user_id = {user} AND m.created_at {when} w.created_at)"""
_LIVE = "FROM task WHERE deleted_at IS NULL AND workspace_id = (SELECT id FROM ws)"


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
        self._is_own = command.actor is None
        self._actor = "NULL" if self._is_own else self._bind(command.actor, "uuid")
        self._its_task: str | None = None
        self._workspace(needs)
        if needs.series or needs.its_series:
            whose: OfTask | OfIds
            if needs.its_series:
                whose = OfTask(self._bind(needs.task, "uuid"))
            else:
                whose = OfIds(self._bind(needs.series, "uuid[]"))
            parts = series_parts(TASK, whose, needs)
            self.ctes |= parts.ctes
            self.parts |= parts.parts
        if command.key is not None:
            self._recorded(command.key)
        self._tree(needs)
        if needs.task or needs.tasks or needs.after or needs.before or needs.task_of:
            self._tasks(needs)
        self._ledger(needs)
        if needs.end or needs.after or needs.before:
            self._around(needs)
        if needs.name:
            self._named(*needs.name)
        self._labels(needs)
        if needs.users or needs.email_key or self._shown():
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
        elif needs.task_of:
            table, stands = needs.task_of
            self._its_task = (
                f"(SELECT task_id FROM {table} WHERE id = {self._bind(stands, 'uuid')})"
            )
            target = f"(SELECT workspace_id FROM task WHERE id = {self._its_task})"
        elif needs.label:
            kind, label = needs.label
            one = self._bind(label, "uuid")
            target = f"(SELECT workspace_id FROM {kind} WHERE id = {one})"
            self.parts["label"] = f"""(
                SELECT json_build_object('id', id, 'name', name, 'colour', colour)
                FROM {kind} WHERE id = {one} AND workspace_id = (SELECT id FROM ws))"""
        elif needs.series:
            one = self._bind(needs.series[0], "uuid")
            target = f"(SELECT workspace_id FROM series WHERE id = {one})"
        else:
            target = "NULL::uuid"
            self.parts["founded"] = _MEMBERSHIPS.format(user=self._actor, when="=")
        self.ctes["ws"] = f"""
            SELECT w.*, m.role FROM workspace w JOIN member m ON m.workspace_id = w.id
            WHERE m.user_id = {self._actor} AND w.id = {target}"""
        if self._is_own:
            self.ctes["ws"] = f"""
                SELECT *, {Role.OWNER.value} AS role FROM workspace WHERE id = {target}"""
        self.parts["workspace"] = """(
            SELECT json_build_object('id', id, 'name', name, 'created_at', created_at,
                'role', role, 'head', head, 'roles_rev', roles_rev, 'labels_rev', labels_rev,
                'tree_rev', tree_rev) FROM ws)"""

    def _recorded(self, key: str) -> None:
        self.parts["recorded"] = f"""(
            SELECT json_build_object('field', r.field, 'arguments', encode(r.arguments, 'hex'),
                'seq', r.seq, 'subject', r.subject,
                'visible', r.stream = r.user_id OR EXISTS (
                    SELECT FROM member m WHERE m.workspace_id = r.stream AND m.user_id = r.user_id),
                'state', coalesce(r.state, (
                    SELECT c.payload FROM change c
                    WHERE c.subject = r.subject AND c.stream = r.stream AND c.seq <= r.seq
                    ORDER BY c.seq DESC LIMIT 1)))
            FROM idempotency r
            WHERE r.user_id = {self._actor} AND r.key = {self._bind(key, "text")})"""

    def _tree(self, needs: Needs) -> None:
        if needs.height:
            self._height(needs)
        if needs.subtree:
            self._subtree(needs)
        if needs.ancestors_of:
            self._ancestors(needs.ancestors_of)

    def _height(self, needs: Needs) -> None:
        # All of them, however many: one left out could be the deepest.
        self.ctes["under"] = f"""
            SELECT id, 1 AS depth FROM task WHERE parent_id = {self._bind(needs.task, "uuid")}
            UNION ALL
            SELECT t.id, u.depth + 1 FROM task t JOIN under u ON t.parent_id = u.id
            WHERE u.depth <= {DEPTH_MAX}"""
        self.parts["height"] = "(SELECT max(depth) FROM under)"

    def _subtree(self, needs: Needs) -> None:
        self.ctes["subtree"] = f"""
            SELECT t.id, t.deleted_at, 1 AS depth FROM task t JOIN task top
              ON t.parent_id = top.id AND t.deleted_at IS NOT DISTINCT FROM top.deleted_at
            WHERE top.id = {self._bind(needs.task, "uuid")}
            UNION ALL
            SELECT t.id, t.deleted_at, s.depth + 1 FROM task t JOIN subtree s
              ON t.parent_id = s.id AND t.deleted_at IS NOT DISTINCT FROM s.deleted_at
            WHERE s.depth <= {DEPTH_MAX}"""
        # Weighed before they are fetched: what no commit takes may be gigabytes.
        self.ctes["below"] = f"SELECT id, depth FROM subtree LIMIT {SUBTREE_MAX + 1}"
        self.ctes["weighed"] = f"""
            SELECT count(*) > {SUBTREE_MAX}
                OR sum(octet_length(description) + {TAG_BYTES} * cardinality(tag_ids))
                   > {SUBTREE_MAX_BYTES} AS excess
            FROM task JOIN below USING (id)"""
        self.parts["excess"] = "(SELECT excess FROM weighed)"
        self.parts["below"] = f"""(
            SELECT json_agg({TASK} ORDER BY b.depth) FROM task t JOIN below b USING (id)
            WHERE t.workspace_id = (SELECT id FROM ws)
              AND NOT coalesce((SELECT excess FROM weighed), false))"""
        self.ctes["trashed"] = f"""
            SELECT id, position FROM task WHERE deleted_at IS NOT NULL
              AND id IN (SELECT {self._bind(needs.task, "uuid")} UNION ALL SELECT id FROM below)"""
        self.parts["crowded"] = f"""(
            SELECT json_object_agg(t.id, least(
                (SELECT min(position) {_LIVE} AND position > t.position),
                (SELECT min(o.position) FROM trashed o WHERE o.position > t.position)))
            FROM trashed t WHERE EXISTS (SELECT {_LIVE} AND position = t.position))"""

    def _ancestors(self, of: TaskId) -> None:
        self.ctes["ancestor"] = f"""
            SELECT parent_id AS id, 1 AS depth FROM task
            WHERE id = {self._bind(of, "uuid")} AND parent_id IS NOT NULL
            UNION ALL
            SELECT t.parent_id, a.depth + 1 FROM task t JOIN ancestor a ON t.id = a.id
            WHERE t.parent_id IS NOT NULL AND a.depth <= {DEPTH_MAX}"""
        self.parts["ancestors"] = "(SELECT json_agg(id ORDER BY depth) FROM ancestor)"

    def _tasks(self, needs: Needs) -> None:
        named = (needs.task, *needs.tasks, needs.after, needs.before)
        ids = self._bind([one for one in named if one is not None], "uuid[]")
        parent = "OR id = (SELECT id FROM ancestor WHERE depth = 1)" if needs.ancestors_of else ""
        if self._its_task is not None:
            parent += f" OR id = {self._its_task}"
        self.ctes["asked"] = f"""
            SELECT * FROM task
            WHERE workspace_id = (SELECT id FROM ws) AND (id = ANY({ids}) {parent})"""
        self.parts["tasks"] = f"(SELECT json_agg({TASK}) FROM asked t)"

    def _ledger(self, needs: Needs) -> None:
        """Reads what rings for the task, and for those below it; see `LedgerSeen`."""
        whose = [self._its_task] if self._its_task is not None else []
        whose += [f"SELECT {self._bind(needs.task, 'uuid')}"] if needs.task else []
        whose += ["SELECT id FROM below"] if needs.subtree else []
        whose += ["SELECT id FROM shown"] if "shown" in self.ctes else []
        whose += ["SELECT id FROM asked"] if self._is_own and needs.tasks else []
        if whose:
            self.ctes["rung"] = f"""
                SELECT id FROM task
                WHERE workspace_id = (SELECT id FROM ws) AND id IN ({" UNION ALL ".join(whose)})"""
            self.parts["reminders"] = """(
                SELECT json_agg(json_build_object('row', to_json(r), 'is_member', EXISTS (
                    SELECT FROM member m
                    WHERE m.workspace_id = (SELECT id FROM ws) AND m.user_id = r.user_id)))
                FROM reminder r WHERE r.task_id IN (SELECT id FROM rung))"""
            self.parts["deliveries"] = f"""(
                SELECT json_agg(to_json(d)) FROM delivery d
                WHERE d.task_id IN (SELECT id FROM rung) AND (
                    d.state IN ('PENDING', 'CLAIMED') OR d.fire_at > now() - interval '1 day'
                    {self._lineage(needs)}))"""
        elif needs.leaving_of is not None:
            self.parts["deliveries"] = f"""(
                SELECT json_agg(to_json(d)) FROM (
                    SELECT * FROM delivery
                    WHERE recipient = {self._bind(needs.leaving_of, "uuid")}
                      AND workspace_id = (SELECT id FROM ws) AND state IN ('PENDING', 'CLAIMED')
                    ORDER BY fire_at LIMIT {LEAVING_MAX}) AS d)"""
        if needs.wishes:
            self.parts["wishes"] = f"""(
                SELECT json_agg(json_build_object('row', to_json(p), 'zone', a.time_zone))
                FROM preference p JOIN account a ON a.id = p.user_id
                WHERE p.user_id = ANY({self._bind(list(needs.wishes), "uuid[]")}))"""

    def _lineage(self, needs: Needs) -> str:
        if needs.task_of is None or needs.task_of[0] != "delivery":
            return ""
        return f"""OR (d.source, d.recipient, d.root_at) = (
            SELECT source, recipient, root_at FROM delivery
            WHERE id = {self._bind(needs.task_of[1], "uuid")})"""

    def _around(self, needs: Needs) -> None:
        if needs.after:
            at = f"(SELECT position FROM asked WHERE id = {self._bind(needs.after, 'uuid')})"
            self.parts["low"] = at
            self.parts["high"] = f"(SELECT min(position) {_LIVE} AND position > {at})"
        elif needs.before:
            at = f"(SELECT position FROM asked WHERE id = {self._bind(needs.before, 'uuid')})"
            self.parts["low"] = f"(SELECT max(position) {_LIVE} AND position < {at})"
            self.parts["high"] = at
        else:
            self.parts["low"] = f"(SELECT max(position) {_LIVE})"

    def _shown(self) -> list[str]:
        """Returns the ctes whose rows show labels and people."""
        return [name for name in ("asked", "kept", "shown") if name in self.ctes]

    def _named(self, kind: Kind, key: str) -> None:
        own = f"FROM {kind} WHERE workspace_id = (SELECT id FROM ws)"
        self.parts["name_taken"] = f"(SELECT id {own} AND name_key = {self._bind(key, 'text')})"
        self.parts["label_count"] = f"(SELECT count(*) {own})"

    def _labels(self, needs: Needs) -> None:
        sources = self._shown()
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
        wanted = [f"SELECT assignee_id FROM {source}" for source in self._shown()]
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
