"""The promise of the product: no reader misses or repeats a change, whatever dies in between."""

import asyncio
import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
from websockets.exceptions import WebSocketException

from tests.api import Person
from tests.processes import Server

WRITERS = 20
MUTATIONS = 2_000
READERS = 10
KILLS = 3
CREATE = """
mutation ($workspace: ID!, $input: TaskCreateInput!) {
  taskCreate(workspaceId: $workspace, input: $input) { seq userErrors { code message } }
}"""
# What a client sees of a server that was killed.
GONE = (OSError, WebSocketException, EOFError, httpx.HTTPError)


class Reader:
    """Follows from its last seq; sometimes leaves by itself, sometimes reads slowly."""

    def __init__(self, person: Person, number: int) -> None:
        self.seen: list[int] = []
        self._person = person
        self._chance = random.Random(number)

    async def run(self, until: Callable[[], int | None]) -> None:
        while until() is None or len(self.seen) < (until() or 0):
            try:
                await self._read(until)
            except GONE:
                await asyncio.sleep(0.05)

    async def _read(self, until: Callable[[], int | None]) -> None:
        leave_after = self._chance.randint(50, 900)
        async with self._person.socket() as socket:
            after = str(self.seen[-1] if self.seen else 0)
            async for message in socket.follow(self._person.workspace, after):
                if message["__typename"] == "Change":
                    self.seen.append(int(message["seq"]))
                    leave_after -= 1
                else:
                    assert message["__typename"] == "CaughtUp", message
                if leave_after == 0 or len(self.seen) == until():
                    return
                if self._chance.random() < 0.01:
                    await asyncio.sleep(0.2)


async def write(person: Person, number: int, seqs: list[int]) -> None:
    """Makes its share of the mutations, each with a key, and repeats what got no answer."""
    for turn in range(MUTATIONS // WRITERS):
        variables = {
            "workspace": person.workspace,
            "input": {"title": f"{number}.{turn}", "clientMutationId": str(uuid4())},
        }
        while True:
            try:
                answer: dict[str, Any] = await person.send(CREATE, **variables)
            except GONE:
                await asyncio.sleep(0.05)
                continue
            if "errors" in answer:
                assert answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE", answer
                continue
            payload = answer["data"]["taskCreate"]
            assert payload["userErrors"] == [], payload
            seqs.append(int(payload["seq"]))
            break


async def test_readers_see_each_change_once_and_in_order_while_the_server_is_killed(
    server: Server,
) -> None:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=30, limits=limits) as http:
        person = await Person.sign_up(server.url, http)
        readers = [Reader(person, number) for number in range(READERS)]
        seqs: list[int] = []
        total: list[int] = []

        async def kill() -> None:
            for number in range(1, KILLS + 1):
                while len(seqs) < number * MUTATIONS // (KILLS + 1):
                    await asyncio.sleep(0.01)
                server.kill()
                await asyncio.to_thread(server.start)

        async def writing() -> None:
            await asyncio.gather(*(write(person, number, seqs) for number in range(WRITERS)))
            # Readers may have everything by now; one more change tells them that this is the end.
            total.append(max(seqs) + 1)
            await person.create("the end")

        async with asyncio.timeout(600):
            await asyncio.gather(
                kill(),
                writing(),
                *(reader.run(lambda: total[0] if total else None) for reader in readers),
            )

        page = await person.ask(
            "query ($id: ID!) { tasks(workspaceId: $id, first: 1) { totalCount seq } }",
            id=person.workspace,
        )

    # Two changes of signing up, one of each mutation, one at the end: none lost, none made twice.
    everything = list(range(1, MUTATIONS + 4))
    assert sorted(seqs) == everything[2:-1]
    assert page["tasks"] == {"totalCount": MUTATIONS + 1, "seq": str(MUTATIONS + 3)}
    for reader in readers:
        assert reader.seen == everything
