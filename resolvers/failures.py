"""Errors as clients see them: a code and a trace id, and nothing of what lies behind."""

import logging
from secrets import token_hex

from graphql import GraphQLError

from domain.errors import (
    Invisible,
    OverLimit,
    Refused,
    Unauthenticated,
    Unavailable,
)
from resolvers.persisted import PersistedQueryNotFound
from resolvers.streams import Error

log = logging.getLogger(__name__)


class TooCostly(Exception):
    """The operation could answer more objects than one may; `cost` is how many."""

    def __init__(self, cost: int, most: int) -> None:
        super().__init__(f"This may cost {cost}, of at most {most}: ask for smaller pages.")
        self.cost = cost


_CODES: tuple[tuple[type[Exception], str], ...] = (
    (Unauthenticated, "UNAUTHENTICATED"),
    (Invisible, "NOT_FOUND"),
    (OverLimit, "LIMIT_EXCEEDED"),
    (TooCostly, "TOO_COSTLY"),
    (Unavailable, "UNAVAILABLE"),
    (Refused, "MALFORMED"),
    (PersistedQueryNotFound, "PERSISTED_QUERY_NOT_FOUND"),
)


def failure(error: Exception, trace: str | None) -> Error:
    """Returns what the client is told; a fault is logged here, once, and masked."""
    cause = _cause(error)
    trace_id = _trace_id(trace)
    shown: dict[str, object] = {}
    if isinstance(error, GraphQLError):
        if error.locations:
            shown["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
        if error.path:
            shown["path"] = error.path
        # Without a path it never ran: a literal or variable that its scalar refused, say.
        refused = ValueError | TypeError | GraphQLError
        if cause is None or (error.path is None and isinstance(cause, refused)):
            return _error(error.message, shown, "MALFORMED", trace_id)
    for kind, code in _CODES:
        if isinstance(cause, kind):
            return _error(_said(cause), shown, code, trace_id)
    log.error("operation.failed", exc_info=cause, extra={"trace_id": trace_id})
    return _error(f"Internal error, trace id {trace_id}.", shown, "INTERNAL", trace_id)


def _cause(error: Exception) -> Exception | None:
    """Returns what was raised; None where the error is graphql-core's own, however often wrapped.

    An error of a variable holds that of its value, which holds what the scalar raised.
    """
    cause: Exception | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _said(cause: Exception) -> str:
    if isinstance(cause, Refused):
        problems = cause.problems
        return "; ".join(
            f"{'.'.join(problem.path)}: {problem.message}" if problem.path else problem.message
            for problem in problems
        )
    return str(cause)


def _error(message: str, shown: dict[str, object], code: str, trace_id: str) -> Error:
    return {"message": message, **shown, "extensions": {"code": code, "traceId": trace_id}}


def _trace_id(trace: str | None) -> str:
    # A traceparent's second part (W3C Trace Context, 3.2.2).
    return trace.split("-")[1] if trace else token_hex(16)
