"""Events on their way to one client: in order, bounded, and never stale."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from vita_model.serving.events import Json

ROOM = 256
"""Above this many waiting events nothing more is asked of the model or of the client."""


class Outbox:
    """One reader takes, many writers post. Posting never waits, so the order is the caller's.

    Args:
        seen: Told every event as it is posted.
    """

    def __init__(self, seen: Callable[[Json], None] = lambda _: None) -> None:
        self._seen = seen
        self._events: deque[Json] = deque()
        self._filled = asyncio.Event()
        self._roomy = asyncio.Event()
        self._roomy.set()

    def post(self, event: Json) -> None:
        """Add an event. Writers wait for `room` before they make the next one."""
        self._seen(event)
        self._events.append(event)
        self._note()

    def drop_audio(self, response_id: str) -> None:
        """Forget the unsent speech of an answer that was cut short."""
        kept = [
            event
            for event in self._events
            if event["type"] != "response.output_audio.delta" or event["response_id"] != response_id
        ]
        self._events = deque(kept)
        self._note()

    async def room(self) -> None:
        """Wait until the client has taken enough. The sender's time limit bounds the wait."""
        await self._roomy.wait()

    async def take(self) -> Json:
        """The next event."""
        await self._filled.wait()
        event = self._events.popleft()
        self._note()
        return event

    def _note(self) -> None:
        if self._events:
            self._filled.set()
        else:
            self._filled.clear()
        if len(self._events) > ROOM:
            self._roomy.clear()
        else:
            self._roomy.set()
