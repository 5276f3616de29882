"""What every mutation has in common: load, decide, flush; again where the state moved meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn
from uuid import UUID

from domain.changes import State
from domain.errors import Code, Problem, Problems, Refused, Stale, Unavailable, not_found
from domain.ports import Clock, Command, Needs, Recorded, Seen, Store, Writes
from domain.services.turns import Turns

# Each retry means that another process's change won, so the workspace as a whole moves on.
ATTEMPTS = 8
KEY_MIN_CHARS = 16
KEY_MAX_CHARS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What shall be written, and the subject's state after it."""

    writes: Writes
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a mutation did: its subject's state, and the last seq it produced (else the head)."""

    subject: UUID
    state: State
    seq: int


Decide = Callable[[Seen, datetime], Decision]


class Mutations:
    """Runs decisions against a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._turns = Turns()

    async def run(self, command: Command, needs: Needs, decide: Decide) -> Outcome:
        """Carries out one mutation, once for each idempotency key.

        Raises:
            Refused: what `decide` refuses, or KEY_REUSED; nothing was changed.
            Unavailable: the workspace changed under every attempt, or a wait took too long.
        """
        wrong = (*command.problems, *_wrong_with(command.key))
        if wrong:
            await self._refuse(replace(command, key=None), needs, decide, wrong)
        seen = await self._store.load(command, needs)
        if seen.recorded is not None:
            return _again(command, needs, seen.recorded)
        decision = decide(seen, self._clock.now())
        writes = decision.writes
        if writes.is_idle and command.key is None:
            return Outcome(subject=writes.subject, state=decision.state, seq=seen.head)
        async with self._turns.of(writes.workspace):
            return await self._flush(command, needs, decide, decision)

    async def _refuse(
        self, command: Command, needs: Needs, decide: Decide, wrong: tuple[Problem, ...]
    ) -> NoReturn:
        """Raises what is wrong already, and all else that there is to tell."""
        seen = await self._store.load(command, needs)
        problems = Problems(*wrong)
        problems.of(lambda: decide(seen, self._clock.now()))
        raise problems.refusal()

    async def _flush(
        self, command: Command, needs: Needs, decide: Decide, decision: Decision
    ) -> Outcome:
        for _ in range(ATTEMPTS):
            writes = decision.writes
            if writes.is_idle:
                writes = replace(writes, unchanged=decision.state)
            try:
                seq = await self._store.flush(command, writes)
            except (Stale, Refused) as lost:
                # What came first may be this very mutation, sent twice: its key tells.
                seen = await self._store.load(command, needs)
                if seen.recorded is not None:
                    return _again(command, needs, seen.recorded)
                if isinstance(lost, Refused):
                    raise
                decision = decide(seen, self._clock.now())
            else:
                return Outcome(subject=writes.subject, state=decision.state, seq=seq)
        raise Unavailable("The workspace is changing too fast; try again.")


def _wrong_with(key: str | None) -> tuple[Problem, ...]:
    if key is None:
        return ()
    if KEY_MIN_CHARS <= len(key) <= KEY_MAX_CHARS and key.isprintable():
        return ()
    message = f"Send {KEY_MIN_CHARS} to {KEY_MAX_CHARS} printable characters, new each time."
    return (Problem(Code.INVALID, message, ("input", "clientMutationId")),)


def _again(command: Command, needs: Needs, recorded: Recorded) -> Outcome:
    if recorded.field != command.field or recorded.arguments != command.arguments:
        message = "This key was used for another mutation: make a new one."
        raise Refused(Problem(Code.KEY_REUSED, message, ("input", "clientMutationId")))
    # That they left is theirs to hear; what was done there before, no longer.
    if not recorded.visible and not needs.leaving:
        raise not_found("There is no such workspace.")
    return Outcome(subject=recorded.subject, state=recorded.state, seq=recorded.seq)
