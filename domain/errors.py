"""Everything the domain can refuse.

DomainError
├── Refused          the caller can act on it: codes and paths, `userErrors`
├── Invisible        a read of what is absent, or not for this viewer: the two look the same
├── Unauthenticated  no valid session
├── OverLimit        the request asks for more than one request may
└── Unavailable      try again: a lock, a wait or a connection took too long
Stale                the state moved between load and flush; the service loads again
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

T = TypeVar("T")


class Code(Enum):
    """Why a mutation was refused; the names are those of the public `UserErrorCode`."""

    INVALID = "INVALID"
    NOT_FOUND = "NOT_FOUND"
    FORBIDDEN = "FORBIDDEN"
    CONFLICT = "CONFLICT"
    STALE_VERSION = "STALE_VERSION"
    KEY_REUSED = "KEY_REUSED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: `path` leads to it in the arguments, `message` says what to do."""

    code: Code
    message: str
    path: tuple[str, ...] = ()


class DomainError(Exception):
    """Base of everything the domain raises on purpose."""


class Refused(DomainError):
    """The mutation changed nothing; `problems` says why, all that were found at once.

    `current` carries the state of the subject where the caller should see it (STALE_VERSION).
    """

    def __init__(self, *problems: Problem, current: dict[str, object] | None = None) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems
        self.current = current


class Problems:
    """Collects what is wrong with a request, so that all of it is told at once."""

    def __init__(self, *found: Problem) -> None:
        self.found = found

    def of(self, check: Callable[[], T]) -> T | None:
        """Returns what the check returns; where it refuses, keeps why and returns None."""
        try:
            return check()
        except Refused as refused:
            self.found += refused.problems
            return None

    def refusal(self) -> Refused:
        """Returns the refusal of all that was found."""
        return Refused(*self.found)


class Invisible(DomainError):
    """There is no such thing for this viewer."""


class Unauthenticated(DomainError):
    """The request carries no valid session."""


class OverLimit(DomainError):
    """The request asks for more than one request may."""


class Unavailable(DomainError):
    """The service could not do it in time; nothing was changed, trying again is safe."""


class Stale(Exception):
    """The state that a decision read has moved; load again and decide again."""


# What passes by itself, so that trying again is all there is to do. Of the world outside adapters
# speak as of connections and waits; any other OSError is a bug, as a file that is not there.
PASSING: Final = (ConnectionError, TimeoutError, Unavailable, Stale)


def invalid(message: str, *path: str) -> Refused:
    """Returns the refusal of one bad argument."""
    return Refused(Problem(Code.INVALID, message, path))


def not_found(message: str, *path: str) -> Refused:
    """Returns the refusal that absent and invisible things share."""
    return Refused(Problem(Code.NOT_FOUND, message, path))


def forbidden(message: str, *path: str) -> Refused:
    """Returns the refusal of somebody who may see, but not do this."""
    return Refused(Problem(Code.FORBIDDEN, message, path))


def conflict(message: str, *path: str) -> Refused:
    """Returns the refusal of what contradicts the present state."""
    return Refused(Problem(Code.CONFLICT, message, path))


def over_limit(message: str, *path: str) -> Refused:
    """Returns the refusal of one more where the limit is reached."""
    return Refused(Problem(Code.LIMIT_EXCEEDED, message, path))
