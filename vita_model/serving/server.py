"""The model server: WebSocket sessions, keys, slots, and what a balancer asks."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from vita_model.engine.voice import ToolError, VoiceModel
from vita_model.serving.client_secrets import ClientSecrets, Secret
from vita_model.serving.connection import Connection, Limits
from vita_model.serving.dialogue import Dialogue
from vita_model.serving.door import ListenError, SocketPeer, Visitor, choose_subprotocol
from vita_model.serving.events import Json, ProtocolError, error_event, new_id
from vita_model.serving.hearing import OVER_ALL, OVER_THE_NEW
from vita_model.serving.host import Host
from vita_model.serving.http import answer, json_answer, refuse
from vita_model.serving.key_file import Keys
from vita_model.serving.keys import Key, Scope
from vita_model.serving.memory import read_memory
from vita_model.serving.meter import SessionMeter
from vita_model.serving.vad import SileroDetector, Together
from vita_model.serving.watchdog import until_stuck

log = logging.getLogger(__name__)

REALTIME_PATH: Final = "/v1/realtime"
SECRETS_PATH: Final = "/v1/realtime/client_secrets"

_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
_FAREWELL_S: Final = 2.0
_EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How the server admits and keeps sessions. Times are in seconds.

    Attributes:
        max_sessions: Sessions at once.
        keys: Who may come in; None for everybody.
        memory_limit: Bytes this process may take; None for all there are.
        stuck_after: An engine that makes no step for so long is given up.
        hears_ahead: Let the model listen while callers still speak.
    """

    max_sessions: int = 8
    keys: Keys | None = field(default=None, repr=False)
    memory_limit: int | None = None
    stuck_after: float = 30.0
    hears_ahead: bool = True
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 5.0
    max_message_bytes: int = 16 * 1024 * 1024
    limits: Limits = field(default_factory=Limits)


class ModelServer:
    """Admits clients and runs their sessions on one model.

    Attributes:
        stuck: Set once the engine has been given up; the sessions have been told.
    """

    def __init__(self, model: VoiceModel, config: ServerConfig) -> None:
        self._model = model
        self._config = config
        self._keys = config.keys
        self._together = Together()
        passes = OVER_THE_NEW if model.hears_in_chunks else OVER_ALL
        self._passes = passes if config.hears_ahead else None
        self._open: set[ServerConnection] = set()
        memory = functools.partial(read_memory, config.memory_limit)
        self._secrets = ClientSecrets(time.time)
        self.host = Host(model, config.max_sessions, memory, time.monotonic)
        self.slots = self.host.slots
        self.stuck = asyncio.Event()

    async def drain(self, deadline_s: float) -> None:
        """Take no new session and wait until the running ones have ended, or the deadline."""
        self.slots.closed = self.slots.closed or "draining"
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self.slots.empty.wait()

    async def watch(self) -> None:
        """Wait until the engine is stuck; then refuse new sessions and end those that run."""
        await until_stuck(lambda: self._model.stats(), self._config.stuck_after)  # noqa: PLW0108 - a model may be replaced
        log.error("the engine has made no step for %g s", self._config.stuck_after)
        self.slots.closed = "stuck"
        async with asyncio.TaskGroup() as group:
            for connection in list(self._open):
                group.create_task(_tell_stuck(connection))
        self.stuck.set()

    async def admit(self, visitor: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP requests, and let a session in or turn it away."""
        assert isinstance(visitor, Visitor)  # noqa: S101 - the door makes no others
        asked = visitor.asked
        if asked.refusal is not None:
            return refuse(asked.refusal, "The request cannot be read.")
        url = urlsplit(request.path)
        if url.path == SECRETS_PATH:
            return await self._make_secret(visitor)
        if asked.method not in ("GET", "HEAD"):
            return refuse(HTTPStatus.METHOD_NOT_ALLOWED, "This address is only read.")
        response = self._answer(visitor, url)
        if response is not None and asked.method == "HEAD":
            response.body = b""
        return response

    def _answer(self, visitor: Visitor, url: SplitResult) -> Response | None:
        secret = self._secret(visitor) if url.path == REALTIME_PATH else None
        match url.path:
            case "/healthz" | "/readyz":
                return self._health(url.path)
            case "/load" | "/metrics":
                return self._measurements(visitor, url.path)
            case "/v1/models" | "/v1/realtime" if not (secret or self._may(visitor, "sessions")):
                return _no_entry("The API key is missing or wrong.")
            case "/v1/models":
                entry = self._model_entry()
                return json_answer(HTTPStatus.OK, {"object": "list", "data": [entry]})
            case "/v1/realtime" if "call_id" not in parse_qs(url.query):
                return self._take_slot(visitor, secret)
        return refuse(HTTPStatus.NOT_FOUND, f"Sessions are at {REALTIME_PATH}?model=NAME.")

    def _health(self, path: str) -> Response:
        """Whether the process works, and whether sessions should come here."""
        stuck = self.slots.closed == "stuck"
        if path == "/healthz":
            card = asdict(self._model.card)
            fine, content = not stuck, {"status": "stuck" if stuck else "ok", "model": card}
        else:
            fine, content = self.host.ready, self.host.readiness()
        return json_answer(HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE, content)

    def _measurements(self, visitor: Visitor, path: str) -> Response:
        """For this machine and for keys; never for everybody, not even where there are no keys."""
        scopes: tuple[Scope, ...] = ("metrics", "sessions") if path == "/load" else ("metrics",)
        may_see = self._keys is not None and self._may(visitor, *scopes)
        if not (may_see or _is_local(visitor)):
            return _no_entry("This is shown to this machine, and to a key that may see it.")
        if path == "/load":
            return json_answer(HTTPStatus.OK, self.host.load())
        return answer(HTTPStatus.OK, self.host.exposition(), _EXPOSITION)

    async def serve_client(self, connection: ServerConnection) -> None:
        """Run one session."""
        detector = SileroDetector()
        dialogue = Dialogue(
            model_name=self._model.card.name,
            output_rate=self._model.output_rate,
            detector=detector,
            clock=time.monotonic,
            session=connection.session if isinstance(connection, Visitor) else None,
            expires_at=int(time.time() + self._config.limits.session),
            passes=self._passes,
        )
        log.info("session opened", extra={"session_id": dialogue.session_id})
        self.host.meter.opened.inc()
        session = Connection(
            peer=SocketPeer(connection),
            model=self._model,
            dialogue=dialogue,
            judge=functools.partial(self._together.probabilities, detector),
            limits=self._config.limits,
            seen=SessionMeter(self.host.meter).saw,
        )
        self._open.add(connection)
        try:
            await session.run()
        finally:
            self._open.discard(connection)
            log.info("session closed", extra={"session_id": dialogue.session_id})

    def _take_slot(self, visitor: Visitor, secret: Secret | None) -> Response | None:
        request = visitor.request
        upgrade = request.headers.get_all("Upgrade") if request is not None else []
        if [value.lower() for value in upgrade] != ["websocket"]:
            return refuse(HTTPStatus.UPGRADE_REQUIRED, "Sessions are opened as a WebSocket.")
        key = self._key(visitor) if secret is None else secret.parent
        refusal = self.slots.take(key)
        if refusal is not None:
            self.host.meter.refused.labels(refusal.reason).inc()
            wait_s = refusal.retry_after_s
            return refuse(refusal.status, refusal.sentence, refusal.reason, wait_s)
        visitor.leave = functools.partial(self.slots.give_back, key)
        if secret is not None:
            self._secrets.use_up(secret)
            visitor.session = secret.session
        return None

    async def _make_secret(self, visitor: Visitor) -> Response:
        """A key for one session of a browser."""
        if visitor.asked.method != "POST":
            return refuse(HTTPStatus.METHOD_NOT_ALLOWED, "Client secrets are made with POST.")
        if not self._may(visitor, "client_secrets"):
            return _no_entry("The API key is missing, wrong, or makes no client secrets.")
        model = self._model.card.name
        try:
            value, secret = self._secrets.make(visitor.asked.body, self._key(visitor), model)
            await self._check_tools(secret)
        except ProtocolError as error:
            busy = error.code == "rate_limit_exceeded"
            status = HTTPStatus.TOO_MANY_REQUESTS if busy else HTTPStatus.BAD_REQUEST
            return refuse(status, str(error), error.code, 10 if busy else 0)
        session = {"object": "realtime.session", "id": new_id("sess")}
        content = {"value": value, "expires_at": secret.expires_at}
        return json_answer(
            HTTPStatus.OK, {**content, "session": {**session, **secret.session.model_dump()}}
        )

    async def _check_tools(self, secret: Secret) -> None:
        """Refuse tools the model cannot be held to, as `session.update` does."""
        tools = secret.session.options(None).tools
        try:
            async with asyncio.timeout(self._config.limits.check_tools):
                await self._model.check_tools(tools)
        except (ToolError, TimeoutError) as error:
            self._secrets.use_up(secret)
            sentence = str(error) or "Checking the tools took too long; offer fewer of them."
            raise ProtocolError(sentence, "invalid_value", "session.tools") from None

    def _secret(self, visitor: Visitor) -> Secret | None:
        """The client secret that is shown, unless the key it was made with has been revoked."""
        secret = self._secrets.find(visitor.bearer)
        if secret is None or self._keys is None:
            return secret
        parent = secret.parent
        return secret if parent is not None and self._keys.ring.holds(parent) else None

    def _key(self, visitor: Visitor) -> Key | None:
        return None if self._keys is None else self._keys.ring.find(visitor.bearer)

    def _may(self, visitor: Visitor, *scopes: Scope) -> bool:
        """Whether somebody has a key for one of these; where there are no keys everybody may."""
        if self._keys is None:
            return True
        key = self._key(visitor)
        return key is not None and not key.scopes.isdisjoint(scopes)

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
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        chores = [group.create_task(server.watch(), name="watchdog")]
        if config.keys is not None:
            chores.append(group.create_task(config.keys.follow(), name="keys"))
        try:
            yield server
        finally:
            door.close()
            await door.wait_closed()
            for chore in chores:
                chore.cancel()
            await stack.aclose()


async def _tell_stuck(connection: ServerConnection) -> None:
    """Tell a client that its session ends because the engine does not work any more."""
    error = ProtocolError("The engine has stopped; open a session elsewhere.", "engine_stuck")
    event = error_event(error, None)
    event["error"]["type"] = "server_error"
    with suppress(ConnectionClosed, TimeoutError):
        async with asyncio.timeout(_FAREWELL_S):
            await connection.send(json.dumps(event))
            await connection.close(1011, "the engine has stopped")


def _no_entry(sentence: str) -> Response:
    return refuse(HTTPStatus.UNAUTHORIZED, sentence, "invalid_api_key")


def _is_local(visitor: Visitor) -> bool:
    """Whether this machine asks for itself: a proxy on it speaks for others."""
    headers = visitor.request.headers if visitor.request is not None else {}
    address = visitor.remote_address
    if not isinstance(address, tuple) or any(name in headers for name in _FORWARDED):
        return False
    return ipaddress.ip_address(address[0].partition("%")[0]).is_loopback
