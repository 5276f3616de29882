"""Rendered messages on their way to many readers: built once, only the operation's id differs."""

from collections.abc import Iterator, Sequence

# What one write may hold: a socket that fills up has at most this much too much in memory.
BATCH_MAX_BYTES = 65_536

_BEFORE_ID = b'{"id":'
_AFTER_ID = b',"type":"next","payload":'


def text_frame(text: bytes) -> bytes:
    """Returns an unmasked, final text frame of a server; RFC 6455, section 5.2."""
    return _head(len(text)) + text


def _head(size: int) -> bytes:
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


class Batch:
    """Messages of one stream, in order, each with the cursor that a reader has after it.

    A message without a body only moves the cursor: it is nothing to these readers.
    """

    __slots__ = ("_bodies", "_cursors", "_events", "_pieces")

    def __init__(self, cursors: Sequence[int], bodies: Sequence[bytes]) -> None:
        self._cursors = cursors
        self._bodies = bodies
        self._pieces: dict[int, list[bytes]] = {}
        self._events: bytes | None = None

    @property
    def first(self) -> int:
        return self._cursors[0]

    @property
    def last(self) -> int:
        return self._cursors[-1]

    def after(self, cursor: int) -> "Batch":
        """Returns the messages beyond a cursor that lies inside the batch."""
        index = next(i for i, own in enumerate(self._cursors) if own > cursor)
        return Batch(self._cursors[index:], self._bodies[index:])

    def frames(self, id_json: bytes) -> bytes:
        """Returns the batch as websocket frames of `next` messages.

        All ids of one length share everything but themselves, so that a socket costs one join.
        """
        pieces = self._pieces.get(len(id_json))
        if pieces is None:
            pieces = self._pieces[len(id_json)] = list(self._around_id(len(id_json)))
        return id_json.join(pieces)

    def events(self) -> bytes:
        """Returns the batch as server-sent events; rendered JSON has no line breaks."""
        if self._events is None:
            self._events = b"".join(
                b"event: next\nid: %d\ndata: %b\n\n" % entry
                for entry in zip(self._cursors, self._bodies, strict=True)
                if entry[1]
            )
        return self._events

    def _around_id(self, id_size: int) -> Iterator[bytes]:
        fixed = len(_BEFORE_ID) + id_size + len(_AFTER_ID) + 1
        tail = b""
        for body in self._bodies:
            if not body:
                continue
            yield tail + _head(fixed + len(body)) + _BEFORE_ID
            tail = _AFTER_ID + body + b"}"
        yield tail


def batches(cursors: Sequence[int], bodies: Sequence[bytes]) -> Iterator[Batch]:
    """Returns the messages in batches of at most `BATCH_MAX_BYTES`, or of one message."""
    start, size = 0, 0
    for index, body in enumerate(bodies):
        if index > start and size + len(body) > BATCH_MAX_BYTES:
            yield Batch(cursors[start:index], bodies[start:index])
            start, size = index, 0
        size += len(body)
    if start < len(bodies):
        yield Batch(cursors[start:], bodies[start:])
