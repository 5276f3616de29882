"""Carries out operations: planned ones by one statement, the rest by graphql-core's executor.

The executor's root fields run the same plans, one by one: there is one way to the data. Below a
root, values are found under their response keys, as plans and payloads write them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
import strawberry
from graphql import (
    GraphQLError,
    GraphQLSchema,
    is_enum_type,
    is_object_type,
)
from graphql.execution import execute
from graphql.language import OperationType
from graphql.type import is_introspection_type

from domain.access import Viewer
from domain.errors import DomainError, Invisible, Unauthenticated, Unavailable
from domain.ids import UserId
from domain.paging import Page
from domain.reading import (
    ChangesAfter,
    ChangeSlice,
    OneTask,
    OneWorkspace,
    PreparedRead,
    Reader,
    Row,
    TheViewer,
)
from domain.reading import Read as AnyRead
from domain.selection import Field, Selection
from resolvers.coerce import Values
from resolvers.cost import COST_MAX, cost
from resolvers.documents import Documents, Operation, Root, Variant
from resolvers.failures import TooCostly, failure
from resolvers.following import ChangeStream
from resolvers.histories import log_page
from resolvers.selection import says_rows
from resolvers.streams import Opened
from schema.context import UseCases

# How long `atLeast` waits, and how often it looks.
REACH_WAIT_S = 2.0
REACH_POLL_S = 0.02
NOT_THERE = "There is no such workspace, or it is not yours."


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sends a request: `refused` says why a token that was sent makes nobody a viewer."""

    viewer: Viewer | None
    refused: Unauthenticated | None = None
    client: str = ""
    trace: str | None = None

    def user(self) -> UserId:
        """Returns the viewer's id.

        Raises:
            Unauthenticated: there is none.
        """
        if self.viewer is None:
            message = "Sign in, and send the access token as Authorization: Bearer."
            raise self.refused or Unauthenticated(message)
        return self.viewer.user


@dataclass(frozen=True, slots=True)
class Answer:
    """A response's JSON; `has_data` is false where nothing was executed."""

    body: bytes
    has_data: bool


class Execution:
    """One operation in hand; it is the executor's `info.context` too."""

    def __init__(
        self, runner: "Operations", caller: Caller, operation: Operation, values: Values
    ) -> None:
        self.caller = caller
        self.use = runner.use
        self.values = values
        self.variant: Variant = operation.variant(values)
        self.pages: Sequence[Page] = [read(values) for read in self.variant.pages]
        self._reader = runner.reader

    @property
    def viewer(self) -> Viewer | None:
        return self.caller.viewer

    @property
    def client(self) -> str:
        return self.caller.client

    @property
    def trace(self) -> str | None:
        return self.caller.trace

    @property
    def selections(self) -> Mapping[str, Selection]:
        return self.variant.selections

    def cost(self, reads: Sequence[AnyRead | None]) -> int:
        """Returns the cost of the whole operation."""
        sizes = [_size(read) for read in reads]
        known = (*sizes, *(page.size for page in self.pages))
        found = self.variant.costs.get(known)
        if found is None:
            fields = [root.field for root in self.variant.roots.values()]
            found = sum(
                cost(field, self.pages, size) for field, size in zip(fields, sizes, strict=True)
            )
            mine = set(self.variant.roots)
            others = (Field(k, k, s) for k, s in self.variant.selections.items() if k not in mine)
            found += sum(cost(field, self.pages) for field in others)
            if len(self.variant.costs) < 64:
                self.variant.costs[known] = found
        return found

    async def whole(self, reads: Sequence[Row]) -> bytes | None:
        """Returns the data of a planned query, None where something has to be told one by one."""
        variant = self.variant
        if variant.prepared is None:
            variant.prepared = self._reader.prepare(cast("Selection", variant.whole))
        user = None if self.caller.viewer is None else self.caller.viewer.user
        prepared: PreparedRead = variant.prepared
        return await prepared.read(user, reads, self.pages)

    async def read(
        self, read: Row, selection: Selection, *, user: UserId | None = None
    ) -> Mapping[str, object] | None:
        """See `Context.read`."""
        it = Selection("", (Field("it", "it", selection),))
        found = await self._prepared(it).read(user or self.caller.user(), [read], self.pages)
        return None if found is None else orjson.loads(found)["it"]

    async def root(self, root: Root) -> Any:
        """Returns one root field's value for the executor.

        Raises:
            Unauthenticated, Invisible, Unavailable: why there is none.
        """
        selection = cast("Selection", root.field.selection)
        try:
            read = root.read(self.values)
        except Invisible:
            self.caller.user()
            if selection.kind in {"Task", "Workspace"}:
                return None
            raise
        if isinstance(read, TheViewer) and self.caller.viewer is None:
            if self.caller.refused:
                raise self.caller.refused
            return None
        user = self.caller.user()
        if isinstance(read, ChangeSlice):
            page = await self._reader.changes(user, read)
            if page is None:
                raise Invisible(NOT_THERE)
            return await log_page(page, read.workspace, selection, self.pages, self._reader)
        await self._reach(user, read)
        value = await self.read(read, selection)
        if value is None and not isinstance(read, OneTask | OneWorkspace | TheViewer):
            raise Invisible(NOT_THERE)
        return value

    async def _reach(self, user: UserId, read: Row) -> None:
        try:
            async with asyncio.timeout(REACH_WAIT_S):
                while not await self._reader.has_reached(user, read):  # noqa: ASYNC110 - another process moves it
                    await asyncio.sleep(REACH_POLL_S)
        except TimeoutError as error:
            message = "The stream has not reached atLeast yet; try again."
            raise Unavailable(message) from error

    def _prepared(self, selection: Selection) -> PreparedRead:
        kept: dict[Selection, PreparedRead] = self.variant.kept
        if selection not in kept:
            kept[selection] = self._reader.prepare(selection)
        return kept[selection]


class Operations:
    """Executes what clients send, over HTTP, event streams and sockets alike."""

    def __init__(self, schema: strawberry.Schema, reader: Reader, use: UseCases) -> None:
        self.reader = reader
        self.use = use
        self._core = executable(schema)
        self._documents = Documents(self._core)

    def operation(self, payload: Mapping[str, Any]) -> Operation | list[GraphQLError]:
        """Returns the operation that a well-formed request names.

        Raises:
            OverLimit: the document is too large.
        """
        return self._documents.get(payload["query"], payload.get("operationName"))

    async def execute(
        self, caller: Caller, operation: Operation, payload: Mapping[str, Any]
    ) -> Answer:
        """Returns the answer of a query or mutation."""
        values = operation.variables.coerce(payload.get("variables") or {})
        if isinstance(values, list):
            return failed(values, caller.trace)
        try:
            execution = Execution(self, caller, operation, values)
            reads = _reads(execution)
            price = execution.cost(reads)
            if price > COST_MAX:
                return failed([TooCostly(price, COST_MAX)], caller.trace)
            is_planned = execution.variant.whole is not None and _all_rows(reads)
            if is_planned and caller.viewer is not None:
                data = await execution.whole(cast("list[Row]", reads))
                if data is not None:
                    return Answer(b'{"data":%b,"extensions":{"cost":%d}}' % (data, price), True)
        except Exception as error:  # noqa: BLE001 - told to the client, a fault is logged
            return failed([error], caller.trace)
        return await self._executed(execution, operation, payload, price)

    async def subscribe(self, caller: Caller, payload: Mapping[str, Any]) -> Opened:
        """Opens an operation of a socket or event stream: a stream, an answer, or what is wrong."""
        try:
            operation = self.operation(payload)
        except Exception as error:  # noqa: BLE001 - told to the client, a fault is logged
            return [failure(error, caller.trace)]
        if isinstance(operation, list):
            return [failure(error, caller.trace) for error in operation]
        if operation.kind is not OperationType.SUBSCRIPTION:
            return (await self.execute(caller, operation, payload)).body
        values = operation.variables.coerce(payload.get("variables") or {})
        if isinstance(values, list):
            return [failure(error, caller.trace) for error in values]
        try:
            caller.user()
            execution = Execution(self, caller, operation, values)
            ((key, root),) = execution.variant.roots.items()
            read: ChangesAfter = root.read(values)
            return ChangeStream(
                key=key,
                read=read,
                variant=execution.variant,
                pages=tuple(execution.pages),
                reader=self.reader,
            )
        except Invisible:
            return [failure(Invisible(NOT_THERE), caller.trace)]
        except Exception as error:  # noqa: BLE001 - told to the client, a fault is logged
            return [failure(error, caller.trace)]

    async def _executed(
        self, execution: Execution, operation: Operation, payload: Mapping[str, Any], price: int
    ) -> Answer:
        result: Any = execute(
            self._core,
            operation.document,
            variable_values=payload.get("variables") or {},
            operation_name=payload.get("operationName"),
            context_value=execution,
        )
        if asyncio.iscoroutine(result) or hasattr(result, "__await__"):
            result = await result
        body: dict[str, Any] = {}
        if result.errors:
            body["errors"] = [failure(error, execution.trace) for error in result.errors]
        body["data"] = result.data
        body["extensions"] = {"cost": price}
        return Answer(orjson.dumps(body), True)


def failed(errors: Sequence[Exception], trace: str | None) -> Answer:
    """Returns the answer of a request that was not executed."""
    body: dict[str, Any] = {"errors": [failure(error, trace) for error in errors]}
    for error in errors:
        if isinstance(error, TooCostly):
            body["extensions"] = {"cost": error.cost}
    return Answer(orjson.dumps(body), False)


def _reads(execution: Execution) -> list[AnyRead | None]:
    """Returns what the roots ask for; None where the executor has to tell why not."""
    reads: list[AnyRead | None] = []
    for root in execution.variant.roots.values():
        try:
            reads.append(root.read(execution.values))
        except (DomainError, GraphQLError):
            reads.append(None)
    return reads


def _all_rows(reads: Sequence[AnyRead | None]) -> bool:
    return not any(read is None or isinstance(read, ChangeSlice) for read in reads)


def _size(read: AnyRead | None) -> int:
    if isinstance(read, ChangeSlice):
        return read.first
    page: Page | None = getattr(read, "page", None)
    return 1 if page is None else page.size


def executable(schema: strawberry.Schema) -> GraphQLSchema:
    """Returns the core schema with the resolvers that serve all of it: see the module."""
    core = schema._schema  # noqa: SLF001 - graphql-core's own schema, which Strawberry wraps
    roots = {core.query_type, core.mutation_type, core.subscription_type}
    for type_ in core.type_map.values():
        if is_introspection_type(type_):
            continue
        if is_enum_type(type_):
            # Answers carry names; only defaults of arguments are still values.
            type_.coerce_output_value = _named(type_.coerce_output_value)  # type: ignore[method-assign]
        elif is_object_type(type_):
            # Answers are dictionaries, whose type is known from where they stand.
            type_.is_type_of = None
            for field in type_.fields.values():
                if type_ not in roots:
                    field.resolve = _by_key
                elif type_ is core.query_type and says_rows(field) is not None:
                    field.resolve = _by_plan
    return core


def _named(own: Any) -> Any:
    return lambda value: value if isinstance(value, str) else own(value)


def _by_key(source: Mapping[str, Any], info: Any, **_arguments: object) -> Any:
    return source[info.path.key]


async def _by_plan(_source: object, info: Any, **_arguments: object) -> Any:
    execution: Execution = info.context
    return await execution.root(execution.variant.roots[info.path.key])
