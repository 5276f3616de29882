"""Automatic persisted queries: a client sends a document's SHA-256, and the text only once.

The protocol is Apollo's (its "Automatic Persisted Queries" link and others speak it). Texts are
shared by all replicas, for a week since the last time somebody sent one.
"""

import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from graphql import GraphQLError

from domain.errors import Unavailable
from domain.ports import StateStore

log = logging.getLogger(__name__)

KEEP: Final = timedelta(days=7)
# Of this process; what is pushed out is still in the store.
TEXTS_MAX = 1_000
TEXTS_MAX_CHARACTERS = 1_000_000
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class PersistedQueryNotFound(Exception):
    """Nobody has sent the document of this hash; the client sends it with the next request."""

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound")


def asks(extensions: object) -> bool:
    """Tells whether a request's extensions name a persisted query."""
    return isinstance(extensions, dict) and isinstance(extensions.get("persistedQuery"), dict)


class PersistedQueries:
    """The texts by their hash, here and in the store."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._characters = 0

    async def text(self, payload: Mapping[str, Any]) -> str:
        """Returns the document that the payload sends or names.

        Raises:
            GraphQLError: the hash is malformed, or is not that of the text beside it.
            PersistedQueryNotFound: nobody has sent the text.
        """
        hash_ = _hash_of(payload)
        text: str | None = payload.get("query")
        if text is not None:
            if hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() != hash_:
                raise GraphQLError("The document does not have this sha256Hash.")
            return text
        found = self._texts.get(hash_) or await self._stored(hash_)
        if found is None:
            raise PersistedQueryNotFound
        self._remember(hash_, found)
        return found

    async def keep(self, payload: Mapping[str, Any], text: str) -> None:
        """Keeps the text of a payload that sent one; the document is known to be valid."""
        hash_ = _hash_of(payload)
        if payload.get("query") is None or hash_ in self._texts:
            return
        self._remember(hash_, text)
        try:
            await self._store.put(_key(hash_), text, KEEP)
        except Unavailable as error:
            # Other replicas then ask for the text once more.
            log.warning("persisted.not_kept", extra={"said": str(error)})

    async def _stored(self, hash_: str) -> str | None:
        try:
            found = await self._store.get(_key(hash_))
        except Unavailable as error:
            log.warning("persisted.not_read", extra={"said": str(error)})
            return None
        # The store is shared with whatever else writes to it.
        if found is None or hashlib.sha256(found.encode()).hexdigest() != hash_:
            return None
        return found

    def _remember(self, hash_: str, text: str) -> None:
        if hash_ not in self._texts:
            self._characters += len(text)
        self._texts[hash_] = text
        self._texts.move_to_end(hash_)
        while len(self._texts) > TEXTS_MAX or self._characters > TEXTS_MAX_CHARACTERS:
            _, gone = self._texts.popitem(last=False)
            self._characters -= len(gone)


def _key(hash_: str) -> str:
    return f"query:{hash_}"


def _hash_of(payload: Mapping[str, Any]) -> str:
    asked = payload["extensions"]["persistedQuery"]
    hash_ = asked.get("sha256Hash")
    if asked.get("version") != 1 or not isinstance(hash_, str) or not _HASH.fullmatch(hash_):
        raise GraphQLError("Send persistedQuery with version 1 and a sha256Hash of 64 hex digits.")
    return hash_
