"""A small client of the API, as a program would write it: HTTP by httpx, sockets by websockets."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

SIGN_UP = """
mutation ($email: String!) {
  signUp(input: {email: $email, password: "correct horse battery", name: "Ada"}) {
    accessToken refreshToken viewer { id workspaces { id name } } userErrors { code message }
  }
}"""
CHANGES = """
subscription ($workspaceId: ID!, $after: Sequence) {
  changes(workspaceId: $workspaceId, after: $after) {
    __typename seq
    ... on Change { kind subjectId task { id title version } }
    ... on ResyncRequired { reason head }
  }
}"""


@dataclass
class Person:
    """Somebody who is signed up."""

    url: str
    token: str
    refresh_token: str
    user: str
    workspace: str
    email: str
    http: httpx.AsyncClient = field(repr=False)

    @classmethod
    async def sign_up(cls, url: str, http: httpx.AsyncClient) -> Self:
        email = f"{uuid4()}@example.com"
        answer = await http.post(
            f"{url}/graphql", json={"query": SIGN_UP, "variables": {"email": email}}
        )
        payload = answer.json()["data"]["signUp"]
        assert payload["userErrors"] == [], payload
        return cls(
            url=url,
            token=payload["accessToken"],
            refresh_token=payload["refreshToken"],
            user=payload["viewer"]["id"],
            workspace=payload["viewer"]["workspaces"][0]["id"],
            email=email,
            http=http,
        )

    async def send(self, query: str, **variables: object) -> dict[str, Any]:
        """Returns the whole response."""
        answer = await self.http.post(
            f"{self.url}/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {self.token}"},
        )
        response: dict[str, Any] = answer.json()
        return response

    async def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Returns the data of an answer that has no errors."""
        response = await self.send(query, **variables)
        assert "errors" not in response, response
        data: dict[str, Any] = response["data"]
        return data

    async def create(self, title: str, **given: object) -> dict[str, Any]:
        """Creates a task and returns it."""
        data = await self.ask(
            """mutation ($workspace: ID!, $input: TaskCreateInput!) {
                taskCreate(workspaceId: $workspace, input: $input) {
                    task { id title version } seq userErrors { code field message }
                }
            }""",
            workspace=self.workspace,
            input={"title": title, **given},
        )
        payload = data["taskCreate"]
        assert payload["userErrors"] == [], payload
        return {**payload["task"], "seq": payload["seq"]}

    @asynccontextmanager
    async def socket(self) -> AsyncIterator["Socket"]:
        """A socket that is acknowledged."""
        async with connect(
            self.url.replace("http", "ws") + "/graphql",
            subprotocols=[Subprotocol("graphql-transport-ws")],
            compression=None,
            max_size=None,
        ) as connection:
            socket = Socket(connection)
            await socket.say(type="connection_init", payload={"token": self.token})
            assert (await socket.hear())["type"] == "connection_ack"
            yield socket


@dataclass
class Socket:
    """One websocket that speaks graphql-transport-ws."""

    connection: ClientConnection

    async def say(self, **message: object) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.connection.recv())
        return message

    async def follow(
        self, workspace: str, after: str | None, query: str = CHANGES, id: str = "1"
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yields the messages of a live field named `changes`."""
        variables = {"workspaceId": workspace, **({} if after is None else {"after": after})}
        await self.say(type="subscribe", id=id, payload={"query": query, "variables": variables})
        while True:
            message = await self.hear()
            assert message["type"] == "next", message
            assert message["id"] == id
            assert "errors" not in message["payload"], message
            yield message["payload"]["data"]["changes"]


@dataclass
class Served:
    """A composed API in this process, and somebody who is signed up."""

    url: str
    http: httpx.AsyncClient
    ada: Person
