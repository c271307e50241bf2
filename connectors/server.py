"""One web application on one address, served inside the running event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from agent.errors import PortInUseError
from agent.prompt_http import PromptHTTP
from agent.tasks import TaskOwner

START_LIMIT_S = 30.0
STOP_LIMIT_S = 3


def media_config(
    app: FastAPI, *, trusted_proxies: str = "127.0.0.1", stop_limit_s: int = STOP_LIMIT_S
) -> uvicorn.Config:
    """What uvicorn must know to serve media sockets.

    Small messages, short queues, quick detection of peers that are gone, no compression of audio.
    Proxies at the addresses or networks in `trusted_proxies` are believed whom they speak for.
    """
    return uvicorn.Config(
        app,
        http=PromptHTTP,
        forwarded_allow_ips=trusted_proxies,
        log_config=None,
        access_log=False,
        ws_max_size=64 * 1024,
        ws_max_queue=32,
        ws_per_message_deflate=False,
        ws_ping_interval=10,
        ws_ping_timeout=10,
        timeout_graceful_shutdown=stop_limit_s,
    )


class _Server(uvicorn.Server):
    """Leaves signals to the program around it and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self._down = asyncio.Event()

    def stop(self) -> None:
        """Finish what is being answered, then end."""
        self.should_exit = True
        self._down.set()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @override
    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # once a second: it keeps the date header fresh
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._down.wait()

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AppServer:
    """An application being served, as an async context manager.

    Args:
        app: What to serve.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.
        bound: A socket from `listen`, for an application that must know its address beforehand.
        trusted_proxies: Addresses or networks, separated by commas, whose `X-Forwarded-For` and
            `X-Forwarded-Proto` are believed.

    Raises:
        PortInUseError: On entry, when the address cannot be bound.
    """

    def __init__(
        self,
        app: FastAPI,
        host: str = "127.0.0.1",
        port: int = 0,
        bound: socket.socket | None = None,
        trusted_proxies: str = "127.0.0.1",
    ) -> None:
        self._server = _Server(media_config(app, trusted_proxies=trusted_proxies))
        self._host = host
        self._port = port
        self._bound = bound
        self._tasks = TaskOwner("server")
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens, such as `http://127.0.0.1:8080`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def __aenter__(self) -> Self:
        bound = self._bound or listen(self._host, self._port)
        self._host, self._port = bound.getsockname()[:2]
        self._serving = self._tasks.spawn(self._server.serve(sockets=[bound]), name="serve")
        try:
            async with asyncio.timeout(START_LIMIT_S):
                await self._server.up.wait()
        except BaseException:
            await self._tasks.close()
            bound.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop()
        if self._serving is not None:
            await asyncio.wait({self._serving}, timeout=2 * STOP_LIMIT_S)
        await self._tasks.close()


def listen(host: str, port: int) -> socket.socket:
    """A bound TCP socket.

    Raises:
        PortInUseError: The address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise PortInUseError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another port"
        ) from error
    return bound
