"""What the live path and the operations behind it agree on; neither knows the other."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from secrets import token_hex
from typing import Protocol, TypeAlias

from domain.access import Viewer
from domain.ids import WorkspaceId
from domain.messages import Message

# A GraphQL error as JSON: `message`, `extensions` and so on.
Error: TypeAlias = Mapping[str, object]


class Stream(Protocol):
    """A prepared subscription; its messages are rendered, not executed."""

    @property
    def key(self) -> str:
        """The response key of the root field."""
        ...

    @property
    def workspace(self) -> WorkspaceId:
        """Whose changes these are: a workspace's, or a user's, who is alone in it."""
        ...

    @property
    def after(self) -> int | None:
        """The last seq the client has; None: from now."""
        ...

    @property
    def cost(self) -> int:
        """What one message may cost; see `resolvers.cost`."""
        ...

    @property
    def group(self) -> Hashable:
        """Streams of one workspace with equal groups render equal bytes for the same message."""
        ...

    def render(self, message: Message) -> bytes | Awaitable[bytes]:
        """Returns the response's JSON text `{"data":{...}}`; at once where no query is needed.

        Empty where the message is nothing to this stream's readers.

        OSError and Unavailable mean "ask again"; other exceptions end the stream, OverLimit with
        its own words.
        """
        ...


# What became of an operation: a stream, the whole response of a query or mutation, or the errors
# for which it was not executed.
Opened: TypeAlias = Stream | bytes | list[Error]
# Gets the viewer (None: no token was sent) and {query, variables, operationName, extensions}.
Subscribe: TypeAlias = Callable[[Viewer | None, Mapping[str, object]], Awaitable[Opened]]
# What is absent and what is not for the viewer are told in the same words.
GONE = "There is no such workspace, or it is not yours."
SIGN_IN = "Sign in, and send the token as Authorization: Bearer."
# Raises domain.errors.Unauthenticated.
Authenticate: TypeAlias = Callable[[str], Awaitable[Viewer]]


def problem(code: str, message: str) -> Error:
    """Returns an error of the contract's form; the trace id is new, log it where it helps."""
    return {"message": message, "extensions": {"code": code, "traceId": token_hex(16)}}
