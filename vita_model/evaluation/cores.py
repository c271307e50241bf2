"""Holds the process to some of the machine's cores for a while."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")


def available() -> int:
    """Cores that `on` can hold the process to; 0 where the system offers no such thing."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 0


@contextmanager
def on(count: int) -> Iterator[None]:
    """Every thread there is runs on `count` cores, the last ones, until the end; Linux only.

    Raises:
        ValueError: There are fewer.
    """
    before = os.sched_getaffinity(0)
    if not 0 < count <= len(before):
        raise ValueError(f"{count} cores were asked for; there are {len(before)}.")
    _hold(set(sorted(before)[-count:]))
    try:
        yield
    finally:
        _hold(before)


def _hold(cores: set[int]) -> None:
    for thread in _THREADS.iterdir():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread.name), cores)
