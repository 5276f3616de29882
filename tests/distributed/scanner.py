"""What must hold of the whole system once it has come to rest, whatever happened before."""

import asyncio
import json
import time
from collections import defaultdict
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from infra.postgres.doctor import findings

REST_MAX_S = 120.0


async def heads(connection: asyncpg.Connection) -> dict[UUID, int]:
    """Returns every workspace's head."""
    return {row["id"]: row["head"] for row in await connection.fetch("SELECT * FROM workspace")}


async def rest(connection: asyncpg.Connection, consumers: list[str]) -> None:
    """Waits until these consumers have had everything; fails with who lacks what."""
    statement = """
        SELECT c.name, w.id, w.head, p.seq FROM workspace w CROSS JOIN unnest($1::text[]) AS c(name)
        LEFT JOIN position p ON p.consumer = c.name AND p.stream = w.id
        WHERE w.head > coalesce(p.seq, 0)"""
    give_up = time.monotonic() + REST_MAX_S
    while behind := await connection.fetch(statement, consumers):
        assert time.monotonic() < give_up, behind
        await asyncio.sleep(0.1)


async def require_sound_log(connection: asyncpg.Connection) -> None:
    """Fails where a stream has a gap, or its chain does not verify."""
    assert [finding async for finding in findings(connection)] == []


async def require_applied_once(
    connection: asyncpg.Connection, redriven: set[tuple[UUID, int]]
) -> None:
    """Fails where the recorder applied a change twice, out of order, or went past it silently.

    What was `redriven` came when it was run again: those of a stream in their order, too.
    """
    rows = await connection.fetch("SELECT stream, seq FROM applied ORDER BY nr")
    waiting = await parked(connection)
    applied = defaultdict(list)
    for row in rows:
        applied[row["stream"]].append(row["seq"])
    for stream, head in (await heads(connection)).items():
        seqs = applied[stream]
        expected = [seq for seq in range(1, head + 1) if (stream, seq) not in waiting]
        assert sorted(seqs) == expected, stream
        late = [seq for seq in seqs if (stream, seq) in redriven]
        assert late == sorted(late), stream
        in_turn = [seq for seq in seqs if (stream, seq) not in redriven]
        assert in_turn == sorted(in_turn), stream


async def parked(connection: asyncpg.Connection) -> dict[tuple[UUID, int], str]:
    """Returns what is parked, and why."""
    rows = await connection.fetch("SELECT stream, seq, reason FROM parked")
    return {(row["stream"], row["seq"]): row["reason"] for row in rows}


async def published(servers: str, topic: str) -> dict[UUID, set[int]]:
    """Returns the numbers of each stream on a topic.

    Not their order: after a failed call, the sidecar's producer may bring one after its followers
    (it retries, and is not idempotent), and consumers go by the numbers.
    """
    found: dict[UUID, set[int]] = defaultdict(set)
    for body in await bodies(servers, topic):
        try:
            event = json.loads(body)
            stream, seq = UUID(event["stream"]), int(event["seq"])
        except (ValueError, KeyError, TypeError):
            continue
        found[stream].add(seq)
    return found


async def bodies(servers: str, topic: str, *, last: int | None = None) -> list[bytes]:
    """Returns everything on a topic, or the last of each partition; each partition in its order."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    (described,) = await admin.describe_topics([topic])
    await admin.close()
    partitions = [TopicPartition(topic, one["partition"]) for one in described["partitions"]]
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, max_partition_fetch_bytes=8_388_608)
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.beginning_offsets(partitions)
        if last is not None:
            starts = {one: max(start, ends[one] - last) for one, start in starts.items()}
        places = dict(starts)
        for partition, start in starts.items():
            consumer.seek(partition, start)
        found: list[bytes] = []
        while any(places[one] < ends[one] for one in partitions):
            for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                found += [record.value or b"" for record in records]
                places[partition] = records[-1].offset + 1
        return found
    finally:
        await consumer.stop()
