"""How many workspaces one may have, and how many others may put one into."""

import pytest

from domain.errors import Code, Refused
from domain.ids import UserId, WorkspaceId
from domain.services.workspaces import FOUNDED_MAX, JOINED_MAX
from domain.workspaces import Role
from tests.worlds import World

# Workspaces that somebody else founded a day before the user became their member.
JOINED = """
WITH w AS (
    INSERT INTO workspace (id, name, created_at, head, head_hash, floor_hash)
    SELECT gen_random_uuid(), 'theirs', '2026-11-22T12:00:00Z', 0, '', ''
    FROM generate_series(1, $2) RETURNING id
)
INSERT INTO member (id, workspace_id, user_id, role, created_at)
SELECT gen_random_uuid(), id, $1, $3, '2026-11-23T12:00:00Z' FROM w"""
LATER = """
UPDATE member SET created_at = created_at + interval '1 s'
WHERE user_id = $1 AND workspace_id = $2"""
COUNT = "SELECT count(*) FROM member WHERE user_id = $1"


def code_of(refused: pytest.ExceptionInfo[Refused]) -> tuple[Code, tuple[str, ...]]:
    [problem] = refused.value.problems
    return problem.code, tuple(problem.path)


@pytest.mark.parametrize("role", list(Role))
async def test_whoever_puts_one_into_workspaces_keeps_nobody_from_founding(
    world: World, role: Role
) -> None:
    await world.lanes.fetchval(JOINED, world.ada, JOINED_MAX, role.value)

    made = await world.workspaces.create(world.command(), None, "Mine")

    assert made.state["name"] == "Mine"


async def test_one_founds_a_bounded_number_of_workspaces(world: World) -> None:
    for number in range(1, FOUNDED_MAX):
        await world.workspaces.create(world.command(), None, f"Mine {number}")

    with pytest.raises(Refused) as refused:
        await world.workspaces.create(world.command(), None, "One more")

    assert code_of(refused) == (Code.LIMIT_EXCEEDED, ())
    assert await world.lanes.fetchval(COUNT, world.ada) == FOUNDED_MAX


async def test_others_put_one_into_a_bounded_number_of_workspaces(world: World) -> None:
    bob, _ = await world.sign_up("Bob")
    await world.lanes.fetchval(JOINED, bob, JOINED_MAX - 1, Role.OWNER.value)
    made = await world.workspaces.create(world.command(), None, "Another")
    theirs = WorkspaceId(made.subject)

    await _add(world, bob)
    with pytest.raises(Refused) as refused:
        await world.workspaces.add_member(
            world.command(), theirs, f"{bob}@example.com", Role.MEMBER
        )

    assert code_of(refused) == (Code.LIMIT_EXCEEDED, ("input", "email"))
    assert await world.lanes.fetchval(COUNT, bob) == JOINED_MAX + 1
    # To be told again what one is already is no addition.
    await _add(world, bob)


async def _add(world: World, user: UserId) -> None:
    await world.workspaces.add_member(
        world.command(), world.home, f"{user}@example.com", Role.MEMBER
    )
    # The world's clock stands still, and only founders come with their workspace.
    await world.lanes.fetchval(LATER, user, world.home)
