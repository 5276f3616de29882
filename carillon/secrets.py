"""Secrets from the secret store, where the settings name one."""

import asyncio
import http
import logging
from collections.abc import Mapping

import orjson

from carillon.settings import NotConfigured, Settings, plain
from infra.dapr.sidecar import Sidecar
from workers.routes import SECRET

log = logging.getLogger(__name__)

# The store may come up after us; what is wrong with it does not mend itself sooner.
RETRY_S = 3.0
# Of a command; a process waits for as long as it takes.
COMMAND_WAIT_S = 10.0


async def with_secrets(settings: Settings) -> Settings:
    """Returns the settings with what the store holds, once the sidecar and the store answer.

    Raises:
        NotConfigured: what the store holds is no secret as settings are in it.
        ValidationError: one of them is not what its setting wants.
    """
    if settings.secret_store is None or settings.dapr_url is None:
        return settings
    async with sidecar_of(settings) as sidecar:
        await sidecar.ready()
        while True:
            path = f"/v1.0/secrets/{settings.secret_store}/{SECRET}"
            try:
                answer = await sidecar.send("GET", path)
                if answer.status == http.HTTPStatus.OK:
                    return settings.with_secrets(_texts(settings, answer.body))
                said = f"{answer.status} {answer.head}"
            except OSError as error:
                said = str(error)
            log.warning("secrets.awaited", extra={"store": settings.secret_store, "said": said})
            await asyncio.sleep(RETRY_S)


async def soon_with_secrets(settings: Settings) -> Settings:
    """Returns the settings with what the store holds, for a command that somebody waits for.

    Raises:
        NotConfigured: as `with_secrets`.
        TimeoutError: the sidecar or the store does not answer.
        ValidationError: as `with_secrets`.
    """
    try:
        async with asyncio.timeout(COMMAND_WAIT_S):
            return await with_secrets(settings)
    except TimeoutError:
        raise TimeoutError(f"The secret store {settings.secret_store} does not answer.") from None


def sidecar_of(settings: Settings) -> Sidecar:
    """Returns the way to this process's sidecar; `dapr_url` is set."""
    if settings.dapr_url is None:
        raise LookupError("CARILLON_DAPR_URL")
    return Sidecar(settings.dapr_url, api_token=plain(settings.dapr_api_token))


def _texts(settings: Settings, body: bytes) -> Mapping[str, str]:
    """Returns the secret's texts by their keys; nothing of them is in the message of an error."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise NotConfigured(
            f"The secret {SECRET} of the store {settings.secret_store} has to hold texts by the"
            " names of settings, as CARILLON_DATABASE_URL."
        )
    return found
