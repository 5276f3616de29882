"""What somebody hears who may see, but not do this."""

import pytest

from domain.errors import Code, Refused
from domain.workspaces import Role, require


@pytest.mark.parametrize(
    "role, least, helper",
    [
        (Role.VIEWER, Role.MEMBER, "an admin"),
        (Role.MEMBER, Role.ADMIN, "an admin"),
        (Role.ADMIN, Role.OWNER, "an owner"),
    ],
)
def test_the_refusal_names_somebody_who_can_help(role: Role, least: Role, helper: str) -> None:
    with pytest.raises(Refused) as refusal:
        require(role, least, "do this")

    (problem,) = refusal.value.problems
    assert problem.code is Code.FORBIDDEN
    assert problem.message == f"Ask {helper} of the workspace to do this."


def test_who_may_do_it_is_not_refused() -> None:
    require(Role.ADMIN, Role.MEMBER, "do this")
