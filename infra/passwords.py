"""Argon2id on threads of its own. Implements domain.services.accounts.Passwords."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from domain.errors import Unavailable

# OWASP's password storage cheat sheet: 19 MiB, two passes, one lane; some 30 ms of one core.
MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1
# Two threads leave the event loop a core of a small machine, and bound the memory to 38 MiB.
THREADS = 2
# One second of work for the two threads; whoever comes later would wait for longer than that.
WAITING_MAX = 64

Answer = TypeVar("Answer")


class Argon2Passwords:
    """Hashes and verifies, a few at a time."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """See `Passwords.hash`."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, hash: str | None, password: str) -> bool:
        """See `Passwords.verify`."""
        return await self._run(lambda: self._verified(hash, password))

    def close(self) -> None:
        """Drops what waits and stops the threads once they are done with what they have."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verified(self, hash: str | None, password: str) -> bool:
        if hash is None:
            # Making a hash costs what comparing with one does.
            self._hasher.hash(password)
            return False
        try:
            return self._hasher.verify(hash, password)
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        if self._waiting >= WAITING_MAX:
            raise Unavailable("Too many are signing in; try again in a few seconds.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
