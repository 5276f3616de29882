"""Loads and flushes. Implements domain.ports.Store."""

from collections.abc import Callable
from uuid import UUID

import asyncpg

from domain.errors import Stale
from domain.ports import Command, Needs, Seen, Writes
from infra.postgres.flush import FLUSH, argument, refusal
from infra.postgres.lanes import Collided, Statements
from infra.postgres.load import look
from infra.postgres.seen import seen


class PostgresStore:
    """Reads on one set of lanes, writes on another, so that waits for locks starve no read.

    `rang` is told where something was written that may ring soon.
    """

    def __init__(
        self,
        reads: Statements,
        writes: Statements,
        *,
        new_id: Callable[[], UUID],
        committed: Callable[[UUID, int], None],
        rang: Callable[[], None] | None = None,
    ) -> None:
        self._reads = reads
        self._writes = writes
        self._new_id = new_id
        self._committed = committed
        self._rang = rang

    async def load(self, command: Command, needs: Needs) -> Seen:
        """See `Store.load`."""
        statement, values = look(command, needs)
        answer = await self._reads.fetchval(statement, *values)
        return seen(command, needs, answer)

    async def flush(self, command: Command, writes: Writes) -> int:
        """See `Store.flush`."""
        packed = argument(command, writes, self._new_id)
        try:
            rows = await self._writes.fetch(FLUSH, packed)
        except Collided as error:
            raise Stale(str(error)) from error
        except asyncpg.PostgresError as error:
            meaning = refusal(error)
            if meaning is None:
                raise
            raise meaning from error
        heads: dict[UUID, int] = {row["of_stream"]: row["at_head"] for row in rows}
        if not writes.is_idle:
            for stream, head in heads.items():
                self._committed(stream, head)
        if self._rang is not None and writes.ledger.new:
            self._rang()
        return heads[writes.own or writes.workspace]
