"""Series a second by one worker, and what a tick costs among a million that are not due.

The same series have their turns in commits of dozens, as the worker makes them, and one by one, in
turns on the same server; the ratio is what counts, and the fsync time says what bounds both.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from bench.mutations import fsync_ms
from domain.accounts import Account
from domain.ids import MemberId, SeriesId, UserId, WorkspaceId
from domain.ports import Command
from domain.services.series_turns import SeriesTurns
from domain.services.workspaces import founded
from domain.workspaces import User, Workspace
from infra.ids import uuid7
from infra.postgres.claims import PostgresSeriesClaims
from infra.postgres.embedded import embedded_postgres
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.migrate import upgrade
from infra.postgres.store import PostgresStore
from workers.recurrence import Processor

WORKSPACES = 20
SERIES = 4_000
ROUNDS = 3
IDLE = 1_000_000
DUE = 100
TICKS = 15
BEGIN = datetime(2027, 1, 1, 9, tzinfo=UTC)

# Series that recur daily, each with its first occurrence, which is due at $3.
_SERIES = """
WITH made AS (
    INSERT INTO series (id, workspace_id, rule, start_day, start_at, zone, gap, overlap, month_end,
        anchor, catch_up, open, summary, title, description, priority, tag_ids, skipped, current,
        done_until, next_at, made, is_paused, version, rev)
    SELECT gen_random_uuid(), $1, 'FREQ=DAILY', '2027-01-01', '09:00', 'Europe/Paris', 'SHIFT',
        'FIRST', 'SKIP', 'SCHEDULE', 'ONE', 'ALLOW', 'Every day', 'Water the plants', '', 1, '{}',
        '{}', gen_random_uuid(), $3, $3, 1, false, 1, 1
    FROM generate_series(1, $2)
    RETURNING id, current)
INSERT INTO task (id, workspace_id, title, title_key, description, status, priority, due_day,
    due_at, due_zone, due_fold, due_instant, tag_ids, position, version, created_at, updated_at,
    series_id, slot, search)
SELECT current, $1, 'Water the plants', 'water the plants', '', 'OPEN', 1, '2027-01-01', '09:00',
    'Europe/Paris', false, $3, '{}', 'V' || current, 1, $3, $3, id, '2027-01-01T09:00', ''
FROM made WHERE $4"""


class HandClock:
    """A clock that the benchmark sets."""

    def __init__(self) -> None:
        self.time = BEGIN

    def now(self) -> datetime:
        """Returns the time that was set."""
        return self.time


async def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: S103 - for PostgreSQL's user, where we are root
        print(f"fsync: {fsync_ms(Path(folder)):.2f} ms (median of 200 appends of 8 kB)")
        async with embedded_postgres(Path(folder) / "data") as url:
            await upgrade(url)
            options = LaneOptions(size=8, plans="force_generic_plan", statement_timeout_ms=300_000)
            async with Lanes(url, options) as lanes:
                store = PostgresStore(lanes, lanes, new_id=uuid7, committed=lambda _w, _h: None)
                await _throughput(lanes, store)
                await _ticks(lanes, store)


async def _throughput(lanes: Lanes, store: PostgresStore) -> None:
    places = [await _workspace(store) for _ in range(WORKSPACES)]
    for place in places:
        await lanes.fetchval(_SERIES, place, SERIES // WORKSPACES, BEGIN, True)
    clock = HandClock()
    turns = SeriesTurns(store, clock, uuid7)
    processor = Processor(PostgresSeriesClaims(lanes), turns, clock)
    ids = await _by_workspace(lanes)
    pairs = []
    for _ in range(ROUNDS + 1):
        clock.time += timedelta(days=1)
        together = await _rate(processor.tick())
        clock.time += timedelta(days=1)
        pairs.append((together, await _rate(_one_by_one(turns, ids))))
    # The first round warms plans and caches.
    ours, theirs = (statistics.median(side) for side in zip(*pairs[1:], strict=True))
    ratio = statistics.median(a / b for a, b in pairs[1:])
    print(
        f"{SERIES:,} series in {WORKSPACES} workspaces: {ours:,.0f} series/s by one worker,"
        f" one by one {theirs:,.0f}/s, ratio {ratio:.2f}"
    )


async def _one_by_one(turns: SeriesTurns, ids: Mapping[WorkspaceId, list[SeriesId]]) -> None:
    async def of(workspace: WorkspaceId) -> None:
        for one in ids[workspace]:
            await turns.take(workspace, [one])

    places = list(ids)
    # As many workspaces at once as the worker takes.
    for start in range(0, len(places), 4):
        await asyncio.gather(*map(of, places[start : start + 4]))


async def _ticks(lanes: Lanes, store: PostgresStore) -> None:
    place = await _workspace(store)
    await lanes.fetchval(_SERIES, place, IDLE, BEGIN + timedelta(days=365), False)
    await lanes.fetchval("ANALYZE series")
    clock = HandClock()
    clock.time = BEGIN + timedelta(days=60)
    claims = PostgresSeriesClaims(lanes)
    processor = Processor(claims, SeriesTurns(store, clock, uuid7), clock)
    await processor.tick()
    idle, claim, tick = [], [], []
    for _ in range(TICKS):
        idle.append(await _ms(claims.claim(clock.now(), 512, 0.0)))
        await lanes.fetchval(
            "UPDATE series SET next_at = $1, done_until = $1 WHERE id IN (SELECT id FROM series"
            " WHERE workspace_id = $2 AND made = 1 LIMIT $3)",
            clock.now() - timedelta(minutes=1),
            place,
            DUE,
        )
        claim.append(await _ms(claims.claim(clock.now(), 512, 0.0)))
        tick.append(await _ms(processor.tick()))
    told = ", ".join(
        f"{name} {statistics.median(times):.1f} ms"
        for name, times in (("nothing due", idle), (f"claiming {DUE}", claim), ("tick", tick))
    )
    print(f"{IDLE:,} series, {DUE} of them due: {told} (medians of {TICKS})")


async def _ms(work: object) -> float:
    start = time.perf_counter()
    await work  # type: ignore[misc]
    return 1_000 * (time.perf_counter() - start)


async def _rate(work: object) -> float:
    return SERIES / (await _ms(work) / 1_000)


async def _by_workspace(lanes: Lanes) -> dict[WorkspaceId, list[SeriesId]]:
    found = defaultdict[WorkspaceId, list[SeriesId]](list)
    for row in await lanes.fetch("SELECT id, workspace_id FROM series"):
        place = WorkspaceId(UUID(int=row["workspace_id"].int))
        found[place].append(SeriesId(UUID(int=row["id"].int)))
    return found


async def _workspace(store: PostgresStore) -> WorkspaceId:
    user = User(id=UserId(uuid7()), name="Ada")
    account = Account(
        id=user.id,
        email=f"{user.id}@example.com",
        email_key=f"{user.id}@example.com",
        name="Ada",
        time_zone="UTC",
        password_hash="none",  # noqa: S106 - nobody signs in here
        created_at=BEGIN,
    )
    workspace = Workspace(id=WorkspaceId(uuid7()), name="Home", created_at=BEGIN)
    writes = replace(founded(workspace, user, MemberId(uuid7())), accounts=(account,))
    command = Command(actor=user.id, field="bench", key=None, arguments=b"")
    await store.flush(command, writes)
    return workspace.id


if __name__ == "__main__":
    asyncio.run(main())
