"""How many calls this process may have at a time.

An admitted call holds a slot until its media stream opens, or until its token has run out.
"""

from __future__ import annotations

from agent.clock import Clock
from agent.errors import CapacityError


class CallSlots:
    """Counts promised and running calls."""

    def __init__(self, size: int, hold_s: float, clock: Clock) -> None:
        self._size = size
        self._hold_s = hold_s
        self._clock = clock
        self._promised: dict[str, float] = {}
        self._running: dict[str, int] = {}

    @property
    def in_use(self) -> int:
        """Slots taken now."""
        now = self._clock.monotonic()
        self._promised = {call: end for call, end in self._promised.items() if end > now}
        return len(self._promised.keys() | self._running.keys())

    def promise(self, call_id: str) -> None:
        """Hold a slot for an admitted call; again for the same call holds it longer.

        Raises:
            CapacityError: All slots are taken.
        """
        known = call_id in self._promised or call_id in self._running
        if self.in_use >= self._size and not known:
            raise CapacityError(f"All {self._size} calls of this process are taken.")
        self._promised[call_id] = self._clock.monotonic() + self._hold_s

    def start(self, call_id: str) -> None:
        """A media stream opened. A promise is kept even when it has just run out."""
        self._promised.pop(call_id, None)
        self._running[call_id] = self._running.get(call_id, 0) + 1

    def stop(self, call_id: str) -> None:
        """A media stream has ended."""
        left = self._running.pop(call_id) - 1
        if left:
            self._running[call_id] = left

    def forget(self, call_id: str) -> None:
        """The call will not come."""
        self._promised.pop(call_id, None)
