"""Calls to another process by the sidecars. Implements domain.ports.Invoker."""

from typing import Any

import orjson

from domain.errors import Code, Problem, Refused, Unavailable
from infra.dapr.sidecar import Sidecar


class DaprInvoker:
    """Calls what an app offers; the sidecars find it, prove who calls, and try again."""

    def __init__(self, sidecar: Sidecar, prefix: str) -> None:
        """Takes the sidecar, and the path under which all calls lie."""
        self._sidecar = sidecar
        self._prefix = prefix

    async def call(self, app: str, name: str, given: object, *, timeout_s: float) -> Any:
        """See `Invoker.call`."""
        path = f"/v1.0/invoke/{app}/method{self._prefix}{name}"
        try:
            answer = await self._sidecar.send(
                "POST", path, content=orjson.dumps(given), timeout_s=timeout_s
            )
        except OSError as error:
            raise Unavailable(f"{app} did not answer: {error}") from error
        if not answer.is_success:
            raise Unavailable(f"{app} cannot be asked now ({answer.status}).")
        try:
            found = orjson.loads(answer.body)
            problems = [_problem(one) for one in found.get("problems", ())]
            result = None if problems else found["result"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # Another release's, with a code that this one does not know, or no answer of ours.
            raise Unavailable(f"{app} answered what cannot be read here.") from error
        if problems:
            raise Refused(*problems)
        return result


def _problem(found: Any) -> Problem:
    return Problem(Code(found["code"]), str(found["message"]), tuple(map(str, found["field"])))
