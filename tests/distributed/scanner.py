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


async def require_applied_once(connection: asyncpg.Connection) -> None:
    """Fails where the recorder applied a change twice, out of order, or went past it silently."""
    rows = await connection.fetch("SELECT stream, seq FROM applied ORDER BY nr")
    parked = await connection.fetch("SELECT stream, seq FROM parked WHERE consumer = 'recorder'")
    applied = defaultdict(list)
    for row in rows:
        applied[row["stream"]].append(row["seq"])
    waiting = defaultdict(set)
    for row in parked:
        waiting[row["stream"]].add(row["seq"])
    for stream, head in (await heads(connection)).items():
        expected = [seq for seq in range(1, head + 1) if seq not in waiting[stream]]
        assert sorted(applied[stream]) == expected, stream
        redriven = await connection.fetch("SELECT stream FROM poison WHERE stream = $1", stream)
        assert redriven or applied[stream] == expected, stream


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


async def bodies(servers: str, topic: str) -> list[bytes]:
    """Returns everything on a topic, each partition in its order."""
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
