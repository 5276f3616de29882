"""Persisted queries: once somebody has sent the text, its hash is enough for every replica."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import orjson
import pytest

from carillon.graphql import build
from domain.access import Viewer
from domain.errors import Unavailable
from domain.ids import SessionId
from infra.clock import SystemClock
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.plans import PostgresReader, ReadLanes
from infra.postgres.state import PostgresStateStore
from resolvers.execution import Caller, Operations
from resolvers.persisted import TEXTS_MAX, PersistedQueries
from resolvers.preparation import Readers
from resolvers.responses import Rejected
from schema.context import UseCases
from tests.worlds import World

TEXT = "{ viewer { name } }"


def payload(hash_: str, text: str | None = None) -> dict[str, Any]:
    return {"query": text, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_}}}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Replica:
    """One process's operations over the shared database."""

    def __init__(self, lanes: Lanes, world: World) -> None:
        self.store = PostgresStateStore(lanes)
        self.persisted = PersistedQueries(self.store)
        reader = PostgresReader(
            ReadLanes(generic=lanes, custom=lanes), PostgresLog(lanes), SystemClock()
        )
        readers = Readers(answers=reader, messages=reader)
        self.operations = Operations(build(), readers, cast("UseCases", None), self.persisted)
        later = datetime.now(UTC) + timedelta(hours=1)
        session = SessionId(UUID(int=1))
        self.ada = Caller(viewer=Viewer(user=world.ada, session=session, expires_at=later))

    async def ask(self, given: Mapping[str, Any], caller: Caller | None = None) -> Any:
        return orjson.loads(await self.operations.execute(caller or self.ada, given))["data"]

    async def refusal(self, given: Mapping[str, Any], caller: Caller | None = None) -> Any:
        with pytest.raises(Rejected) as rejected:
            await self.operations.execute(caller or self.ada, given)
        (error,) = rejected.value.errors
        return error["message"], cast("dict[str, str]", error["extensions"])["code"]


@pytest.fixture
async def lanes(database_url: str) -> AsyncIterator[Lanes]:
    async with Lanes(database_url, LaneOptions(size=2)) as lanes:
        yield lanes


@pytest.fixture
def replica(lanes: Lanes, world: World) -> Replica:
    return Replica(lanes, world)


async def test_a_text_sent_to_one_replica_is_known_to_all_by_its_hash(
    replica: Replica, lanes: Lanes, world: World
) -> None:
    other = Replica(lanes, world)
    assert await other.refusal(payload(sha(TEXT))) == (
        "PersistedQueryNotFound",
        "PERSISTED_QUERY_NOT_FOUND",
    )

    assert await replica.ask(payload(sha(TEXT), TEXT)) == {"viewer": {"name": "Ada"}}

    assert await other.ask(payload(sha(TEXT))) == {"viewer": {"name": "Ada"}}
    assert await replica.ask(payload(sha(TEXT))) == {"viewer": {"name": "Ada"}}


async def test_only_what_is_valid_and_sent_by_somebody_is_kept(
    replica: Replica, lanes: Lanes
) -> None:
    invalid = "{ viewer { nonsense } }"
    assert (await replica.refusal(payload(sha(invalid), invalid)))[1] == "MALFORMED"
    anonymous = Caller(viewer=None)
    await replica.operations.execute(anonymous, payload(sha(TEXT), TEXT))

    assert await lanes.fetch("SELECT * FROM state") == []
    assert (await replica.refusal(payload(sha(invalid))))[0] == "PersistedQueryNotFound"
    assert (await replica.refusal(payload(sha(TEXT))))[0] == "PersistedQueryNotFound"


@pytest.mark.parametrize(
    "given",
    [
        payload("0" * 64, TEXT),
        payload("0" * 63),
        payload(sha(TEXT).upper()),
        {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": sha(TEXT)}}},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": 5}}},
        {"extensions": {"persistedQuery": {}}},
    ],
)
async def test_hashes_that_cannot_be_are_malformed(replica: Replica, given: dict[str, Any]) -> None:
    assert (await replica.refusal(given))[1] == "MALFORMED"


async def test_a_value_in_the_store_that_is_not_the_text_is_not_believed(
    replica: Replica,
) -> None:
    await replica.store.put(f"query:{sha(TEXT)}", "{ __typename }", timedelta(hours=1))

    assert (await replica.refusal(payload(sha(TEXT))))[0] == "PersistedQueryNotFound"


async def test_without_the_store_a_client_sends_the_text_again(
    replica: Replica,
) -> None:
    class Down:
        async def get(self, key: str) -> str | None:
            raise Unavailable("away")

        async def put(self, key: str, value: str, keep: timedelta) -> None:
            raise Unavailable("away")

    replica.persisted._store = Down()

    assert (await replica.refusal(payload(sha(TEXT))))[0] == "PersistedQueryNotFound"
    assert await replica.ask(payload(sha(TEXT), TEXT)) == {"viewer": {"name": "Ada"}}
    assert await replica.ask(payload(sha(TEXT))) == {"viewer": {"name": "Ada"}}


async def test_the_texts_of_a_process_are_bounded(replica: Replica) -> None:
    texts = [f"{{ a{number}: __typename }}" for number in range(TEXTS_MAX + 5)]
    for text in texts:
        replica.persisted._remember(sha(text), text)

    assert len(replica.persisted._texts) == TEXTS_MAX
    assert replica.persisted._characters == sum(map(len, texts[5:]))


async def test_state_expires_and_is_replaced(replica: Replica, lanes: Lanes) -> None:
    store = replica.store
    await store.put("a", "1", timedelta(hours=1))
    await store.put("a", "2 ❄", timedelta(hours=1))
    assert await store.get("a") == "2 ❄"
    assert await store.get("b") is None

    await lanes.fetchval("UPDATE state SET expires_at = now()")
    assert await store.get("a") is None
