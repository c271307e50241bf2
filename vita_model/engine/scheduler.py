"""Shares a few worker threads among the kinds of work a model has to do, step by step."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Protocol

URGENT, NORMAL, IDLE = 0, 1, 2
"""What is idle runs only while nothing else does or could."""


class Lane(Protocol):
    """One kind of work. Its steps never overlap, so that what it owns needs no lock."""

    def urgency(self) -> int | None:
        """`URGENT`, `NORMAL` or `IDLE`, None when there is nothing to do. Quick, from any thread."""
        ...

    def step(self) -> None:
        """A piece of the work, short enough for others to wait for."""
        ...

    def fail(self, error: BaseException) -> None:
        """A step went wrong: end all work in hand with this error."""
        ...


class Scheduler:
    """Runs lanes: urgent ones first, then the one that has waited longest.

    With one worker all work takes turns; with two, one lane thinks while another speaks.

    Args:
        lanes: All there are.
        workers: Threads.
        urgent_alone: Nothing begins beside an urgent step. Right for steps of many small operations:
            two of them at once wait for one interpreter, and each takes nearly twice as long.
    """

    def __init__(self, lanes: Sequence[Lane], workers: int, *, urgent_alone: bool = False) -> None:
        self._lanes = list(lanes)
        self._changed = threading.Condition()
        self._urgent_alone = urgent_alone
        self._running: dict[int, tuple[float, int]] = {}
        self._last = [0] * len(self._lanes)
        self._tick = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"vita-worker-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """There may be something to do. From any thread."""
        with self._changed:
            self._changed.notify_all()

    def step_s(self) -> float:
        """How long the longest step that runs now has been running."""
        with self._changed:
            begun = [at for at, _ in self._running.values()]
        return time.monotonic() - min(begun) if begun else 0.0

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop after the steps that run now, and end what is left. Waits at most `timeout_s`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout_s)
        for lane in self._lanes:
            lane.fail(RuntimeError("the model has been closed"))

    def _work(self) -> None:
        while (index := self._take()) is not None:
            lane = self._lanes[index]
            try:
                lane.step()
            except BaseException as error:  # noqa: BLE001 - raised again at whoever waits for it
                lane.fail(error)
            with self._changed:
                del self._running[index]
                self._changed.notify_all()

    def _take(self) -> int | None:
        with self._changed:
            while not self._closed:
                ready = [
                    (urgency, self._last[index], index)
                    for index, lane in enumerate(self._lanes)
                    if index not in self._running and (urgency := lane.urgency()) is not None
                ]
                urgency, _, index = min(ready, default=(None, 0, 0))
                if urgency is not None and self._may_begin(urgency):
                    self._tick += 1
                    self._last[index] = self._tick
                    self._running[index] = time.monotonic(), urgency
                    return index
                self._changed.wait()
        return None

    def _may_begin(self, urgency: int) -> bool:
        if urgency == IDLE:
            return not self._running
        if urgency == URGENT or not self._urgent_alone:
            return True
        return all(other != URGENT for _, other in self._running.values())


def spare_cores() -> int:
    """Cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
