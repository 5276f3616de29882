"""Nobody reads or hears of a workspace they are not, or no longer, a member of."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.api import CHANGES, Person
from tests.processes import Server

ADD = """
mutation ($workspace: ID!, $email: String!) {
  memberAdd(workspaceId: $workspace, input: {email: $email, role: MEMBER}) {
    member { id role user { name email } } seq userErrors { code }
  }
}"""
REMOVE = """
mutation ($workspace: ID!, $user: ID!) {
  memberRemove(workspaceId: $workspace, userId: $user) {
    workspace { id members { nodes { user { id } } } } seq userErrors { code }
  }
}"""
EVERYTHING = """
query ($workspace: ID!, $task: ID!) {
  workspace(id: $workspace) { name tags { name } }
  task(id: $task) { title }
  tasks(workspaceId: $workspace) { totalCount nodes { title } }
  changes(workspaceId: $workspace, after: "0") { nodes { id } }
}"""


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as http:
        yield http


async def test_a_stranger_sees_what_anybody_sees_of_what_is_not_there(
    shared_server: Server, http: httpx.AsyncClient
) -> None:
    ada = await Person.sign_up(shared_server.url, http)
    bob = await Person.sign_up(shared_server.url, http)
    task = await ada.create("secret")
    absent = "01936f2e-8c1a-7c3e-9d54-0242ac120002"

    real = await bob.send(EVERYTHING, workspace=ada.workspace, task=task["id"])
    nothing = await bob.send(EVERYTHING, workspace=absent, task=absent)

    data = {"workspace": None, "task": None, "tasks": None, "changes": None}
    assert real["data"] == nothing["data"] == data
    codes = [[error["extensions"]["code"] for error in answer["errors"]]
             for answer in (real, nothing)]  # fmt: skip
    assert codes == [["NOT_FOUND", "NOT_FOUND"]] * 2


async def test_a_removed_member_hears_nothing_more_within_a_second(
    shared_server: Server, http: httpx.AsyncClient
) -> None:
    ada = await Person.sign_up(shared_server.url, http)
    bob = await Person.sign_up(shared_server.url, http)
    added = await ada.ask(ADD, workspace=ada.workspace, email=bob.email)
    assert added["memberAdd"]["member"]["user"]["email"] == bob.email

    async with bob.socket() as socket:
        stream = socket.follow(ada.workspace, "0")
        assert [(await anext(stream))["seq"] for _ in range(4)] == ["1", "2", "3", "3"]
        removed = await ada.ask(REMOVE, workspace=ada.workspace, user=bob.user)
        start = time.monotonic()
        await ada.create("after the removal")
        ended = await asyncio.wait_for(socket.hear(), 2)
        took = time.monotonic() - start

        # The socket itself is fine: it is Bob's.
        await socket.say(type="ping")
        assert (await socket.hear())["type"] == "pong"

    assert removed["memberRemove"]["seq"] == "4"
    assert ended["type"] == "error"
    assert ended["payload"][0]["extensions"]["code"] == "NOT_FOUND"
    assert took < 1


async def test_signing_out_closes_the_sockets_of_the_session(
    shared_server: Server, http: httpx.AsyncClient
) -> None:
    ada = await Person.sign_up(shared_server.url, http)

    async with ada.socket() as socket:
        stream = socket.follow(ada.workspace, "2")
        assert (await anext(stream))["__typename"] == "CaughtUp"
        await ada.ask("mutation { signOut { userErrors { code } } }")
        with pytest.raises(ConnectionClosed) as closing:
            await asyncio.wait_for(socket.hear(), 1)
    after = await ada.send("{ viewer { id } }")

    assert closing.value.rcvd is not None
    assert closing.value.rcvd.code == 4403
    assert after["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_stranger_cannot_subscribe(shared_server: Server, http: httpx.AsyncClient) -> None:
    ada = await Person.sign_up(shared_server.url, http)
    bob = await Person.sign_up(shared_server.url, http)

    async with bob.socket() as socket:
        payload = {"query": CHANGES, "variables": {"workspaceId": ada.workspace}}
        await socket.say(type="subscribe", id="1", payload=payload)
        answer = await socket.hear()

    assert answer["type"] == "error"
    assert answer["payload"][0]["extensions"]["code"] == "NOT_FOUND"
