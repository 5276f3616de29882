"""Positions and parked changes. Implements domain.inbox.Inbox."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from domain.changes import Change
from domain.inbox import Parked
from infra.postgres.lanes import Lanes, Statements
from infra.postgres.log import PostgresLog
from infra.postgres.store import PostgresStore

_TAKE = "SELECT seq FROM position WHERE consumer = $1 AND stream = $2 FOR UPDATE"
_BEGIN = """
INSERT INTO position (consumer, stream, seq)
SELECT $1, $2, coalesce((SELECT floor FROM workspace WHERE id = $2),
                        (SELECT floor FROM user_stream WHERE id = $2), 0)
ON CONFLICT DO NOTHING"""
_MOVE = "UPDATE position SET seq = $3 WHERE consumer = $1 AND stream = $2"
_PARK = """
INSERT INTO parked (consumer, stream, seq, reason, at) VALUES ($1, $2, $3, $4, now())
ON CONFLICT (consumer, stream, seq) DO UPDATE SET reason = excluded.reason"""
_PARKED = """
SELECT consumer, stream, seq, reason, at FROM parked
WHERE $1::text IS NULL OR consumer = $1 ORDER BY at, stream, seq"""
_IS_PARKED = "SELECT true FROM parked WHERE consumer = $1 AND stream = $2 AND seq = $3"
_UNPARK = "DELETE FROM parked WHERE consumer = $1 AND stream = $2 AND seq = $3"


class PostgresTurn:
    """A turn in a transaction."""

    def __init__(
        self,
        statements: Statements,
        store: PostgresStore,
        key: tuple[str, UUID],
        position: int,
    ) -> None:
        self.statements = statements
        self._key = key
        self.position = position
        self.store = store

    async def following(self, seq: int) -> Change | None:
        """See `Turn.following`."""
        found = await PostgresLog(self.statements).read(self._key[1], seq, 1)
        return found[0] if found else None

    async def move(self, seq: int) -> None:
        """See `Turn.move`."""
        await self.statements.fetchval(_MOVE, *self._key, seq)
        self.position = seq

    async def park(self, seq: int, reason: str) -> None:
        """See `Turn.park`."""
        await self.statements.fetchval(_PARK, *self._key, seq, reason)


class PostgresInbox:
    """Gives turns: the lock on the position's row is the turn."""

    def __init__(
        self,
        lanes: Lanes,
        *,
        new_id: Callable[[], UUID],
        committed: Callable[[UUID, int], None],
    ) -> None:
        self._lanes = lanes
        self._new_id = new_id
        self._committed = committed

    @asynccontextmanager
    async def turn(self, consumer: str, stream: UUID) -> AsyncIterator[PostgresTurn]:
        """See `Inbox.turn`."""
        heads: dict[UUID, int] = {}
        async with self._lanes.transaction() as statements:
            yield await self._turn(statements, (consumer, stream), heads)
        self._tell(heads)

    @asynccontextmanager
    async def again(self, parked: Parked) -> AsyncIterator[PostgresTurn | None]:
        """See `Inbox.again`."""
        heads: dict[UUID, int] = {}
        key = (parked.consumer, parked.stream)
        async with self._lanes.transaction() as statements:
            turn = await self._turn(statements, key, heads)
            if not await statements.fetchval(_IS_PARKED, *key, parked.seq):
                yield None
                return
            yield turn
            await statements.fetchval(_UNPARK, *key, parked.seq)
        self._tell(heads)

    async def parked(self, consumer: str | None = None) -> Sequence[Parked]:
        """See `Inbox.parked`."""
        return [Parked(**row) for row in await self._lanes.fetch(_PARKED, consumer)]

    async def _turn(
        self, statements: Statements, key: tuple[str, UUID], heads: dict[UUID, int]
    ) -> PostgresTurn:
        """Returns the turn once nobody else has it."""
        position = await statements.fetchval(_TAKE, *key)
        if position is None:
            await statements.fetchval(_BEGIN, *key)
            position = await statements.fetchval(_TAKE, *key)
        store = PostgresStore(
            statements, statements, new_id=self._new_id, committed=heads.__setitem__
        )
        return PostgresTurn(statements, store, key, position)

    def _tell(self, heads: dict[UUID, int]) -> None:
        for workspace, head in heads.items():
            self._committed(workspace, head)
