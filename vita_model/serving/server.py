"""The model server: WebSocket sessions, keys, slots, and what a balancer asks."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from urllib.parse import SplitResult, parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from vita_model.engine.voice import VoiceModel
from vita_model.serving.connection import Connection, Limits
from vita_model.serving.dialogue import Dialogue
from vita_model.serving.door import ListenError, SocketPeer, Visitor, choose_subprotocol
from vita_model.serving.events import Json
from vita_model.serving.http import json_answer, refuse
from vita_model.serving.slots import Slots
from vita_model.serving.vad import SileroDetector

log = logging.getLogger(__name__)

REALTIME_PATH = "/v1/realtime"


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

    def admit(self, visitor: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP requests, and let a session in or turn it away."""
        assert isinstance(visitor, Visitor)  # noqa: S101 - the door makes no others
        asked = visitor.asked
        if asked.refusal is not None:
            return refuse(asked.refusal, "The request cannot be read.")
        if asked.method not in ("GET", "HEAD"):
            return refuse(HTTPStatus.METHOD_NOT_ALLOWED, "This address is only read.")
        response = self._answer(visitor, urlsplit(request.path))
        if response is not None and asked.method == "HEAD":
            response.body = b""
        return response

    def _answer(self, visitor: Visitor, url: SplitResult) -> Response | None:
        match url.path:
            case "/healthz":
                card = asdict(self._model.card)
                return json_answer(HTTPStatus.OK, {"status": "ok", "model": card})
            case "/readyz":
                return self._readiness()
            case "/v1/models" | "/v1/realtime" if not self._may_enter(visitor):
                return refuse(
                    HTTPStatus.UNAUTHORIZED, "The API key is missing or wrong.", "invalid_api_key"
                )
            case "/v1/models":
                entry = self._model_entry()
                return json_answer(HTTPStatus.OK, {"object": "list", "data": [entry]})
            case "/v1/realtime" if "call_id" not in parse_qs(url.query):
                return self._take_slot(visitor)
        return refuse(HTTPStatus.NOT_FOUND, f"Sessions are at {REALTIME_PATH}?model=NAME.")

    async def serve_client(self, connection: ServerConnection) -> None:
        """Run one session."""
        detector = await self._detector()
        dialogue = Dialogue(
            model_name=self._model.card.name,
            output_rate=self._model.output_rate,
            detector=detector,
            clock=time.monotonic,
            expires_at=int(time.time() + self._config.limits.session),
        )
        log.info("session opened", extra={"session_id": dialogue.session_id})
        session = Connection(
            peer=SocketPeer(connection),
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

    def _take_slot(self, visitor: Visitor) -> Response | None:
        request = visitor.request
        upgrade = request.headers.get_all("Upgrade") if request is not None else []
        if [value.lower() for value in upgrade] != ["websocket"]:
            return refuse(HTTPStatus.UPGRADE_REQUIRED, "Sessions are opened as a WebSocket.")
        if not self.slots.take():
            return refuse(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"All {self.slots.limit} sessions are in use; try again or use another server.",
                retry_after_s=1,
            )
        visitor.leave = self.slots.give_back
        return None

    def _may_enter(self, visitor: Visitor) -> bool:
        wanted = self._key_hash
        if wanted is None:
            return True
        return any(hmac.compare_digest(_hash(key), wanted) for key in visitor.bearer)

    def _readiness(self) -> Response:
        slots = self.slots
        body = {"ready": not slots.draining, "active": slots.active, "max": slots.limit}
        status = HTTPStatus.SERVICE_UNAVAILABLE if slots.draining else HTTPStatus.OK
        return json_answer(status, body)

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
            select_subprotocol=choose_subprotocol,
            create_connection=Visitor,
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


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
