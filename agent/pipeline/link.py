"""The connection between a call and whichever model server has a place for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException

from agent.calls.context import ModelChoice
from agent.clock import Clock
from agent.errors import ModelUnavailableError
from agent.log import get_logger
from agent.pipeline.model_server import ModelServer

log = get_logger(__name__)

FIRST_PAUSE_S = 0.05
_LAST_PAUSE_S = 1.0
_RENEW_S = 5.0
_FOR_GOOD = frozenset({400, 401, 403, 404})

Connect = Callable[..., Awaitable[ClientConnection]]


class OneServer:
    """The choice of a call that has none."""

    def __init__(self, url: str) -> None:
        self.urls = (url,)
        self._failed = False

    async def pick(self) -> str | None:
        """The server, unless it has just failed."""
        failed, self._failed = self._failed, False
        return None if failed else self.urls[0]

    async def failed(self, url: str, *, reached: bool) -> None:
        """Let the next pick wait."""
        del url, reached
        self._failed = True

    async def connected(self, url: str) -> None:
        """Nobody counts."""

    async def renew(self) -> None:
        """Nobody counts."""

    async def leave(self) -> None:
        """Nobody counts."""


class ModelLink:
    """Finds a server that takes the call, again whenever one is lost, and keeps the place there.

    Args:
        server: Key and time limits of all servers.
        choice: Which one to try.
        clock: Measures the limits.
    """

    def __init__(self, server: ModelServer, choice: ModelChoice, clock: Clock) -> None:
        self.server = server
        self._choice = choice
        self._clock = clock
        self._url = ""
        self._pause_s = FIRST_PAUSE_S

    async def open(self, connect: Connect, deadline: float) -> ClientConnection:
        """Connect: to one server after the other at once, then again with growing pauses.

        Args:
            connect: Opens a WebSocket.
            deadline: Monotonic seconds after which it is given up.

        Raises:
            ModelUnavailableError: No server in time, or all of them refuse us for good.
        """
        refused: dict[str, int] = {}
        while True:
            url = await self._choice.pick()
            if url is None:
                if refused.keys() >= set(self._choice.urls):
                    raise self.server.refused(max(refused.values()))
                await self.pause(deadline)
                continue
            try:
                websocket = await self._connect(connect, url)
            except InvalidURI as error:
                raise ModelUnavailableError(f"{error}: correct the model URL.") from error
            except (OSError, TimeoutError, WebSocketException) as error:
                status = error.response.status_code if isinstance(error, InvalidStatus) else 0
                refused.pop(url, None)
                if status in _FOR_GOOD:
                    refused[url] = status
                log.warning("model_not_reached", server=url, error=repr(error))
                await self._choice.failed(url, reached=status > 0)
            else:
                self._url = url
                await self._choice.connected(url)
                return websocket

    async def lost(self, *, stable: bool) -> None:
        """The connection is gone, or given up: another server is tried first.

        Args:
            stable: Whether it had worked for a while; if not, the next try may wait longer.
        """
        url, self._url = self._url, ""
        if stable:
            self._pause_s = FIRST_PAUSE_S
        if url:
            await self._choice.failed(url, reached=True)

    async def pause(self, deadline: float) -> None:
        """Wait before the next round of tries, each time longer.

        Raises:
            ModelUnavailableError: The deadline would be over by then.
        """
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _LAST_PAUSE_S)
        if self._clock.monotonic() + pause_s > deadline:
            raise self.server.gone()
        await asyncio.sleep(pause_s)

    async def keep(self) -> None:
        """Keep the call's place at its server, for ever."""
        while True:
            await asyncio.sleep(_RENEW_S)
            await self._choice.renew()

    async def leave(self) -> None:
        """The call is over: its place is free."""
        await self._choice.leave()

    async def _connect(self, connect: Connect, url: str) -> ClientConnection:
        key = self.server.api_key
        options: dict[str, Any] = {
            "additional_headers": {"Authorization": f"Bearer {key}"} if key else None,
            "compression": None,
            "proxy": None,  # the model stands beside the agent, not outside
            "max_size": 4 << 20,
            "ping_interval": 5,
            "ping_timeout": 5,
        }
        async with asyncio.timeout(self.server.connect_s):
            return await connect(self.server.endpoint(url), **options)
