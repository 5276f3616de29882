"""Which media type an answer has: HTTP's Accept, as GraphQL over HTTP reads it."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

JSON: Final = "application/json"
RESPONSE: Final = "application/graphql-response+json"
EVENTS: Final = "text/event-stream"
HTML: Final = "text/html"
# Clients send one of a handful of headers; attackers send any.
_HEADERS_MAX = 256
_WILDCARDS: Final = {"*/*": JSON, "application/*": JSON, "text/*": EVENTS}


@lru_cache(maxsize=_HEADERS_MAX)
def preferred(accept: str | None) -> str | None:
    """Returns the media type to answer in; None where nothing that we have is accepted.

    The highest quality wins, and the first of several. Without a header, and for anything, it is
    `application/json`, which older clients expect.
    """
    if not accept:
        return JSON
    best: str | None = None
    quality = 0.0
    for media, weight in _ranges(accept):
        offered = media if media in (JSON, RESPONSE, EVENTS, HTML) else _WILDCARDS.get(media)
        if offered is not None and weight > quality:
            best, quality = offered, weight
    return best


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        yield media, float(weight) if weight.replace(".", "", 1).isdecimal() else 0.0


@lru_cache(maxsize=_HEADERS_MAX)
def is_json(content_type: str) -> bool:
    """Tells whether a request's body is JSON in UTF-8, the only charset that JSON has."""
    media, *parameters = (piece.strip().lower() for piece in content_type.split(";"))
    charset = next((p[8:].strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
    return media == JSON and charset in ("utf-8", "utf8")
