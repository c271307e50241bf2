"""The live copy of call events: one capped Redis stream per call.

Publishing never waits: events go into a bounded queue and one task sends them on in batches. When
Redis is out of reach the live view goes stale; the call log does not depend on it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.errors import SessionStoreError
from agent.log import get_logger
from agent.session.store import SessionStore, call_key

log = get_logger(__name__)

STREAM_LENGTH = 4000
STREAM_TTL_S = 6 * 3600
QUEUE_LENGTH = 5000
BATCH = 100


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One event as the live view gets it. `position` continues a reading after it."""

    position: str
    seq: int
    kind: str
    at: datetime
    payload: Mapping[str, Any]


class LiveFeed:
    """Sends events to the calls' streams and reads them back."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._queue: deque[tuple[str, dict[str, str]]] = deque()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stale = False
        self.dropped = 0

    def publish(
        self, call_id: str, seq: int, kind: str, at: datetime, payload: Mapping[str, Any]
    ) -> None:
        """Queue one event, from any thread. Dropped when the queue is full."""
        if len(self._queue) >= QUEUE_LENGTH:
            self.dropped += 1
            return
        fields = {
            "seq": str(seq),
            "kind": kind,
            "at": at.isoformat(),
            "payload": json.dumps(payload),
        }
        self._queue.append((call_id, fields))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Send what is queued until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                await self.flush()
                await self._wake.wait()
                self._wake.clear()
        finally:
            self._loop = None

    async def flush(self) -> None:
        """Send what is queued now, once."""
        while self._queue:
            size = min(BATCH, len(self._queue))
            await self._send([self._queue.popleft() for _ in range(size)])

    async def read(self, call_id: str, *, after: str = "-", limit: int = 500) -> list[LiveEvent]:
        """Events of a call in order, after a `position`, oldest first.

        Raises:
            SessionStoreError: The store is out of reach.
        """
        start = after if after == "-" else f"({after}"
        entries = await self._store.within_budget(
            self._store.redis.xrange(call_key("ev", call_id), start, "+", limit)
        )
        return [_event(str(position), fields) for position, fields in entries or [] if fields]

    async def tail(self, call_id: str, limit: int = 50) -> list[LiveEvent]:
        """The newest events of a call, newest first.

        Raises:
            SessionStoreError: The store is out of reach.
        """
        entries = await self._store.within_budget(
            self._store.redis.xrevrange(call_key("ev", call_id), "+", "-", limit)
        )
        return [_event(str(position), fields) for position, fields in entries or [] if fields]

    async def wait(
        self, store: SessionStore, call_id: str, *, after: str, wait_s: float, limit: int = 200
    ) -> list[LiveEvent]:
        """Events after a position, or the next ones that come; none within `wait_s` seconds.

        Args:
            store: A connection whose budget is longer than `wait_s`.
            call_id: The call.
            after: A position, `0-0` for the beginning.
            wait_s: How long to wait.
            limit: At most so many.

        Raises:
            SessionStoreError: The store is out of reach.
        """
        key = call_key("ev", call_id)
        found = await store.within_budget(
            store.redis.xread({key: after}, count=limit, block=max(int(wait_s * 1000), 1))
        )
        streams = found.values() if isinstance(found, dict) else (each[1] for each in found or [])
        return [
            _event(str(position), fields)
            for stream in streams
            for position, fields in _entries(stream)
        ]

    async def _send(self, batch: list[tuple[str, dict[str, str]]]) -> None:
        try:
            async with self._store.redis.pipeline(transaction=False) as pipe:
                for call_id, fields in batch:
                    key = call_key("ev", call_id)
                    pipe.execute_command(
                        "XADD", key, "MAXLEN", "~", STREAM_LENGTH, "*", *_flat(fields)
                    )
                    pipe.execute_command("EXPIRE", key, STREAM_TTL_S)
                await self._store.within_budget(pipe.execute())
        except SessionStoreError as error:
            self.dropped += len(batch)
            if not self._stale:
                self._stale = True
                log.warning("live_view_stale", reason=str(error))
            return
        if self._stale:
            self._stale = False
            log.info("live_view_back", dropped=self.dropped)


def _flat(fields: Mapping[str, str]) -> list[str]:
    return [part for pair in fields.items() for part in pair]


def _entries(stream: Any) -> list[tuple[Any, Mapping[Any, Any]]]:
    """Entries of one stream of an XREAD answer, which newer protocols wrap once more."""
    entries = list(stream)
    if len(entries) == 1 and isinstance(entries[0], list):
        entries = entries[0]
    return [(position, fields) for position, fields in entries if fields]


def _event(position: str, raw: Mapping[Any, Any]) -> LiveEvent:
    return LiveEvent(
        position=position,
        seq=int(raw["seq"]),
        kind=str(raw["kind"]),
        at=datetime.fromisoformat(str(raw["at"])),
        payload=json.loads(raw["payload"]),
    )
