"""What mutations answer: the subject's state as it was selected, or what the caller can act on."""

import functools
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

import strawberry
from graphql import get_argument_values
from strawberry import UNSET
from strawberry.types import Info

from domain.changes import State
from domain.errors import (
    Invisible,
    OverLimit,
    Problem,
    Problems,
    Refused,
    Unauthenticated,
    invalid,
)
from domain.ids import WorkspaceId, parse_uuid
from domain.ports import Command
from domain.selection import Missing, Selection
from domain.services.mutations import Outcome
from resolvers.render import render
from resolvers.selection import selected
from resolvers.streams import SIGN_IN
from schema.context import Context, RequestInfo

P = ParamSpec("P")
Payload = dict[str, object]
Resolver = Callable[Concatenate[Any, RequestInfo, P], Awaitable[Payload]]


def mutation(answers: type, description: str) -> Callable[[Resolver[P]], Any]:
    """Returns a decorator: a mutation whose refusals become `userErrors` of the payload.

    The root is nullable, so that one failure leaves its neighbours' answers.
    """

    def decorate(resolver: Resolver[P]) -> Any:
        @functools.wraps(resolver)
        async def resolve(
            self: object, info: RequestInfo, *args: P.args, **kwargs: P.kwargs
        ) -> Payload:
            try:
                return await resolver(self, info, *args, **kwargs)
            except Refused as refused:
                return await _refusal(info, refused)

        return strawberry.mutation(
            resolver=resolve, graphql_type=answers | None, description=description
        )

    return decorate


def command(info: RequestInfo, key: str | None, problems: Problems | None = None) -> Command:
    """Returns who asks for what, with the digest of the arguments a retry would repeat.

    `problems` are what is wrong with the arguments already; an UNSET key is none.

    Raises:
        Unauthenticated: the request carries no valid session.
    """
    viewer = info.context.viewer
    if viewer is None:
        raise Unauthenticated(SIGN_IN)
    return Command(
        actor=viewer.user,
        field=info.field_name,
        key=None if key is UNSET else key,
        # Only a key's record is compared by them.
        arguments=_digest(info) if key else b"",
        trace=info.context.trace,
        problems=problems.found if problems else (),
    )


async def done(
    info: RequestInfo, subject: str, outcome: Outcome, workspace: WorkspaceId | None = None
) -> Payload:
    """Returns the payload of what was done.

    Args:
        info: the mutation's.
        subject: the payload's field for the subject.
        outcome: what the use case did.
        workspace: where, if the subject's state does not say so.
    """
    given = _given(info)
    answer: Payload = {}
    for field in selected(info).fields:
        if field.attribute == subject and field.selection is not None:
            with carried_out():
                answer[field.key] = await _shown(info, outcome.state, field.selection, workspace)
        elif field.attribute == f"{subject}_id":
            answer[field.key] = str(outcome.subject)
        elif field.attribute == "seq":
            answer[field.key] = str(outcome.seq)
        elif field.attribute == "client_mutation_id":
            answer[field.key] = given
        elif field.attribute == "user_errors":
            answer[field.key] = []
    return answer


@contextmanager
def carried_out() -> Iterator[None]:
    """Says of an answer that is too long that its mutation was carried out nevertheless."""
    try:
        yield
    except OverLimit as fault:
        raise OverLimit(f"This was carried out. {fault}") from fault


def wanted_id(text: str, *path: str) -> UUID:
    """Returns the id.

    Raises:
        Refused: INVALID; the text is no UUID.
    """
    found = parse_uuid(text)
    if found is None:
        raise invalid("Send an id as a UUID, such as 01936f2e-8c1a-7c3e-9d54-0242ac120002.", *path)
    return found


def visible_id(text: str) -> UUID:
    """Returns the id.

    Raises:
        Invisible: the text is no UUID, so there can be no such thing.
    """
    found = parse_uuid(text)
    if found is None:
        raise Invisible("There is no such thing.")
    return found


def new_id(text: str | None, *path: str) -> UUID | None:
    """Returns the id that a client brings, None where it brings none.

    Raises:
        Refused: INVALID; the text is no UUID.
    """
    return None if text is None or text is UNSET else wanted_id(text, *path)


async def _shown(
    info: RequestInfo, state: State, selection: Selection, workspace: WorkspaceId | None = None
) -> Mapping[str, object]:
    """Returns the state as it is selected; what it does not hold is the present."""
    missing: list[Missing] = []
    answer = render(selection, state, missing)
    if missing:
        where = workspace or WorkspaceId(UUID(str(state["workspace_id"])))
        await info.context.fill(where, missing)
    return answer


async def _refusal(info: RequestInfo, refused: Refused) -> Payload:
    answer: Payload = {}
    for field in selected(info).fields:
        if field.attribute == "user_errors" and field.selection is not None:
            states = [problem_state(problem) for problem in refused.problems]
            answer[field.key] = [render(field.selection, state) for state in states]
        elif field.attribute == "client_mutation_id":
            answer[field.key] = _given(info)
        elif field.selection is not None and refused.current is not None:
            answer[field.key] = await _shown(info, refused.current, field.selection)
        else:
            answer[field.key] = None
    return answer


def problem_state(problem: Problem) -> State:
    """Returns a problem as a `UserError` shows it."""
    path = list(problem.path) or None
    return {"code": problem.code.value, "field": path, "message": problem.message}


def _given(info: RequestInfo) -> object:
    return (_arguments(info).get("input") or {}).get("clientMutationId")


def _arguments(info: Info[Context, None]) -> dict[str, Any]:
    raw = info._raw_info  # noqa: SLF001 - Strawberry shows the arguments' Python form only
    field = raw.parent_type.fields[raw.field_name]
    return get_argument_values(field, raw.field_nodes[0], raw.variable_values)


def _digest(info: RequestInfo) -> bytes:
    arguments = dict(_arguments(info))
    given = {k: v for k, v in (arguments.get("input") or {}).items() if k != "clientMutationId"}
    # Not orjson: a lone surrogate has to get as far as the refusal that names its path.
    canonical = json.dumps(arguments | {"input": given}, default=str, sort_keys=True)
    return hashlib.sha256(canonical.encode()).digest()
