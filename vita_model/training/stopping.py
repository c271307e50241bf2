"""A wish to stop, instead of a stop in the middle of a step."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Turns the first SIGINT or SIGTERM into a wish; a second one acts as ever."""
    asked = False

    def note(number: int, _: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, old[signal.Signals(number)])

    try:
        old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in old:
            signal.signal(number, note)
    except ValueError:  # not the main thread: whoever runs this looks after signals
        old = {}
    try:
        yield lambda: asked
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
