"""The live half of one replica: actors of the workspaces that somebody listens to."""

import asyncio
from collections import Counter
from collections.abc import Collection, Coroutine
from uuid import UUID

from domain.access import Viewer
from domain.errors import OverLimit
from domain.ids import UserId, WorkspaceId
from domain.messages import EventSource
from domain.ports import Access, Log
from resolvers.cost import COST_MAX
from resolvers.live import Actor, Outlet, Sources, Subscription
from resolvers.streams import Stream

# A workspace's ring, and about all of them together (each gets its share of the latter; those
# that were filled while there were fewer shrink with their next change).
RING_MAX_BYTES = 4 * 1_048_576
RINGS_MAX_BYTES = 128 * 1_048_576
# Readers of the log at once: a crowd that comes back together must leave lanes to the queries.
READS_MAX = 4
# How long a ring outlives its last reader: most of them are back after a reload of the page.
LINGER_S = 10.0


class Hub:
    """Where subscriptions meet the event source."""

    def __init__(
        self, *, log: Log, access: Access, events: EventSource, linger_s: float = LINGER_S
    ) -> None:
        self._linger_s = linger_s
        self._actors: dict[WorkspaceId, Actor] = {}
        # What each person's subscriptions may cost with every change.
        self._costs: Counter[UserId] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._events = events
        self._sources = Sources(
            log=log,
            access=access,
            events=events,
            reads=asyncio.Semaphore(READS_MAX),
            spawn=self._spawn,
        )

    def subscribe(
        self, stream: Stream, viewer: Viewer, outlet: Outlet, *, after: int | None
    ) -> Subscription:
        """Registers a reader, who gets what follows `after` (None: what comes from now on).

        Raises:
            OverLimit: this person's subscriptions would cost too much together.
        """
        if self._costs[viewer.user] + stream.cost > COST_MAX:
            raise OverLimit(
                f"Complete another subscription first: yours together may cost {COST_MAX} a change."
            )
        self._costs[viewer.user] += stream.cost
        actor = self._actors.get(stream.workspace)
        if actor is None:
            actor = self._actors[stream.workspace] = Actor(
                stream.workspace,
                self._sources,
                ring_max_bytes=lambda: min(RING_MAX_BYTES, RINGS_MAX_BYTES // len(self._actors)),
                on_leave=self._left,
            )
        subscription = Subscription(actor, stream, viewer, outlet)
        actor.subscriptions.add(subscription)
        subscription.start(after)
        return subscription

    def committed(self, stream: UUID, seq: int) -> None:
        """Learns that this process has committed `seq`, so that nobody waits for the poll."""
        self._events.hint(stream, seq)

    def memberships(self) -> set[tuple[UserId, WorkspaceId]]:
        """Returns who listens to which workspace."""
        return {
            (subscription.viewer.user, actor.workspace)
            for actor in self._actors.values()
            for subscription in actor.subscriptions
        }

    def lost(self, memberships: Collection[tuple[UserId, WorkspaceId]]) -> None:
        """Makes the streams of these ask for their membership again before they go on."""
        for user, workspace in memberships:
            actor = self._actors.get(workspace)
            if actor is not None:
                for subscription in list(actor.subscriptions):
                    if subscription.viewer.user == user:
                        subscription.recheck()

    async def stop(self) -> None:
        """Ends every stream without a word; the sockets say why they close."""
        for actor in list(self._actors.values()):
            for subscription in list(actor.subscriptions):
                subscription.close()
            self._drop(actor)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _left(self, actor: Actor, subscription: Subscription) -> None:
        user = subscription.viewer.user
        self._costs[user] -= subscription.stream.cost
        if not self._costs[user]:
            del self._costs[user]
        if not actor.subscriptions:
            asyncio.get_running_loop().call_later(self._linger_s, self._drop_idle, actor)

    def _drop_idle(self, actor: Actor) -> None:
        if not actor.subscriptions:
            self._drop(actor)

    def _drop(self, actor: Actor) -> None:
        # A timer may outlive its actor, and find the workspace's next one.
        if self._actors.get(actor.workspace) is actor:
            del self._actors[actor.workspace]
            actor.stop()
