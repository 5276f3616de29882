"""Operations: what a payload asks for becomes an answer, or a stream.

A query whose every root is read goes to the reader as a whole: one statement, whose bytes are the
answer's `data`. Where something is not visible or cannot be asked, its roots are read one by one,
so that each has its own error. Mutations, and queries with introspection in them, are run by
graphql-core's executor over the same reads.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
import strawberry
from graphql import ExecutionResult, GraphQLError, OperationType, execute

from domain.access import Viewer
from domain.changes import State
from domain.errors import OverLimit, Unauthenticated
from domain.ids import UserId, WorkspaceId
from domain.paging import Page
from domain.reading import ANSWER_MAX_BYTES, NotificationsAfter, Row, too_large
from domain.selection import Missing, Selection
from resolvers.allowance import Allowance
from resolvers.coerce import Values
from resolvers.cost import COST_MAX, MESSAGE_COST_MAX
from resolvers.documents import Documents, Invalid, Operation
from resolvers.executable import make_executable
from resolvers.failures import TooCostly, failure
from resolvers.persisted import PersistedQueries, PersistedQueryNotFound, asks
from resolvers.preparation import Asked, Preparation, Readers, Root
from resolvers.reads import REACH_WAIT_S, RootReads
from resolvers.responses import Rejected, encoded, response
from resolvers.streams import SIGN_IN, Error, Opened
from resolvers.subscription import ChangeStream, NotificationStream
from schema.context import UseCases


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and from where.

    `refused` says why a token that came along makes nobody a viewer: that is an error of what
    needs the viewer, and of nothing else. `trace` is a valid traceparent.
    """

    viewer: Viewer | None
    refused: Unauthenticated | None = None
    client: str = ""
    trace: str | None = None


class NotByGet(Exception):
    """The operation does more than read, and came by a method that may only read."""


@dataclass(frozen=True, slots=True)
class _Work:
    """One request: the operation, its variables, and what its roots ask for."""

    operation: Operation
    preparation: Preparation
    inputs: Values
    asked: Sequence[Asked]
    pages: Sequence[Page]
    cost: int


class Operations:
    """Carries out payloads of {query, variables, operationName, extensions}."""

    def __init__(
        self,
        schema: strawberry.Schema,
        readers: Readers,
        use: UseCases,
        persisted: PersistedQueries,
        *,
        reach_wait_s: float = REACH_WAIT_S,
        answer_max_bytes: int = ANSWER_MAX_BYTES,
    ) -> None:
        self._persisted = persisted
        self._core = schema._schema  # noqa: SLF001 - Strawberry shows it under no other name
        self._reader = readers.answers
        self._use = use
        self._answer_max_bytes = answer_max_bytes
        self._reach_wait_s = reach_wait_s
        self._documents = Documents(self._core, readers)
        make_executable(self._core)

    async def execute(
        self, caller: Caller, payload: Mapping[str, Any], *, only_reads: bool = False
    ) -> bytes:
        """Returns the response of a query or mutation.

        Raises:
            Rejected: nothing was executed.
            NotByGet: `only_reads`, and it is no query.
        """
        operation, inputs = await self._operation(caller, payload)
        if only_reads and operation.kind is not OperationType.QUERY:
            raise NotByGet
        if operation.kind is OperationType.SUBSCRIPTION:
            message = "Subscribe by websocket, or accept text/event-stream."
            raise _rejected(caller, GraphQLError(message))
        return await self._run(caller, _work(caller, operation, inputs))

    async def subscribe(
        self, caller: Caller, payload: Mapping[str, Any], *, only_reads: bool = False
    ) -> Opened:
        """Returns a subscription's stream, another operation's response, or what is wrong.

        Raises:
            NotByGet: `only_reads`, and it is a mutation.
        """
        try:
            operation, inputs = await self._operation(caller, payload)
            if only_reads and operation.kind is OperationType.MUTATION:
                raise NotByGet
            work = _work(caller, operation, inputs)
            if operation.kind is OperationType.SUBSCRIPTION:
                return _stream(caller, work)
            return await self._run(caller, work)
        except Rejected as rejected:
            return rejected.errors

    async def _operation(
        self, caller: Caller, payload: Mapping[str, Any]
    ) -> tuple[Operation, Values]:
        inputs = payload.get("variables") or {}
        name = payload.get("operationName")
        try:
            if not asks(payload.get("extensions")):
                return self._documents.operation(payload["query"], name), inputs
            text = await self._persisted.text(payload)
            operation = self._documents.operation(text, name)
            if caller.viewer is not None:
                await self._persisted.keep(payload, text)
        except Invalid as invalid:
            raise _rejected(caller, *invalid.faults) from invalid
        except (OverLimit, GraphQLError, PersistedQueryNotFound) as fault:
            raise _rejected(caller, fault) from fault
        return operation, inputs

    async def _run(self, caller: Caller, work: _Work) -> bytes:
        if not work.preparation.is_read:
            return await self._by_executor(caller, work)
        whole = work.preparation.whole
        viewer = caller.viewer
        if whole is None or viewer is None or any(one.fault for one in work.asked):
            return await self._one_by_one(caller, work)
        try:
            data = await whole.read(viewer.user, [one.read for one in work.asked], work.pages)
        except Exception as fault:  # noqa: BLE001 - told to the client, a fault is logged
            return _failed(caller, work, fault)
        if data is None:
            return await self._one_by_one(caller, work)
        return response(data, (), work.cost)

    async def _one_by_one(self, caller: Caller, work: _Work) -> bytes:
        reads = self._reads(caller, work)
        by_key = {one.root.key: one for one in work.asked}
        entries, errors = [], []
        for root in work.preparation.roots:
            value = b'"Query"'
            if root.key in by_key:
                value, fault = await _attempt(caller, reads, by_key[root.key])
                errors += [fault] if fault else []
            entries.append(b'"%b":%b' % (root.key.encode(), value))
        return response(b"{" + b",".join(entries) + b"}", errors, work.cost)

    def _reads(self, caller: Caller, work: _Work) -> RootReads:
        return RootReads(
            reader=self._reader,
            viewer=None if caller.viewer is None else caller.viewer.user,
            refused=caller.refused,
            pages=work.pages,
            reach_wait_s=self._reach_wait_s,
            allowance=Allowance(self._answer_max_bytes),
        )

    async def _by_executor(self, caller: Caller, work: _Work) -> bytes:
        faults = [_at(one.root, one.fault) for one in work.asked if one.fault]
        if faults and work.operation.kind is OperationType.MUTATION:
            raise _rejected(caller, *faults)
        node = work.operation.node
        found = execute(
            self._core,
            work.operation.document,
            context_value=Run(caller, work, self._use, self._reads(caller, work)),
            variable_values=dict(work.inputs),
            operation_name=node.name.value if node.name else None,
        )
        result: ExecutionResult = await found if inspect.isawaitable(found) else found
        if result.data is None:
            raise _rejected(caller, *(result.errors or ()))
        data = encoded(result.data)
        if len(data) > self._answer_max_bytes:
            return _failed(caller, work, _unsaid(work, self._answer_max_bytes))
        errors = [failure(fault, caller.trace) for fault in result.errors or ()]
        return response(data, errors, work.cost)


class Run:
    """One request in the executor's hands. Implements schema.context.Context."""

    def __init__(self, caller: Caller, work: _Work, use: UseCases, reads: RootReads) -> None:
        self._caller = caller
        self._work = work
        self._use = use
        self._reads = reads
        self._asked = {one.root.key: one for one in work.asked}

    @property
    def viewer(self) -> Viewer | None:
        """See `Context.viewer`."""
        return self._caller.viewer

    @property
    def client(self) -> str:
        """See `Context.client`."""
        return self._caller.client

    @property
    def trace(self) -> str | None:
        """See `Context.trace`."""
        return self._caller.trace

    @property
    def use(self) -> UseCases:
        """See `Context.use`."""
        return self._use

    @property
    def selections(self) -> Mapping[str, Selection]:
        """See `Context.selections`."""
        return self._work.preparation.selections

    async def read(
        self, read: Row, selection: Selection, *, user: UserId | None = None
    ) -> Mapping[str, object] | None:
        """See `Context.read`."""
        found = await self._work.preparation.presents.read(
            user or self._reads.viewer,
            [(read, selection)],
            self._work.pages,
            self._reads.allowance,
        )
        return cast("Mapping[str, object] | None", found[0])

    async def fill(self, workspace: WorkspaceId, missing: Sequence[Missing]) -> None:
        """See `Context.fill`."""
        await self._work.preparation.presents.fill(
            self._reads.viewer, workspace, missing, self._work.pages, self._reads.allowance
        )

    async def preferences(self) -> State:
        """See `Context.preferences`."""
        if self._reads.viewer is None:
            raise Unauthenticated(SIGN_IN)
        return await self._reads.reader.preferences(self._reads.viewer)

    async def answer(self, key: str) -> Any:
        """Returns the finished answer of a planned root."""
        return orjson.loads(await self._reads.answer(self._asked[key]))


def _work(caller: Caller, operation: Operation, inputs: Values) -> _Work:
    """Returns what the request asks for, whose cost one request may have."""
    values = operation.variables.coerce(inputs)
    if isinstance(values, list):
        raise _rejected(caller, *values)
    try:
        preparation = operation.preparation(values)
    except OverLimit as fault:
        raise _rejected(caller, fault) from fault
    asked, pages = preparation.ask(values)
    cost = preparation.cost(asked, pages)
    most = MESSAGE_COST_MAX if operation.kind is OperationType.SUBSCRIPTION else COST_MAX
    if cost > most:
        raise Rejected([failure(TooCostly(cost, most), caller.trace)], cost)
    return _Work(operation, preparation, inputs, asked, pages, cost)


async def _attempt(caller: Caller, reads: RootReads, asked: Asked) -> tuple[bytes, Error | None]:
    try:
        return await reads.answer(asked), None
    except Exception as fault:  # noqa: BLE001 - told to the client, a fault is logged
        return b"null", failure(_at(asked.root, fault), caller.trace)


def _stream(caller: Caller, work: _Work) -> Opened:
    if caller.viewer is None:
        raise _rejected(caller, caller.refused or Unauthenticated(SIGN_IN))
    if not work.asked:
        raise _rejected(caller, GraphQLError("Directives leave nothing of the subscription."))
    (asked,) = work.asked
    if asked.fault is not None:
        raise _rejected(caller, _at(asked.root, asked.fault))
    viewer = caller.viewer.user
    if isinstance(asked.read, NotificationsAfter):
        return NotificationStream(asked.root, asked.read, work.cost, viewer)
    return ChangeStream(asked.root, asked.read, work.pages, work.cost, viewer)


def _failed(caller: Caller, work: _Work, fault: Exception) -> bytes:
    """Returns the answer of a statement that failed: the same error for each of its roots."""
    told = failure(fault, caller.trace)
    errors = [{**told, "path": [one.root.key]} for one in work.asked]
    data = {root.key: None if root.rows else "Query" for root in work.preparation.roots}
    return response(encoded(data), errors, work.cost)


def _unsaid(work: _Work, most: int) -> OverLimit:
    """Returns what is said instead of an answer that is too long."""
    fault = too_large(most)
    if work.operation.kind is OperationType.MUTATION:
        return OverLimit(f"All of this was carried out or refused; read what came of it. {fault}")
    return fault


def _at(root: Root, fault: Exception) -> GraphQLError:
    """Returns the fault as that of a root field."""
    cause = None if isinstance(fault, GraphQLError) else fault
    return GraphQLError(str(fault), root.node, path=[root.key], original_error=cause)


def _rejected(caller: Caller, *faults: Exception) -> Rejected:
    return Rejected([failure(fault, caller.trace) for fault in faults])
