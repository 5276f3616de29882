"""Clients of the whole system: they write with keys and repeat, read and resume, and keep count."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from uuid import uuid4

import httpx
from websockets.exceptions import WebSocketException

from tests.api import Person

# What a client sees of a replica that is gone, or whose database is.
GONE = (OSError, WebSocketException, EOFError, httpx.HTTPError, TimeoutError)
CREATE = """
mutation ($workspace: ID!, $input: TaskCreateInput!) {
  taskCreate(workspaceId: $workspace, input: $input) { seq userErrors { code message } }
}"""
PAUSE_S = 0.05


@dataclass
class Writer:
    """Creates tasks through any replica until it is told to stop; none may be lost or doubled.

    The next `poisoned` of them are titled as the recorder may fail at.
    """

    people: Sequence[Person]
    random: Random
    made: list[int] = field(default_factory=list)
    poisoned: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            kind, self.poisoned = ("poison", self.poisoned - 1) if self.poisoned else ("task", 0)
            await self._create(f"{kind} {self.random.random()}")
            await asyncio.sleep(self.random.random() / 5)

    async def _create(self, title: str) -> None:
        given = {"title": title, "clientMutationId": str(uuid4())}
        while True:
            person = self.random.choice(self.people)
            try:
                answer = await person.send(CREATE, workspace=person.workspace, input=given)
            except (*GONE, ValueError):
                # No answer, or one that is none: of a replica that is only starting.
                await asyncio.sleep(PAUSE_S)
                continue
            if "errors" in answer:
                assert answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE", answer
                await asyncio.sleep(PAUSE_S)
                continue
            payload = answer["data"]["taskCreate"]
            assert payload["userErrors"] == [], payload
            self.made.append(int(payload["seq"]))
            return


@dataclass
class Reader:
    """Follows a workspace from any replica, and from where it stopped."""

    people: Sequence[Person]
    random: Random
    seen: list[int] = field(default_factory=list)

    async def run(self, until: Callable[[], int | None]) -> None:
        while until() is None or len(self.seen) < (until() or 0):
            person = self.random.choice(self.people)
            try:
                async with asyncio.timeout(10), person.socket() as socket:
                    after = str(self.seen[-1] if self.seen else 0)
                    async for message in socket.follow(person.workspace, after):
                        if message["__typename"] == "Change":
                            self.seen.append(int(message["seq"]))
                        else:
                            assert message["__typename"] == "CaughtUp", message
                        if len(self.seen) == until():
                            return
            except GONE:
                await asyncio.sleep(PAUSE_S)
