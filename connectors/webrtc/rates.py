"""How often one address may begin a call. Pure: time is handed in."""

from __future__ import annotations

from collections import deque

WINDOW_S = 60.0
MOST_ADDRESSES = 10_000


class RateLimit:
    """At most `limit` beginnings an address within any minute."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begun: dict[str, deque[float]] = {}

    def allows(self, address: str, now: float) -> bool:
        """Count one beginning, unless it is one too many."""
        self._forget(now)
        begun = self._begun.get(address)
        if begun is None:
            if len(self._begun) >= MOST_ADDRESSES:
                return False
            begun = self._begun[address] = deque()
        while begun and begun[0] <= now - WINDOW_S:
            begun.popleft()
        if len(begun) >= self._limit:
            return False
        begun.append(now)
        return True

    def _forget(self, now: float) -> None:
        """Drop addresses that have long been quiet, once there are many."""
        if len(self._begun) < MOST_ADDRESSES:
            return
        recent = {a: b for a, b in self._begun.items() if b and b[-1] > now - WINDOW_S}
        self._begun = recent
