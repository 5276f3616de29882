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
        found = orjson.loads(answer.body)
        if problems := found.get("problems"):
            raise Refused(*(_problem(one) for one in problems))
        return found["result"]


def _problem(found: Any) -> Problem:
    return Problem(Code(found["code"]), found["message"], tuple(found["field"]))
