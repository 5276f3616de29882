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
# Who signs in never stands behind those who sign up, of whom a flood may come. All three threads
# hold 57 MiB; those who sign in get two of three turns on a small machine.
KNOWN_THREADS = 2
NEW_THREADS = 1
# One second of work for each thread; whoever comes later would wait for longer than that.
KNOWN_MAX = 64
NEW_MAX = 32

Answer = TypeVar("Answer")


class Argon2Passwords:
    """Hashes and verifies, a few at a time."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._known = _Queue("argon2-known", threads=KNOWN_THREADS, waiting_max=KNOWN_MAX)
        self._new = _Queue("argon2-new", threads=NEW_THREADS, waiting_max=NEW_MAX)

    async def hash(self, password: str) -> str:
        """See `Passwords.hash`."""
        return await self._new.run(lambda: self._hasher.hash(password))

    async def verify(self, hash: str | None, password: str) -> bool:
        """See `Passwords.verify`."""
        return await self._known.run(lambda: self._verified(hash, password))

    def close(self) -> None:
        """Drops what waits and stops the threads once they are done with what they have."""
        self._known.close()
        self._new.close()

    def _verified(self, hash: str | None, password: str) -> bool:
        if hash is None:
            # Making a hash costs what comparing with one does.
            self._hasher.hash(password)
            return False
        try:
            return self._hasher.verify(hash, password)
        except VerifyMismatchError:
            return False


class _Queue:
    """Work that waits for a few threads, within a bounded number."""

    def __init__(self, name: str, *, threads: int, waiting_max: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting_max = waiting_max
        self._waiting = 0

    async def run(self, work: Callable[[], Answer]) -> Answer:
        if self._waiting >= self._waiting_max:
            raise Unavailable("Too many are signing in or up; try again in a few seconds.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
