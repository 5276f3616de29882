"""What a look reads of series: they themselves, their latest occurrences, and what hangs on those.

Ctes: `kept` the series; `taken_back` the ledger's slots that may come again; `above` the parents
of occurrences, and theirs; `root` the tasks that matter, with `beneath` all below them; `under`
these, weighed; `open_one` other open occurrences; `shown` all those tasks.
"""

# ruff: noqa: S608 - what is spliced are constants of ours and numbers of parameters

from dataclasses import dataclass, field

from domain.ports import Needs
from domain.series import NO_ORIGIN
from domain.tasks import DEPTH_MAX, SUBTREE_MAX, SUBTREE_MAX_BYTES, TAG_BYTES

# Of what a series took back by undos: what comes again is about the latest of it.
_WITHDRAWN_MAX = 10
# As many as one commit changes.
_OPEN_MAX = 1_000


@dataclass(slots=True)
class Parts:
    """Ctes and parts of the look, by their names."""

    ctes: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OfIds:
    """The series of a parameter's ids."""

    parameter: str

    @property
    def wanted(self) -> str:
        """Which rows of the table."""
        return f"id = ANY({self.parameter})"

    @property
    def later(self) -> str | None:
        """Which slots come no sooner than that of one occurrence: none are asked for."""
        return None


@dataclass(frozen=True, slots=True)
class OfTask:
    """The series of the parameter's occurrence."""

    parameter: str

    @property
    def wanted(self) -> str:
        """Which rows of the table."""
        return f"id = (SELECT series_id FROM task WHERE id = {self.parameter})"

    @property
    def later(self) -> str | None:
        """Which slots come no sooner than that of one occurrence."""
        return f"""
            SELECT e.task_id, l.instant AS since FROM series_slot l JOIN series_slot e
              ON e.series_id = l.series_id AND e.instant >= l.instant
            WHERE l.series_id IN (SELECT id FROM kept) AND l.task_id = {self.parameter}"""


def series_parts(task: str, whose: OfIds | OfTask, needs: Needs) -> Parts:
    """Returns what reads series.

    Args:
        task: makes a task's JSON of `t`.
        whose: which series.
        needs: what is asked for.
    """
    own = "" if needs.occurrences else "AND s.open = 'REPLACE'"
    found = Parts()
    found.ctes = {
        "kept": f"""
            SELECT * FROM series WHERE workspace_id = (SELECT id FROM ws) AND {whose.wanted}""",
        "taken_back": f"""
            SELECT l.* FROM kept s CROSS JOIN LATERAL (
                SELECT * FROM series_slot
                WHERE series_id = s.id AND state = 'WITHDRAWN'
                  AND (origin = s.current OR instant > s.done_until)
                ORDER BY instant DESC LIMIT {_WITHDRAWN_MAX}) AS l""",
        # The parents of what is made, with all above them.
        "above": f"""
            SELECT id AS parent, parent_id AS id, 1 AS depth FROM task
            WHERE workspace_id = (SELECT id FROM ws) AND id IN (SELECT parent_id FROM kept)
            UNION ALL
            SELECT a.parent, t.parent_id, a.depth + 1 FROM above a JOIN task t ON t.id = a.id
            WHERE a.depth <= {DEPTH_MAX}""",
        "root": f"""
            SELECT t.* FROM task t WHERE t.workspace_id = (SELECT id FROM ws)
              AND t.id IN (SELECT current FROM kept UNION ALL SELECT task_id FROM taken_back
                           {"UNION ALL SELECT id FROM open_one" if needs.occurrences else ""})""",
        "beneath": f"""
            SELECT r.id AS root, t.id, t.deleted_at, 1 AS depth FROM root r JOIN task t
              ON t.parent_id = r.id AND t.deleted_at IS NOT DISTINCT FROM r.deleted_at
            UNION ALL
            SELECT b.root, t.id, t.deleted_at, b.depth + 1 FROM beneath b JOIN task t
              ON t.parent_id = b.id AND t.deleted_at IS NOT DISTINCT FROM b.deleted_at
            WHERE b.depth <= {DEPTH_MAX}""",
        # The first of them, parents before children, that one commit takes.
        "under": f"""
            SELECT b.root, b.id, b.depth, row_number() OVER w AS place,
                sum(octet_length(t.description) + {TAG_BYTES} * cardinality(t.tag_ids)) OVER w
                    AS bytes
            FROM beneath b JOIN task t ON t.id = b.id
            WINDOW w AS (ORDER BY b.root, b.depth, t.position, t.id)
            LIMIT {SUBTREE_MAX + 1}""",
        "open_one": f"""
            SELECT * FROM task WHERE id NOT IN (SELECT current FROM kept) AND id IN (
                SELECT t.id FROM kept s JOIN task t ON t.series_id = s.id
                WHERE t.deleted_at IS NULL AND t.status IN ('OPEN', 'IN_PROGRESS') {own}
                {"UNION ALL SELECT task_id FROM later" if whose.later else ""})
            ORDER BY id LIMIT {_OPEN_MAX}""",
        "shown": """
            SELECT * FROM task WHERE id IN (
                SELECT id FROM root UNION ALL SELECT id FROM under UNION ALL
                SELECT id FROM open_one)""",
    }
    if whose.later:
        found.ctes = {"kept": found.ctes.pop("kept"), "later": whose.later, **found.ctes}
        found.parts["series_later"] = """(
            SELECT json_build_object('since', min(since), 'ids', json_agg(task_id)) FROM later)"""
    if needs.untouched:
        # What the log has lost may have been anybody's.
        found.parts["series_untouched"] = """(
            SELECT json_agg(t.id) FROM shown t WHERE (
                SELECT bool_and(c.actor IS NULL) AND bool_or(c.kind = 'task.created')
                FROM change c WHERE c.subject = t.id))"""
    within = f"u.place <= {SUBTREE_MAX} AND u.bytes <= {SUBTREE_MAX_BYTES}"
    found.parts |= {
        "series": "(SELECT json_agg(to_json(s)) FROM kept s)",
        "series_parents": """(
            SELECT json_object_agg(id, json_build_object('version', version,
                'depth', (SELECT max(depth) FROM above WHERE parent = task.id),
                'is_live', deleted_at IS NULL))
            FROM task WHERE id IN (SELECT parent FROM above))""",
        "series_cancelled": """(
            SELECT json_object_agg(s.id, (
                SELECT at FROM change c WHERE c.subject = t.id AND 'status' = ANY (c.fields)
                ORDER BY seq DESC LIMIT 1))
            FROM kept s JOIN root t ON t.id = s.current
            WHERE s.anchor = 'COMPLETION' AND t.status = 'CANCELLED')""",
        "series_followed": f"""(
            SELECT json_object_agg(s.id, json_build_array(e.task_id, e.instant, l.origin))
            FROM kept s JOIN root t ON t.id = s.current
            JOIN series_slot l ON l.series_id = s.id AND l.slot = t.slot AND l.task_id = t.id
            CROSS JOIN LATERAL (
                SELECT task_id, instant FROM series_slot
                WHERE series_id = s.id AND state = 'SPAWNED'
                  AND (task_id = l.origin OR (instant < l.instant AND s.open = 'WAIT'
                                              AND l.origin = '{NO_ORIGIN}'))
                ORDER BY instant DESC LIMIT 1) AS e
            WHERE s.anchor = 'COMPLETION' OR s.open = 'WAIT')""",
        "series_withdrawn": "(SELECT json_agg(to_json(l)) FROM taken_back l)",
        "series_roots": f"(SELECT json_agg({task}) FROM root t)",
        "series_below": f"""(
            SELECT json_agg(json_build_object('root', u.root, 'task', {task}) ORDER BY u.place)
            FROM under u JOIN task t ON t.id = u.id WHERE {within})""",
        "series_open": f"(SELECT json_agg({task}) FROM open_one t)",
        "series_excess": f"(SELECT true FROM under u WHERE NOT ({within}) LIMIT 1)",
    }
    return found
