"""Where clients come in: the address that is listened on, and one client's socket."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from typing_extensions import override
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from vita_model.serving.connection import ClientGoneError
from vita_model.serving.http import RequestReader
from vita_model.serving.session import Session

KEY_SUBPROTOCOL = "openai-insecure-api-key."


class ListenError(Exception):
    """The address cannot be listened on. The message says what to do."""


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


class Visitor(ServerConnection):
    """One connection. Its HTTP request may have any method and a body.

    Attributes:
        asked: Method and body of the request.
        leave: What to do when it is gone, however it went; runs once.
        session: Settings its session begins with; None for the defaults.
    """

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.asked = RequestReader()
        self.leave: Callable[[], None] | None = None
        self.session: Session | None = None

    @override
    def data_received(self, data: bytes) -> None:
        if passed := self.asked.feed(data):
            super().data_received(passed)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        leave, self.leave = self.leave, None
        if leave is not None:
            leave()

    @property
    def bearer(self) -> list[str]:
        """Keys the request shows: as a header, or as browsers have to, among the subprotocols."""
        if self.request is None:
            return []
        headers = self.request.headers
        shown = [value.partition(" ") for value in headers.get_all("Authorization")]
        if shown:
            return [key.strip() for scheme, _, key in shown if scheme.lower() == "bearer"]
        offered = ",".join(headers.get_all("Sec-WebSocket-Protocol")).split(",")
        return [
            part.strip().removeprefix(KEY_SUBPROTOCOL)
            for part in offered
            if part.strip().startswith(KEY_SUBPROTOCOL)
        ]


class SocketPeer:
    """The socket as a session sees it."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def receive(self) -> str | bytes:
        """The next message."""
        try:
            return await self._connection.recv()
        except ConnectionClosed:
            raise ClientGoneError("the client has gone") from None

    async def send(self, text: str) -> None:
        """Send one message."""
        try:
            await self._connection.send(text)
        except ConnectionClosed:
            raise ClientGoneError("the client has gone") from None

    def drop(self) -> None:
        """Cut the connection."""
        self._connection.transport.abort()


def choose_subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Browsers offer "realtime" beside their key, and end a session that does not take it up."""
    return Subprotocol("realtime") if "realtime" in offered else None
