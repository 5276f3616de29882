"""The hub by itself: who gets what, in which order, and what a bad neighbour costs."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import UUID

import pytest

from domain.ids import WorkspaceId
from domain.ports import Head
from infra.postgres.log import Moved
from infra.postgres.tail import PostgresTail
from resolvers.batches import BATCH_MAX_BYTES, Batch, batches, text_frame
from resolvers.hub import Hub
from resolvers.live import TICK_S
from resolvers.ring import RING_MAX_CHANGES, Ring
from tests.live import Kept, ManualEvents, MemoryLog, Reader, TextStream, eventually, removal


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def events(log: MemoryLog) -> ManualEvents:
    return ManualEvents(log)


@pytest.fixture
async def hub(log: MemoryLog, events: ManualEvents) -> AsyncIterator[Hub]:
    hub = Hub(log=log, access=log, events=events)
    yield hub
    await hub.stop()
    assert not hub._tasks


async def test_a_reader_gets_what_it_missed_then_caught_up_then_what_is_new(
    hub: Hub, log: MemoryLog
) -> None:
    workspace = log.create()
    somebody = log.join(workspace)
    for _ in range(200):
        log.commit(workspace)
    reader = Reader()

    hub.subscribe(TextStream(workspace), somebody, reader, after=50)
    await eventually(lambda: reader.caught_up)
    hub.committed(workspace, log.commit(workspace))
    await eventually(lambda: reader.seqs[-1] == 201)

    assert reader.seqs == list(range(51, 202))
    assert reader.bodies[150] == {"caughtUp": 200}


async def test_from_now_means_the_head_in_the_database(hub: Hub, log: MemoryLog) -> None:
    workspace = log.create()
    somebody = log.join(workspace)
    first, second = Reader(), Reader()
    hub.subscribe(TextStream(workspace), somebody, first, after=None)
    await eventually(lambda: first.caught_up)

    log.commit(workspace)  # by another process: the hub has not heard of it
    hub.subscribe(TextStream(workspace), somebody, second, after=None)
    await eventually(lambda: second.caught_up)
    hub.committed(workspace, log.commit(workspace))
    await eventually(lambda: first.seqs == [1, 2])

    assert second.bodies[0] == {"caughtUp": 1}
    await eventually(lambda: second.seqs == [2])


async def test_a_group_renders_each_change_once(hub: Hub, log: MemoryLog) -> None:
    workspace = log.create()
    stream, other = TextStream(workspace), TextStream(workspace, group="another")
    readers = [Reader() for _ in range(20)]
    for reader in readers:
        hub.subscribe(stream, log.join(workspace), reader, after=None)
    lonely = Reader()
    hub.subscribe(other, log.join(workspace), lonely, after=None)
    await eventually(lambda: all(reader.caught_up for reader in [*readers, lonely]))
    caught_up = len(stream.rendered)

    hub.committed(workspace, log.commit(workspace))

    assert all(reader.seqs == [1] for reader in [*readers, lonely])
    assert len(stream.rendered) == caught_up + 1
    assert caught_up == 20
    assert len(other.rendered) == 2


async def test_an_idle_workspace_does_not_wait_and_a_busy_one_writes_once_a_tick(
    hub: Hub, log: MemoryLog
) -> None:
    workspace = log.create()
    reader = Reader()
    hub.subscribe(TextStream(workspace), log.join(workspace), reader, after=None)
    await eventually(lambda: reader.caught_up)
    await asyncio.sleep(TICK_S)
    before = reader.pushes

    for _ in range(50):
        hub.committed(workspace, log.commit(workspace))
    at_once = list(reader.seqs)
    await eventually(lambda: len(reader.seqs) == 50)

    assert at_once == [1]
    assert reader.pushes == before + 2
    assert reader.seqs == list(range(1, 51))


@pytest.mark.parametrize("waits", [False, True])
async def test_a_full_reader_replays_and_rejoins_while_its_neighbour_notices_nothing(
    hub: Hub, log: MemoryLog, waits: bool
) -> None:
    workspace = log.create()
    stream = TextStream(workspace, waits=waits)
    slow, quick = Reader(), Reader()
    for reader in (slow, quick):
        hub.subscribe(stream, log.join(workspace), reader, after=None)
    await eventually(lambda: slow.caught_up and quick.caught_up)

    slow.pause()
    for _ in range(RING_MAX_CHANGES + 100):  # more than memory holds: the log has to help
        hub.committed(workspace, log.commit(workspace))
    await eventually(lambda: len(quick.seqs) == RING_MAX_CHANGES + 100)
    assert slow.seqs == []
    slow.go_on()
    await eventually(lambda: len(slow.seqs) == RING_MAX_CHANGES + 100)
    hub.committed(workspace, log.commit(workspace))
    await eventually(lambda: len(quick.seqs) == len(slow.seqs) == RING_MAX_CHANGES + 101)

    assert slow.seqs == quick.seqs == list(range(1, RING_MAX_CHANGES + 102))
    assert slow.caught_up == quick.caught_up == [0]


async def test_rendering_that_waits_keeps_the_order(hub: Hub, log: MemoryLog) -> None:
    workspace = log.create()
    reader = Reader()
    hub.subscribe(TextStream(workspace, waits=True), log.join(workspace), reader, after=None)
    await eventually(lambda: reader.caught_up)

    for _ in range(100):
        hub.committed(workspace, log.commit(workspace))
        await asyncio.sleep(0)
    await eventually(lambda: len(reader.seqs) == 100)

    assert reader.seqs == list(range(1, 101))


async def test_a_stranger_hears_nothing(hub: Hub, log: MemoryLog) -> None:
    workspace = log.create()
    log.commit(workspace)
    stranger = log.join(log.create())
    reader, lost = Reader(), Reader()

    hub.subscribe(TextStream(workspace), stranger, reader, after=0)
    hub.subscribe(TextStream(MemoryLog().create()), stranger, lost, after=0)
    await eventually(lambda: reader.errors and lost.errors)

    assert reader.bodies == lost.bodies == []
    assert [error["extensions"]["code"] for error in reader.errors + lost.errors] == [  # type: ignore[index]
        "NOT_FOUND",
        "NOT_FOUND",
    ]
    assert hub.memberships() == set()


async def test_removal_ends_the_stream_before_the_change_that_says_so(
    hub: Hub, log: MemoryLog
) -> None:
    workspace = log.create()
    goes, stays = log.join(workspace), log.join(workspace)
    of_goes, of_stays = Reader(), Reader()
    hub.subscribe(TextStream(workspace), goes, of_goes, after=None)
    hub.subscribe(TextStream(workspace), stays, of_stays, after=None)
    await eventually(lambda: of_goes.caught_up and of_stays.caught_up)

    log.commit(workspace)
    log.members.remove((goes.user, workspace))
    log.commit(workspace, *removal(goes.user))
    hub.committed(workspace, log.commit(workspace))
    await eventually(lambda: of_goes.errors and len(of_stays.seqs) == 3)

    assert of_goes.seqs == [1]
    assert of_goes.errors[0]["extensions"]["code"] == "NOT_FOUND"  # type: ignore[index]
    assert hub.memberships() == {(stays.user, workspace)}


async def test_who_was_removed_and_is_back_reads_on(hub: Hub, log: MemoryLog) -> None:
    workspace = log.create()
    somebody = log.join(workspace)
    reader, late = Reader(), Reader()
    hub.subscribe(TextStream(workspace), somebody, reader, after=None)
    await eventually(lambda: reader.caught_up)

    log.commit(workspace, *removal(somebody.user))
    hub.committed(workspace, log.commit(workspace, "member.added"))
    hub.subscribe(TextStream(workspace), somebody, late, after=0)
    await eventually(lambda: len(reader.seqs) == len(late.seqs) == 2)

    assert reader.errors == late.errors == []


async def test_a_lost_membership_found_by_the_poll_ends_the_stream(
    hub: Hub, log: MemoryLog
) -> None:
    workspace = log.create()
    somebody = log.join(workspace)
    reader = Reader()
    hub.subscribe(TextStream(workspace), somebody, reader, after=None)
    await eventually(lambda: reader.caught_up)

    hub.lost([(somebody.user, workspace)])  # the poll was wrong: they are a member
    await asyncio.sleep(0.02)
    assert reader.errors == []
    log.members.clear()
    hub.lost([(somebody.user, workspace)])
    await eventually(lambda: reader.errors)

    hub.committed(workspace, log.commit(workspace))
    assert reader.seqs == []


async def test_a_pruned_log_asks_for_a_resync_and_goes_on(hub: Hub, log: MemoryLog) -> None:
    workspace = log.create()
    somebody = log.join(workspace)
    for _ in range(10):
        log.commit(workspace)
    log.prune(workspace, 5)
    reader, just = Reader(), Reader()

    hub.subscribe(TextStream(workspace), somebody, reader, after=3)
    hub.subscribe(TextStream(workspace), somebody, just, after=5)
    await eventually(lambda: reader.caught_up and just.caught_up)
    hub.committed(workspace, log.commit(workspace))
    await eventually(lambda: reader.seqs == [11] and len(just.seqs) == 6)

    assert reader.bodies[:2] == [{"resync": "LOG_PRUNED", "seq": 3, "head": 10}, {"caughtUp": 10}]
    assert just.resyncs == []


async def test_a_restored_log_asks_for_a_resync_of_those_beyond_it(
    hub: Hub, log: MemoryLog, events: ManualEvents
) -> None:
    workspace = log.create()
    somebody = log.join(workspace)
    for _ in range(10):
        log.commit(workspace)
    beyond, within, new = Reader(), Reader(), Reader()
    hub.subscribe(TextStream(workspace), somebody, beyond, after=8)
    within.pause()
    hub.subscribe(TextStream(workspace), somebody, within, after=2)
    await eventually(lambda: beyond.caught_up)

    log.restore(workspace, 4)
    events.sinks[workspace].jump(4)
    events._cursors[workspace] = 4
    within.go_on()
    hub.subscribe(TextStream(workspace), somebody, new, after=9)
    await eventually(lambda: beyond.resyncs and within.caught_up and new.caught_up)
    hub.committed(workspace, log.commit(workspace))
    await eventually(lambda: all(reader.seqs[-1:] == [5] for reader in (beyond, within, new)))

    assert beyond.resyncs == [{"resync": "LOG_RESTORED", "seq": 10, "head": 4}]
    assert within.seqs == [3, 4, 5]
    assert within.resyncs == []
    assert new.resyncs == [{"resync": "LOG_RESTORED", "seq": 9, "head": 4}]


async def test_a_jump_is_told_even_when_the_log_has_grown_past_the_old_position(
    hub: Hub, log: MemoryLog, events: ManualEvents
) -> None:
    workspace = log.create()
    somebody = log.join(workspace)
    for _ in range(5):
        log.commit(workspace)
    reader = Reader()
    hub.subscribe(TextStream(workspace), somebody, reader, after=None)
    await eventually(lambda: reader.caught_up)

    log.restore(workspace, 2)
    events.sinks[workspace].jump(2)
    events._cursors[workspace] = 2
    for _ in range(10):
        log.commit(workspace)
    await eventually(lambda: reader.resyncs)
    events.deliver(workspace)
    await eventually(lambda: reader.seqs[-1:] == [12])

    assert reader.resyncs == [{"resync": "LOG_RESTORED", "seq": 5, "head": 2}]
    assert reader.seqs == list(range(3, 13))


async def test_an_outage_delays_and_loses_nothing(hub: Hub, log: MemoryLog) -> None:
    workspace = log.create()
    somebody = log.join(workspace)
    log.commit(workspace)
    log.down = True
    reader = Reader()

    hub.subscribe(TextStream(workspace), somebody, reader, after=0)
    await asyncio.sleep(0.05)
    assert reader.bodies == []
    log.down = False
    await eventually(lambda: reader.caught_up)

    assert reader.seqs == [1]


async def test_a_bug_in_one_selection_ends_its_readers_and_no_others(
    hub: Hub, log: MemoryLog, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = log.create()
    broken = TextStream(workspace, group="broken")
    victim, neighbour = Reader(), Reader()
    hub.subscribe(broken, log.join(workspace), victim, after=None)
    hub.subscribe(TextStream(workspace), log.join(workspace), neighbour, after=None)
    await eventually(lambda: victim.caught_up and neighbour.caught_up)

    broken.failures.append(ZeroDivisionError("secret"))
    hub.committed(workspace, log.commit(workspace))
    await eventually(lambda: victim.errors and neighbour.seqs == [1])

    assert victim.errors[0]["extensions"]["code"] == "INTERNAL"  # type: ignore[index]
    assert "secret" not in json.dumps(victim.errors)
    assert [record.message for record in caplog.records] == ["live.stream_failed"]


async def test_the_last_reader_to_leave_lets_the_workspace_go(
    log: MemoryLog, events: ManualEvents
) -> None:
    hub = Hub(log=log, access=log, events=events, linger_s=0.01)
    workspace = log.create()
    reader = Reader()
    subscription = hub.subscribe(TextStream(workspace), log.join(workspace), reader, after=None)
    await eventually(lambda: reader.caught_up)

    subscription.close()
    await eventually(lambda: workspace not in events.sinks)

    assert hub._actors == {}


async def test_what_arrives_while_a_reader_is_about_to_join_is_not_lost() -> None:
    """It is ahead of the event source, and the database's answer to it is old on arrival."""

    class Held(MemoryLog):
        gate = asyncio.Event()
        is_held = False

        async def heads(self, streams: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, Head]:
            found = await super().heads(streams)
            if self.is_held:
                await self.gate.wait()
            return found

    log = Held()
    events = ManualEvents(log)
    hub = Hub(log=log, access=log, events=events)
    workspace = log.create()
    first, ahead = Reader(), Reader()
    hub.subscribe(TextStream(workspace), log.join(workspace), first, after=None)
    await eventually(lambda: first.caught_up)
    for _ in range(3):
        log.commit(workspace)  # the event source has not heard of these
    somebody = log.join(workspace)
    hub.subscribe(TextStream(workspace, group="another"), somebody, ahead, after=3)
    await eventually(lambda: ahead.caught_up)
    log.is_held = True
    [subscription] = [s for s in hub._actors[workspace].subscriptions if s.viewer is somebody]
    subscription.detour()
    reads = log.reads
    await eventually(lambda: log.reads == reads + 2)

    hub.committed(workspace, log.commit(workspace))
    log.gate.set()
    await eventually(lambda: first.seqs == [1, 2, 3, 4])
    hub.committed(workspace, log.commit(workspace))
    await eventually(lambda: ahead.seqs[-1:] == [5])

    assert ahead.seqs == [4, 5]
    await hub.stop()


async def test_what_was_read_for_who_has_left_is_dropped() -> None:
    """Also where the workspace has a new listener by then, who begins elsewhere."""

    class Held(MemoryLog):
        gate = asyncio.Event()

        async def moved(self, cursors: Mapping[UUID, int], limit: int) -> Mapping[UUID, Moved]:
            found = await super().moved(cursors, limit)
            await self.gate.wait()
            return found

    log = Held()
    workspace = log.create()
    for _ in range(5):
        log.commit(workspace)
    tail = PostgresTail(log)
    left, came = Kept(), Kept()
    tail.follow(workspace, 0, left)
    running = asyncio.create_task(tail.run())
    await eventually(lambda: log.reads == 1)

    tail.unfollow(workspace)
    tail.follow(workspace, 3, came)
    log.gate.set()
    await eventually(lambda: came.seqs)
    running.cancel()

    assert left.seqs == []
    assert came.seqs == [4, 5]


async def test_a_closed_outlet_is_left_alone(hub: Hub, log: MemoryLog) -> None:
    workspace = log.create()
    reader = Reader()
    hub.subscribe(TextStream(workspace), log.join(workspace), reader, after=None)
    await eventually(lambda: reader.caught_up)

    reader.close()
    hub.committed(workspace, log.commit(workspace))
    await eventually(lambda: not hub._tasks)

    assert reader.seqs == []


def test_the_ring_is_bounded_by_count_and_by_bytes() -> None:
    log = MemoryLog()
    workspace = log.create()
    for _ in range(RING_MAX_CHANGES + 10):
        log.commit(workspace, payload='"' + "x" * 1_000 + '"')
    ring = Ring(0)

    ring.extend(log.changes[workspace], max_bytes=10**9)
    assert len(ring._changes) == RING_MAX_CHANGES
    assert ring.after(9, 5) is None
    assert [c.seq for c in ring.after(10, 3) or []] == [11, 12, 13]
    assert ring.after(RING_MAX_CHANGES + 10, 5) == []
    assert ring.after(RING_MAX_CHANGES + 11, 5) is None

    log.commit(workspace)
    ring.extend(log.changes[workspace][-1:], max_bytes=10_000)
    assert ring.bytes <= 10_000
    ring.clear(3)
    assert (ring.bytes, ring.after(3, 5), ring.after(2, 5)) == (0, [], None)


def test_frames_differ_by_the_id_alone_and_are_whole_messages() -> None:
    bodies = [b"{}", b"x" * 200, b"y" * 70_000]
    batch = Batch([1, 2, 3], bodies)

    for id_json in (b'"1"', b'"22"', b'"9"'):
        texts = [b'{"id":%b,"type":"next","payload":%b}' % (id_json, body) for body in bodies]
        assert batch.frames(id_json) == b"".join(map(text_frame, texts))
    assert batch.after(1).frames(b'"1"') == Batch([2, 3], bodies[1:]).frames(b'"1"')
    assert batch.events().startswith(b"event: next\nid: 1\ndata: {}\n\nevent: next\nid: 2\n")


def test_a_batch_is_bounded() -> None:
    bodies = [b"x" * (BATCH_MAX_BYTES // 2)] * 5 + [b"y" * (3 * BATCH_MAX_BYTES), b"z"]

    made = list(batches(range(1, 8), bodies))

    assert [(batch.first, batch.last) for batch in made] == [(1, 2), (3, 4), (5, 5), (6, 6), (7, 7)]
    assert list(batches([], [])) == []
