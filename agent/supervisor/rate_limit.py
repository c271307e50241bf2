"""How often something may be done: counters in Redis that all processes share.

When Redis is away, each process counts for itself: a door that is guarded less is better here than
one that is shut.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from agent.clock import Clock
from agent.errors import SessionStoreError, TooManyRequestsError
from agent.session.store import SessionStore

_COUNT = """
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return {n, redis.call('TTL', KEYS[1])}
"""
_MOST_COUNTERS = 10_000


@dataclass(slots=True)
class RateLimit:
    """At most `most` times in `window_s` seconds for each key."""

    store: SessionStore | None
    clock: Clock
    most: int
    window_s: int
    _own: dict[str, tuple[int, float]] = field(default_factory=dict)

    async def take(self, key: str) -> None:
        """Count one.

        Raises:
            TooManyRequestsError: It was one too many.
        """
        count, left = await self._count(hashlib.sha256(key.encode()).hexdigest()[:32])
        if count > self.most:
            raise TooManyRequestsError(
                f"Too many requests: at most {self.most} in {self.window_s} seconds. "
                f"Try again in {left:.0f} seconds.",
                left,
            )

    async def _count(self, name: str) -> tuple[int, float]:
        if self.store is None:
            return self._count_here(name)
        try:
            count, left = await self.store.within_budget(
                self.store.redis.eval(_COUNT, 1, f"va:rl:{name}", self.window_s)
            )
        except SessionStoreError:
            return self._count_here(name)
        return int(count), float(max(int(left), 1))

    def _count_here(self, name: str) -> tuple[int, float]:
        now = self.clock.monotonic()
        if len(self._own) > _MOST_COUNTERS:
            self._own = {key: value for key, value in self._own.items() if value[1] > now}
        count, until = self._own.get(name, (0, 0.0))
        if until <= now:
            count, until = 0, now + self.window_s
        self._own[name] = (count + 1, until)
        return count + 1, until - now
