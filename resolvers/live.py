"""One actor per active workspace: what happened lately, who listens, and how far each of them is.

A subscription is *live*, as a member of a group whose messages are rendered once for all of them,
or *catching up*: it reads the ring or the log from its own position, at its own pace, and joins its
group where it has reached the head. A new reader, one whose socket was full, and one whose
membership is in doubt all take that same way; nobody waits for them.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from domain.access import Viewer
from domain.changes import Change
from domain.errors import Invisible
from domain.ids import WorkspaceId
from domain.messages import CaughtUp, EventSource, Message, ResyncReason, ResyncRequired
from domain.ports import Access, Log
from resolvers.batches import Batch, batches
from resolvers.feed import Feed, patiently
from resolvers.rendering import REMOVED, failed, in_batches, removed
from resolvers.ring import RING_MAX_CHANGES
from resolvers.streams import GONE, Error, Stream, problem

# Changes that come closer together leave in one write: sixteen of them cost a socket what one
# does. An idle workspace does not wait at all.
TICK_S = 0.008
# ... unless so many are waiting that the ring could forget one before it is sent.
TICK_MAX_CHANGES = RING_MAX_CHANGES // 4


class Outlet(Protocol):
    """Where one subscription's messages go."""

    def push(self, batch: Batch) -> bool:
        """Takes all of the batch, or nothing of it (False) while it is full or closed."""
        ...

    async def drained(self) -> bool:
        """Waits until `push` would take a batch; False: it never will."""
        ...

    def end(self, error: Error) -> None:
        """Tells the client that the operation has failed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What actors read; `reads` bounds how many of them replay from the log at once."""

    log: Log
    access: Access
    events: EventSource
    reads: asyncio.Semaphore
    spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]


class Subscription:
    """One reader of one stream; `sent` is the last seq it has."""

    def __init__(self, actor: "Actor", stream: Stream, viewer: Viewer, outlet: Outlet) -> None:
        self.viewer = viewer
        self.stream = stream
        self.sent = -1
        self._actor = actor
        self._outlet = outlet
        self._task: asyncio.Task[None] | None = None
        self._admitted = False
        # The last removal of this viewer that a fresh look at the memberships has overruled.
        self._vetted = 0
        self._caught_up = False
        self._rewound = False

    def start(self, after: int | None) -> None:
        """Begins to read; the caller has registered it already, so nothing falls between."""
        self._work(self._run(after))

    def take(self, batch: Batch) -> bool:
        """Gets what its group sends; False: the outlet is full."""
        if self.sent >= batch.last:
            return True
        part = batch if self.sent < batch.first else batch.after(self.sent)
        if not self._outlet.push(part):
            return False
        self.sent = batch.last
        return True

    def detour(self) -> None:
        """Leaves its group and catches up by itself."""
        self._actor.part(self)
        if self._task is None:
            self._work(self._run(self.sent))

    def recheck(self) -> None:
        """Asks for the membership again before anything more is sent."""
        self._admitted = False
        self.detour()

    def rewind(self) -> None:
        """Learns that the log was restored to a position before `sent`."""
        self._rewound = True

    def close(self) -> None:
        """Stops; nothing is sent any more."""
        self._actor.leave(self)
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def end(self, error: Error) -> None:
        """Stops with an error."""
        self.close()
        self._outlet.end(error)

    def _work(self, reading: Coroutine[None, None, None]) -> None:
        self._task = self._actor.sources.spawn(reading)

    async def _run(self, after: int | None) -> None:
        try:
            await self._catch_up(after)
        except Invisible:
            self.end(problem("NOT_FOUND", GONE))
        except Exception as failure:  # noqa: BLE001 - a bug ends its readers, not the others
            self.end(failed(failure, self._actor.workspace))
        finally:
            self._task = None

    async def _catch_up(self, after: int | None) -> None:
        await patiently(self._actor.start)
        # "From now" is what the database says now: this process may not have seen it yet.
        self.sent = (await patiently(self._actor.feed.stored)).head if after is None else after
        while await self._outlet.drained():
            # Asked after the head was read: a removal up to there shows here, a later one there.
            if not self._admitted:
                await patiently(self._admit)
            messages = await patiently(self._next)
            if messages:
                await self._send(messages)
                # A page from memory to a fast reader has not waited for anything.
                await asyncio.sleep(0)
            elif self._admitted and not self._rewound and self.sent >= self._actor.feed.head:
                self._actor.join(self)
                return

    async def _admit(self) -> None:
        # Set before it is read, so that a doubt that arises meanwhile is not lost.
        self._admitted = True
        role = await self._actor.sources.access.role(self.viewer.user, self._actor.workspace)
        if role is None:
            raise Invisible

    async def _next(self) -> Sequence[Message]:
        if self._rewound:
            reason = ResyncReason.LOG_RESTORED
            return [ResyncRequired(seq=self.sent, reason=reason, head=self._actor.feed.head)]
        page = await self._actor.feed.page(self.sent)
        if isinstance(page, ResyncRequired):
            return [page]
        if not page and not self._caught_up:
            return [CaughtUp(seq=self.sent)]
        return await self._visible(page)

    async def _visible(self, page: Sequence[Change]) -> Sequence[Change]:
        """Returns the page up to where the viewer was removed, unless they are back."""
        for index, change in enumerate(page):
            if change.seq > self._vetted and removed(change) == str(self.viewer.user):
                if index:
                    return page[:index]
                await self._admit()
                self._vetted = change.seq
        return page

    async def _send(self, messages: Sequence[Message]) -> None:
        async with aclosing(in_batches(self.stream, messages)) as batched:
            async for batch in batched:
                if not self._outlet.push(batch):
                    # The rest is read again later: a full socket keeps only `sent`.
                    return
                self.sent = batch.last
        if isinstance(messages[0], CaughtUp):
            self._caught_up = True
        elif isinstance(messages[0], ResyncRequired):
            self._rewound = False


class Group:
    """Subscriptions to which every message is the same text; `at` is the last seq rendered."""

    def __init__(self, actor: "Actor", stream: Stream) -> None:
        self.members: set[Subscription] = set()
        self._actor = actor
        self._stream = stream
        self._at = actor.feed.head
        self._task: asyncio.Task[None] | None = None

    def flush(self) -> None:
        """Renders what is new and sends it: now, or in a task where rendering has to wait."""
        if self._task is not None:
            return
        changes = self._actor.feed.recent(self._at)
        if changes is None:
            self._task = self._actor.sources.spawn(self._follow())
            return
        bodies: list[bytes] = []
        try:
            for change in changes:
                body = self._stream.render(change)
                if not isinstance(body, bytes):
                    if isinstance(body, Coroutine):
                        body.close()
                    self._task = self._actor.sources.spawn(self._follow())
                    break
                bodies.append(body)
        except Exception as failure:  # noqa: BLE001 - a bug ends its readers, not the others
            self._fail(failure)
            return
        for batch in batches([change.seq for change in changes[: len(bodies)]], bodies):
            self._deliver(batch)

    def stop(self) -> None:
        """Stops rendering; called when the last member has left."""
        if self._task is not None:
            self._task.cancel()

    async def _follow(self) -> None:
        try:
            while self._at < self._actor.feed.head:
                page = await patiently(lambda: self._actor.feed.page(self._at))
                if isinstance(page, ResyncRequired):
                    self._scatter()
                    return
                async for batch in in_batches(self._stream, page):
                    self._deliver(batch)
        except Exception as failure:  # noqa: BLE001 - a bug ends its readers, not the others
            self._fail(failure)
        finally:
            self._task = None

    def _deliver(self, batch: Batch) -> None:
        for member in [each for each in self.members if not each.take(batch)]:
            member.detour()
        self._at = batch.last

    def _scatter(self) -> None:
        for member in list(self.members):
            member.detour()

    def _fail(self, failure: Exception) -> None:
        error = failed(failure, self._actor.workspace)
        for member in list(self.members):
            member.end(error)


class Actor:
    """The sink of one workspace's changes; see the module."""

    def __init__(
        self,
        workspace: WorkspaceId,
        sources: Sources,
        *,
        ring_max_bytes: Callable[[], int],
        on_leave: Callable[["Actor", Subscription], None],
    ) -> None:
        self.workspace = workspace
        self.sources = sources
        self.feed = Feed(workspace, sources.log, sources.reads)
        self.subscriptions: set[Subscription] = set()
        self._ring_max_bytes = ring_max_bytes
        self._on_leave = on_leave
        self._groups: dict[Hashable, Group] = {}
        self._starting = asyncio.Lock()
        self._started = False
        self._tick: asyncio.TimerHandle | None = None
        self._tick_at = 0.0
        self._flushed = 0

    async def start(self) -> None:
        """Begins to follow the workspace; what is committed from here on arrives.

        Raises:
            Invisible: there is no such workspace.
        """
        async with self._starting:
            if not self._started:
                self.feed.reset((await self.feed.stored()).head)
                self._flushed = self.feed.head
                self.sources.events.follow(self.workspace, self.feed.head, self)
                self._started = True

    def stop(self) -> None:
        """Stops following."""
        self.sources.events.unfollow(self.workspace)
        if self._tick is not None:
            self._tick.cancel()

    def append(self, changes: Sequence[Change]) -> None:
        """See `Sink.append`."""
        self.feed.extend(changes, self._ring_max_bytes())
        gone = {removed(change) for change in changes if change.kind == REMOVED}
        if gone:
            for subscription in list(self.subscriptions):
                if str(subscription.viewer.user) in gone:
                    subscription.detour()
        loop = asyncio.get_running_loop()
        if loop.time() >= self._tick_at or self.feed.head - self._flushed >= TICK_MAX_CHANGES:
            self._flush()
        elif self._tick is None:
            self._tick = loop.call_at(self._tick_at, self._flush)

    def jump(self, head: int) -> None:
        """See `Sink.jump`; each reader finds out by itself what that means to it."""
        self.feed.reset(head)
        self._flushed = head
        for subscription in list(self.subscriptions):
            if subscription.sent > head:
                subscription.rewind()
            subscription.detour()

    def join(self, subscription: Subscription) -> None:
        """Makes a reader that has reached the head live."""
        group = self._groups.get(subscription.stream.group)
        if group is None:
            group = self._groups[subscription.stream.group] = Group(self, subscription.stream)
        group.members.add(subscription)

    def part(self, subscription: Subscription) -> None:
        """Takes a reader out of its group."""
        group = self._groups.get(subscription.stream.group)
        if group is not None and subscription in group.members:
            group.members.remove(subscription)
            if not group.members:
                del self._groups[subscription.stream.group]
                group.stop()

    def leave(self, subscription: Subscription) -> None:
        """Forgets a reader."""
        self.part(subscription)
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)
            self._on_leave(self, subscription)

    def _flush(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self._tick_at = asyncio.get_running_loop().time() + TICK_S
        self._flushed = self.feed.head
        for group in list(self._groups.values()):
            group.flush()
