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
    """A lane of functions, one a step. Those in the background run when no other waits."""

    def __init__(self) -> None:
        self._soon: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._later: deque[tuple[Callable[[], Any], Future[Any]]] = deque()

    async def run(
        self, scheduler: Scheduler, work: Callable[[], Result], *, background: bool = False
    ) -> Result:
        """Have a function run by a worker. Cancelled before its turn, it does not run at all."""
        future: Future[Result] = Future()
        (self._later if background else self._soon).append((work, future))
        scheduler.wake()
        return await asyncio.wrap_future(future)

    def urgency(self) -> int | None:
        """As `Lane`."""
        return NORMAL if self._soon or self._later else None

    def step(self) -> None:
        """As `Lane`."""
        queue = self._soon or self._later
        if not queue:
            return
        work, future = queue.popleft()
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again at whoever waits for it
            future.set_exception(error)

    def fail(self, error: BaseException) -> None:
        """As `Lane`."""
        for queue in (self._soon, self._later):
            while queue:
                _, future = queue.popleft()
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)
