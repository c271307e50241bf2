"""Whether the process lives, and whether it should get calls."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent import metrics
from agent.calls.line_source import LineSource
from agent.calls.slots import CallSlots
from agent.clock import Clock
from agent.log import get_logger
from agent.models.pool import ModelPool
from agent.session.live import LiveFeed
from agent.store.shipper import Shipper
from agent.store.spool import Spool, SpoolError

log = get_logger(__name__)

LOOP_LAG_LIMIT_S: Final = 1.0

_BEAT_S = 0.25
_BEATS = 20
_FRESH_S = 1.0


class LoopWatch:
    """Measures how late the event loop runs what is due. `lag_s` is the worst of five seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lags: deque[float] = deque([0.0], maxlen=_BEATS)

    @property
    def lag_s(self) -> float:
        """Seconds."""
        return max(self._lags)

    @property
    def steady_lag_s(self) -> float:
        """The best of five seconds: high only when the loop is late all the time."""
        return min(self._lags)

    async def run(self) -> None:
        """Measure, for ever."""
        while True:
            due = self._clock.monotonic() + _BEAT_S
            await asyncio.sleep(_BEAT_S)
            self._lags.append(max(self._clock.monotonic() - due, 0.0))


@dataclass(frozen=True, slots=True)
class SpoolState:
    """How the spool is. `takes_events` is False when the disk refuses to write."""

    takes_events: bool
    waiting: int = 0
    rejected: int = 0
    oldest: datetime | None = None


class Health:
    """Answers the health checks and fills the gauges.

    The database and Redis do not count: a call goes on without the first, and without the second
    a new caller hears that something is wrong, which is better than ringing on.
    """

    def __init__(
        self,
        *,
        slots: CallSlots,
        capacity: int,
        lines: LineSource,
        spool: Spool,
        shipper: Shipper,
        live: LiveFeed,
        models: ModelPool,
        clock: Clock,
    ) -> None:
        self._slots = slots
        self._capacity = capacity
        self._lines = lines
        self._spool = spool
        self._shipper = shipper
        self._live = live
        self._loop = LoopWatch(clock)
        self._models = models
        self._clock = clock
        self._state = SpoolState(takes_events=True)
        self._looked_at = float("-inf")
        self._one_look = asyncio.Lock()
        self.draining = False

    async def run(self) -> None:
        """Watch the event loop, for ever."""
        await self._loop.run()

    @property
    def alive(self) -> bool:
        """Whether the event loop keeps up: it is not late by a second all the time."""
        return self._loop.steady_lag_s < LOOP_LAG_LIMIT_S

    async def not_ready(self) -> list[str]:
        """Why this process should get no new calls; empty when it should."""
        state = await self._look()
        checks = {
            "draining": self.draining,
            "at_capacity": self._slots.in_use >= self._capacity,
            "spool": not state.takes_events,
            "model": not self._models.up,
        }
        return [name for name, bad in checks.items() if bad]

    async def fill_gauges(self) -> None:
        """Bring the gauges up to date; everything else is counted as it happens."""
        metrics.READY.set(not await self.not_ready())
        state = self._state
        metrics.CALLS_LIVE.set(self._slots.in_use)
        metrics.CALLS_CAPACITY.set(self._capacity)
        metrics.LINES.set(len(self._lines))
        metrics.SPOOL_EVENTS.set(state.waiting)
        metrics.SPOOL_REJECTED.set(state.rejected)
        age_s = (self._clock.now() - state.oldest).total_seconds() if state.oldest else 0.0
        metrics.SPOOL_OLDEST.set(max(age_s, 0.0))
        metrics.DATABASE_UP.set(self._shipper.reaches_database)
        metrics.LIVE_DROPPED.set(self._live.dropped)
        metrics.MODEL_UP.set(self._models.up > 0)
        metrics.MODEL_SERVERS.set(self._models.up)
        metrics.LOOP_LAG.set(self._loop.lag_s)

    async def _look(self) -> SpoolState:
        """The spool's state, at most a second old: anybody may ask, and asking costs a write."""
        async with self._one_look:
            now = self._clock.monotonic()
            if now - self._looked_at >= _FRESH_S:
                self._state = await asyncio.to_thread(_probe, self._spool)
                self._looked_at = now
        return self._state


def _probe(spool: Spool) -> SpoolState:
    try:
        spool.probe()
        waiting, rejected = spool.counts()
        return SpoolState(True, waiting, rejected, spool.oldest())
    except SpoolError as error:
        log.error("spool_fails", reason=str(error))  # noqa: TRY400 - the sentence says it all
        return SpoolState(False)
