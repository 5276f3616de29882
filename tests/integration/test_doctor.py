"""The doctor finds what was done to the log, and names it."""

import asyncpg
import pytest

from infra.postgres.doctor import findings
from tests.worlds import World


async def told(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [finding.what async for finding in findings(connection)]
    finally:
        await connection.close()


async def test_a_sound_log_gives_nothing_to_tell(world: World, database_url: str) -> None:
    await world.task("Buy milk")

    assert await told(database_url) == []


@pytest.mark.parametrize(
    "damage, expected",
    [
        ("UPDATE change SET payload = replace(payload, 'milk', 'mild')", "change 3 is not what"),
        ("UPDATE change SET before = before || ' '", "change 1 is not what was written"),
        ("UPDATE change SET kind = 'task.deleted' WHERE seq = 3", "change 3 is not what"),
        ("UPDATE change SET actor = NULL WHERE seq = 2", "change 2 is not what was written"),
        ("DELETE FROM change WHERE seq = 2", "seq 3 follows 1"),
        ("DELETE FROM change WHERE seq = 3", "the log ends at 2, the head says 3"),
        ("UPDATE workspace SET head = 9", "the log ends at 3, the head says 9"),
        ("UPDATE workspace SET floor_hash = '\\x00'", "the chain does not begin at its beginning"),
        ("UPDATE workspace SET head_hash = '\\x00'", "the head's hash is not that of change 3"),
    ],
)
async def test_damage_is_found_and_named(
    world: World, database_url: str, damage: str, expected: str
) -> None:
    await world.task("Buy milk")
    await world.lanes.fetch(damage)

    (what,) = await told(database_url)

    assert what.startswith(f"workspace {world.home}: {expected}")
