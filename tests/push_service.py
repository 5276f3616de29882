"""A push service of the tests' own, with its browsers: it reads what it is sent, or says why not.

It verifies VAPID as RFC 8292 says, and decrypts as RFC 8291 says, from the receiver's side.
"""

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import jwt
import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from domain.channels import Browser
from domain.ids import SubscriptionId
from tests import tls
from tests.processes import free_port

BODY_MAX_BYTES = 4_096


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def padless(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Received:
    """One message as the browser gets it."""

    message: Any
    headers: Mapping[str, str]
    claims: Mapping[str, Any]


@dataclass
class Answer:
    """What the service answers; without a status it never does."""

    status: int | None = 201
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""


class Device:
    """A browser: the keys of one subscription, and what has arrived."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | None = None, auth: bytes = b"") -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.auth = auth or os.urandom(16)
        self.id = SubscriptionId(uuid4())
        self.server_key: str | None = None
        self.received: list[Received] = []
        self.refused: list[str] = []
        self.answers: list[Answer] = []

    @property
    def point(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def read(self, body: bytes) -> bytes:
        """Decrypts a body: RFC 8188, section 2, with the keys of RFC 8291, section 3."""
        salt, record, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21 : 21 + length], body[21 + length :]
        assert length == 65
        assert len(sealed) <= record
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        shared = self.key.exchange(ec.ECDH(), public)
        secret = derive(shared, self.auth, b"WebPush: info\0" + self.point + sender, 32)
        key = derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
        nonce = derive(secret, salt, b"Content-Encoding: nonce\0", 12)
        plain = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\0")
        assert plain.endswith(b"\2"), "the last record ends so"
        return plain[:-1]


def derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


class PushService:
    """Serves `/push/{device}`; devices subscribe to a server's key, or to any."""

    def __init__(self, host: str, port: int, scheme: str = "https") -> None:
        self.origin = f"{scheme}://{host}:{port}"
        self.devices: dict[str, Device] = {}
        self.app = Starlette(routes=[Route("/push/{device}", self.push, methods=["POST"])])

    def subscribe(self, device: Device, server_key: str) -> Browser:
        device.server_key = server_key
        self.devices[str(device.id)] = device
        endpoint = f"{self.origin}/push/{device.id}"
        return Browser(id=device.id, endpoint=endpoint, p256dh=device.point, auth=device.auth)

    async def push(self, request: Request) -> Response:
        device = self.devices.get(request.path_params["device"])
        if device is None:
            return PlainTextResponse("no such subscription", 404)
        answer = device.answers.pop(0) if device.answers else Answer()
        if answer.status is None:
            await asyncio.sleep(3_600)
        if answer.status is not None and answer.status != 201:
            return PlainTextResponse(answer.text, answer.status, answer.headers)
        body = await request.body()
        try:
            claims = self.claims(request.headers["authorization"], device)
            self.require_headers(request.headers)
        except (AssertionError, KeyError, jwt.InvalidTokenError) as error:
            device.refused.append(repr(error))
            return PlainTextResponse(repr(error), 400)
        if len(body) > BODY_MAX_BYTES:
            return PlainTextResponse("too large", 413)
        device.received.append(
            Received(json.loads(device.read(body)), dict(request.headers), claims)
        )
        return Response(status_code=201, headers={"Location": f"{self.origin}/message/1"})

    def claims(self, authorization: str, device: Device) -> Mapping[str, Any]:
        """Returns the claims of a token that RFC 8292, sections 2 to 4, accepts."""
        found = re.fullmatch(r"vapid t=([\w.-]+), ?k=([\w-]+)", authorization, re.ASCII)
        assert found is not None, authorization
        token, key = found.groups()
        assert key == device.server_key, "another key than the subscription's"
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unpadded(key))
        claims: dict[str, Any] = jwt.decode(
            token,
            public,
            algorithms=["ES256"],
            audience=self.origin,
            options={"require": ["aud", "exp", "sub"]},
        )
        assert claims["exp"] <= time.time() + 24 * 3_600
        assert re.match(r"mailto:.+@.+|https://.+", claims["sub"])
        return claims

    def require_headers(self, headers: Mapping[str, str]) -> None:
        """What RFC 8030, section 5, asks for."""
        assert headers["content-encoding"] == "aes128gcm"
        assert headers["ttl"].isdigit()
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", headers["topic"])
        assert headers["urgency"] in {"very-low", "low", "normal", "high"}


@asynccontextmanager
async def push_service(host: str, *, encrypted: bool = True) -> AsyncIterator[PushService]:
    """Serves under that name, on the loopback, over TLS or in the clear."""
    port = free_port()
    service = PushService(host, port, "https" if encrypted else "http")
    config = uvicorn.Config(service.app, port=port, log_config=None, lifespan="off")
    config.load()
    config.ssl = tls.server(host) if encrypted else None
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield service
    server.should_exit = server.force_exit = True
    await serving


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
