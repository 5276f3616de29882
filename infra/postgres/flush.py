"""The one write of a mutation: what was decided, as the argument of the function `flush_2`."""

from collections.abc import Callable, Sequence
from uuid import UUID

import asyncpg
import orjson

from domain.accounts import Account, Session
from domain.changes import GENESIS, text
from domain.errors import DomainError, Stale, conflict
from domain.ids import UserId
from domain.labels import Label
from domain.ports import Claim, Command, Writes
from domain.tasks import Task, clock_text, instant_text
from domain.text import search_text, sort_key
from domain.workspaces import Member
from infra.postgres.personal import change, ledger_parts, persons
from infra.postgres.series_rows import ledger_row, moved_row, series_row

FLUSH = "SELECT of_stream, at_head FROM flush_2($1::jsonb)"
# Raised by flush_2: what the decision read has moved; an id is taken by anything.
MOVED = "CA001"
TAKEN = "CA002"

_UNIQUE = {
    "tag_workspace_id_name_key_key": ("There is a tag of this name.", ("input", "name")),
    "category_workspace_id_name_key_key": ("There is a category of this name.", ("input", "name")),
    "account_email_key_key": ("This address has an account: sign in.", ("input", "email")),
}


def argument(command: Command, writes: Writes, new_id: Callable[[], UUID]) -> str:
    """Returns `flush_2`'s argument; `new_id` makes the changes' ids."""
    at, actor = instant_text(writes.at), writes.actor
    fields = {fact.subject: fact.fields for fact in writes.facts}
    put: dict[str, object] = {
        "workspace": writes.workspace,
        "at": at,
        "actor": actor and actor.id,
        "actor_name": actor and actor.name,
        "key": command.key,
        "trace": command.trace,
        "roles_rev": writes.roles_rev,
        "labels_rev": writes.labels_rev,
        "tree_rev": writes.tree_rev,
        "roles_moved": int(writes.roles_moved),
        "labels_moved": int(writes.labels_moved),
        "tree_moved": int(writes.tree_moved),
        "new_ids": _new_ids(writes),
        "seen": [{"id": task, "version": version} for task, version in writes.seen.items()],
        "claims": [_claim(one) for one in writes.claims],
        "accounts": [_account(one) for one in writes.accounts],
        "sessions": [_session(one) for one in writes.sessions],
        "members": [_member(one) for one in writes.members],
        "members_gone": [one.id for one in writes.members_gone],
        "categories_new": [_label(one) for one in writes.labels_new if one.kind == "category"],
        "categories": [_label(one) for one in writes.labels if one.kind == "category"],
        "tags_new": [_label(one) for one in writes.labels_new if one.kind == "tag"],
        "tags": [_label(one) for one in writes.labels if one.kind == "tag"],
        "tasks_new": [_task(one) | _words(one) for one in writes.tasks_new],
        "tasks": [_changed(one, fields[one.id]) for one in writes.tasks],
        "series_seen": [{"id": one, "rev": rev} for one, rev in writes.series_seen.items()],
        "series_new": [series_row(one) | moved_row(one) for one in writes.series_new],
        "series": [
            series_row(one)
            for one in writes.series
            if not {"recurrence", "template"}.isdisjoint(fields.get(one.id, ()))
        ],
        "series_moved": [moved_row(one) for one in writes.series],
        "slots_moved": writes.slots_moved
        and dict(
            zip(
                ("source", "target", "since"),
                (*writes.slots_moved[:2], instant_text(writes.slots_moved[2])),
                strict=True,
            )
        ),
        "slots_new": [ledger_row(one) for one in writes.slots_new],
        "slots": [ledger_row(one) for one in writes.slots],
        "changes": [
            change(one, at=at or "", actor=_actor(writes), key=command.key, id=new_id())
            for one in writes.facts
        ],
        **_personal(writes, command, at or "", new_id),
    }
    if writes.create is not None:
        put["create"] = {
            "name": writes.create.name,
            "created_at": at,
            "genesis": GENESIS.hex(),
        }
    if writes.label_gone is not None:
        put[f"{writes.label_gone.kind}_gone"] = writes.label_gone.id
    if command.key is not None:
        put["record"] = {
            "user_id": command.actor,
            "key": command.key,
            "field": command.field,
            "arguments": command.arguments.hex(),
            "subject": writes.subject,
            "at": at,
            **({} if writes.own is None else {"stream": writes.own}),
            "state": None if writes.unchanged is None else text(writes.unchanged),
        }
    # An absent key is work that the function does not do.
    done = {key: value for key, value in put.items() if value is not None and value != []}
    return orjson.dumps(done).decode()


def refusal(error: asyncpg.PostgresError) -> DomainError | Stale | None:
    """Returns what a driver error of a flush means to the domain, None for a fault."""
    if error.sqlstate == MOVED:
        return Stale(str(error))
    if error.sqlstate == TAKEN:
        return conflict("This id is taken: choose another.", "input", "id")
    if isinstance(error, asyncpg.UniqueViolationError):
        found = _UNIQUE.get(error.constraint_name or "")
        # Any other: somebody used the key or added the member meanwhile, and a new load says which.
        return Stale(str(error)) if found is None else conflict(found[0], *found[1])
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return Stale(str(error))
    return None


def _new_ids(writes: Writes) -> list[UUID]:
    """Returns the ids that clients may have chosen; ours are new by themselves."""
    spaces = () if writes.create is None else (writes.create,)
    reminders = (one for one, _ in writes.ledger.reminders_new)
    made = (*spaces, *writes.labels_new, *writes.series_new, *writes.tasks_new, *reminders)
    return [one.id for one in made]


def _actor(writes: Writes) -> UserId | None:
    return None if writes.actor is None else writes.actor.id


def _personal(
    writes: Writes, command: Command, at: str, new_id: Callable[[], UUID]
) -> dict[str, object]:
    if not writes.ledger:
        return {}
    told = persons(writes.ledger.told, at=at, actor=_actor(writes), key=command.key, new_id=new_id)
    return {"personal": True, "persons": told, **ledger_parts(writes.ledger)}


def _claim(claim: Claim) -> dict[str, object]:
    ends = (claim.position, claim.beside or claim.position)
    return {
        "task": claim.task,
        "low": min(ends),
        "high": max(ends),
        "beside": claim.beside,
    }


def _account(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "email": account.email,
        "email_key": account.email_key,
        "name": account.name,
        "time_zone": account.time_zone,
        "password_hash": account.password_hash,
        "created_at": instant_text(account.created_at),
    }


def _session(session: Session) -> dict[str, object]:
    return {
        "id": session.id,
        "user_id": session.user_id,
        "created_at": instant_text(session.created_at),
        "expires_at": instant_text(session.expires_at),
        "refresh_hex": session.refresh_digest.hex(),
    }


def _member(member: Member) -> dict[str, object]:
    return {
        "id": member.id,
        "user_id": member.user.id,
        "role": member.role.value,
        "created_at": instant_text(member.created_at),
    }


def _label(label: Label) -> dict[str, object]:
    return {
        "id": label.id,
        "name": label.name,
        "name_key": sort_key(label.name),
        "colour": label.colour,
    }


def _task(task: Task) -> dict[str, object]:
    """Returns all of a task but its words."""
    due = task.due
    return {
        "id": task.id,
        "status": task.status.name,
        "priority": task.priority.value,
        "due_day": due and due.day.isoformat(),
        "due_at": due and clock_text(due),
        "due_zone": due and due.zone,
        "due_fold": due and due.fold,
        "due_instant": due and instant_text(due.instant),
        "category_id": task.category_id,
        "tag_ids": sorted(task.tag_ids),
        "assignee_id": task.assignee_id,
        "parent_id": task.parent_id,
        "position": task.position,
        "version": task.version,
        "created_at": instant_text(task.created_at),
        "updated_at": instant_text(task.updated_at),
        "completed_at": instant_text(task.completed_at),
        "deleted_at": instant_text(task.deleted_at),
        "series_id": task.series_id,
        "slot": task.slot,
    }


def _words(task: Task) -> dict[str, object]:
    return {
        "title": task.title,
        "title_key": sort_key(task.title),
        "description": task.description,
        "search_a": search_text(task.title),
        "search_b": search_text(task.description),
    }


def _changed(task: Task, fields: Sequence[str]) -> dict[str, object]:
    """Returns what of a task is written: its words only where they are others."""
    return _task(task) | _words(task) if {"title", "description"} & set(fields) else _task(task)
