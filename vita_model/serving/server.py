"""The model server's door: WebSocket sessions, keys, slots, and what a balancer asks."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from vita_model.engine.voice import VoiceModel
from vita_model.serving.connection import ClientGoneError, Connection, Limits
from vita_model.serving.dialogue import Dialogue
from vita_model.serving.events import Json
from vita_model.serving.slots import Slots
from vita_model.serving.vad import SileroDetector

log = logging.getLogger(__name__)

REALTIME_PATH = "/v1/realtime"
_KEY_PREFIX = "openai-insecure-api-key."


class ListenError(Exception):
    """The address cannot be listened on. The message says what to do."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How the server admits and keeps sessions. Times are in seconds."""

    max_sessions: int = 8
    api_key: str | None = field(default=None, repr=False)
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 5.0
    max_message_bytes: int = 16 * 1024 * 1024
    limits: Limits = field(default_factory=Limits)


def open_listener(host: str, port: int) -> socket.socket:
    """Reserve an address, without accepting connections yet.

    Raises:
        ListenError: it is in use, or not ours to use.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(f"Cannot listen on {host}: {error.strerror}.") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ListenError(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --port."
        ) from None
    return listener


class _Socket(ServerConnection):
    """Gives its slot back when it is gone, however it went."""

    slots: Slots | None = None

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.slots is not None:
            self.slots.give_back()
            self.slots = None


class _Peer:
    """The socket as a session sees it."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed:
            raise ClientGoneError("the client has gone") from None

    async def send(self, text: str) -> None:
        try:
            await self._connection.send(text)
        except ConnectionClosed:
            raise ClientGoneError("the client has gone") from None

    def drop(self) -> None:
        self._connection.transport.abort()


class ModelServer:
    """Admits clients and runs their sessions on one model."""

    def __init__(self, model: VoiceModel, config: ServerConfig) -> None:
        self._model = model
        self._config = config
        self._key_hash = _hash(config.api_key) if config.api_key else None
        self._spare_detectors: list[SileroDetector] = []
        self.slots = Slots(config.max_sessions)

    async def drain(self, deadline_s: float) -> None:
        """Take no new session and wait until the running ones have ended, or the deadline."""
        self.slots.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self.slots.empty.wait()

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP requests, and let a session in or turn it away."""
        url = urlsplit(request.path)
        match url.path:
            case "/healthz":
                return _json(HTTPStatus.OK, {"status": "ok", "model": asdict(self._model.card)})
            case "/readyz":
                return self._readiness()
            case "/v1/models" | "/v1/realtime" if not self._may_enter(request.headers):
                return _refuse(HTTPStatus.UNAUTHORIZED, "The API key is missing or wrong.")
            case "/v1/models":
                return _json(HTTPStatus.OK, {"object": "list", "data": [self._model_entry()]})
            case "/v1/realtime" if "call_id" not in parse_qs(url.query):
                return self._take_slot(connection, request)
        return _refuse(HTTPStatus.NOT_FOUND, f"Sessions are at {REALTIME_PATH}?model=NAME.")

    async def serve_client(self, connection: ServerConnection) -> None:
        """Run one session."""
        detector = await self._detector()
        dialogue = Dialogue(
            model_name=self._model.card.name,
            output_rate=self._model.output_rate,
            detector=detector,
            clock=time.monotonic,
        )
        log.info("session opened", extra={"session_id": dialogue.session_id})
        session = Connection(
            peer=_Peer(connection),
            model=self._model,
            dialogue=dialogue,
            limits=self._config.limits,
        )
        try:
            await session.run()
        finally:
            detector.reset()
            self._spare_detectors.append(detector)
            log.info("session closed", extra={"session_id": dialogue.session_id})

    async def _detector(self) -> SileroDetector:
        if self._spare_detectors:
            return self._spare_detectors.pop()
        return await asyncio.to_thread(SileroDetector)

    def _take_slot(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return _refuse(HTTPStatus.UPGRADE_REQUIRED, "Sessions are opened as a WebSocket.")
        if not self.slots.take():
            refusal = _refuse(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"All {self.slots.limit} sessions are in use; try again or use another server.",
            )
            refusal.headers["Retry-After"] = "1"
            return refusal
        if isinstance(connection, _Socket):
            connection.slots = self.slots
        return None

    def _may_enter(self, headers: Headers) -> bool:
        if self._key_hash is None:
            return True
        scheme, _, key = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return hmac.compare_digest(_hash(key.strip()), self._key_hash)
        offered = (part.strip() for part in headers.get("Sec-WebSocket-Protocol", "").split(","))
        keys = [part.removeprefix(_KEY_PREFIX) for part in offered if part.startswith(_KEY_PREFIX)]
        return any(hmac.compare_digest(_hash(key), self._key_hash) for key in keys)

    def _readiness(self) -> Response:
        slots = self.slots
        body = {"ready": not slots.draining, "active": slots.active, "max": slots.limit}
        status = HTTPStatus.SERVICE_UNAVAILABLE if slots.draining else HTTPStatus.OK
        return _json(status, body)

    def _model_entry(self) -> Json:
        card = self._model.card
        return {
            "id": card.name,
            "object": "model",
            "created": 0,
            "owned_by": "vita",
            "card": asdict(card),
        }


@asynccontextmanager
async def serving(
    model: VoiceModel, listener: socket.socket, config: ServerConfig
) -> AsyncIterator[ModelServer]:
    """Serve a model on an address. Leaving closes every session with code 1001.

    Raises:
        ListenError: another server took the address first.
    """
    server = ModelServer(model, config)
    try:
        door = await serve(
            server.serve_client,
            sock=listener,
            process_request=server.admit,
            select_subprotocol=_subprotocol,
            create_connection=_Socket,
            compression=None,
            max_size=config.max_message_bytes,
            ping_interval=config.ping_interval,
            ping_timeout=config.ping_timeout,
            close_timeout=config.close_timeout,
            server_header=None,
        )
    except OSError as error:
        raise ListenError(f"Cannot listen: {error.strerror}. Choose another --port.") from None
    try:
        yield server
    finally:
        door.close()
        await door.wait_closed()


def _subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Browsers offer "realtime" beside their key, and end a session that does not take it up."""
    return Subprotocol("realtime") if "realtime" in offered else None


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _refuse(status: HTTPStatus, sentence: str) -> Response:
    return _json(status, {"error": {"type": "invalid_request_error", "message": sentence}})


def _json(status: HTTPStatus, content: Json) -> Response:
    body = json.dumps(content).encode()
    headers = Headers(
        [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)
