"""Notices an engine that has stopped: a step that does not end, or work that nobody begins.

A thread that hangs in native code cannot be ended, so a stuck engine is not repaired. Its sessions
are told, and the process ends with a code of its own, for whatever started it to start it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from vita_model.engine.voice import EngineStats

TICK_S: Final = 1.0


class StillnessRule:
    """Counts looks at which nothing had moved since the one before. Pure.

    Looks are counted, not seconds: a process that was stopped for a while, and goes on, was not
    stuck.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._step_s = 0.0
        self._still = 0

    def stuck(self, stats: EngineStats) -> bool:
        """Look once more."""
        same_step = stats.step_s > 0 and stats.step_s > self._step_s > 0
        unbegun = stats.step_s == 0 and self._step_s == 0 and stats.waiting > 0
        self._still = self._still + 1 if same_step or unbegun else 0
        self._step_s = stats.step_s
        return self._still >= self._most


async def until_stuck(
    stats: Callable[[], EngineStats], limit_s: float, *, tick_s: float = TICK_S
) -> None:
    """Return once the engine has stood still for `limit_s`."""
    rule = StillnessRule(max(round(limit_s / tick_s), 1))
    while not rule.stuck(stats()):  # noqa: ASYNC110 - threads set no event
        await asyncio.sleep(tick_s)
