"""One look at the running calls for all open pages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent.clock import Clock
from agent.errors import SessionStoreError
from agent.supervisor.access import Actor
from agent.supervisor.live import LiveCalls
from agent.supervisor.views import LiveCall

FRESH_S = 0.7


class Watch:
    """Asks the session store at most once in `FRESH_S` seconds, however many pages are open.

    What it hands out is masked and the same for everybody who may `read`.
    """

    def __init__(self, live: LiveCalls, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._looking = asyncio.Lock()
        self._looked_at: float | None = None
        self._calls: Sequence[LiveCall] = ()
        self._failure: SessionStoreError | None = None

    async def calls(self, actor: Actor) -> Sequence[LiveCall]:
        """The calls that run now, the newest first.

        Raises:
            PermissionDeniedError: The actor may not.
            SessionStoreError: Redis is out of reach.
        """
        actor.need("read")
        async with self._looking:
            now = self._clock.monotonic()
            if self._looked_at is None or now - self._looked_at >= FRESH_S:
                await self._look(actor)
                self._looked_at = self._clock.monotonic()
        if self._failure is not None:
            raise self._failure
        return self._calls

    async def _look(self, actor: Actor) -> None:
        try:
            self._calls = await self._live.list(actor)
        except SessionStoreError as error:
            self._failure = error
        else:
            self._failure = None
