"""Whole pieces of work that somebody waits for: hearing an utterance, looking at a picture."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from vita_model.engine.scheduler import NORMAL, Scheduler

Result = TypeVar("Result")


class Errands:
    """A lane of functions, one a step, first come first served."""

    def __init__(self, urgency: int = NORMAL) -> None:
        self._urgency = urgency
        self._queue: deque[tuple[Callable[[], Any], Future[Any]]] = deque()

    async def run(self, scheduler: Scheduler, work: Callable[[], Result]) -> Result:
        """Have a function run by a worker. Cancelled before its turn, it does not run at all."""
        future: Future[Result] = Future()
        self._queue.append((work, future))
        scheduler.wake()
        return await asyncio.wrap_future(future)

    def urgency(self) -> int | None:
        """As `Lane`."""
        return self._urgency if self._queue else None

    def step(self) -> None:
        """As `Lane`."""
        if not self._queue:
            return
        work, future = self._queue.popleft()
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again at whoever waits for it
            future.set_exception(error)

    def fail(self, error: BaseException) -> None:
        """As `Lane`."""
        while self._queue:
            _, future = self._queue.popleft()
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
