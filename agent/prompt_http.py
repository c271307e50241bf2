"""HTTP connections on which nothing is asked do not stay open.

The web server itself waits for ever for a request's headers: a few hundred silent connections, or
ones that send a byte now and then, would take all its sockets.
"""

from __future__ import annotations

import asyncio

from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol


class PromptHTTP(H11Protocol):
    """Aborts a connection that has not asked for anything for a whole `PERIOD_S`.

    Answers that take longer and sockets that became WebSockets stay.
    """

    PERIOD_S = 10.0

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_again()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        self._seen = self.cycle
        self._timer = self.loop.call_later(self.PERIOD_S, self._look)

    def _look(self) -> None:
        if self.transport.get_protocol() is not self:
            return
        idle = getattr(self.cycle, "response_complete", True)  # there is none before the first
        if idle and self.cycle is self._seen:
            self.transport.abort()
        else:
            self._look_again()
