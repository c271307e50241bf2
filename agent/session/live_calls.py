"""Which calls run now, over all workers: a sorted set whose members have to be renewed.

Each worker renews its calls once a second. A call that nobody has renewed for some seconds is not
listed any more, so a worker that dies takes its calls off the list without doing anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from agent.errors import SessionStoreError
from agent.session.store import SessionStore

KEY = "va:live"
RENEW_S = 1.0
GONE_S = 5.0

# The store's own time, so that no two machines have to agree on theirs.
_RENEW = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]))
"""
_RUNNING = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
return redis.call('ZRANGEBYSCORE', KEYS[1], now - tonumber(ARGV[1]), '+inf')
"""


class LiveCallList:
    """The list in Redis."""

    def __init__(self, store: SessionStore, *, gone_s: float = GONE_S) -> None:
        self._store = store
        self._gone_s = gone_s

    async def renew(self, call_ids: Collection[str]) -> None:
        """These calls run.

        Raises:
            SessionStoreError: The store is out of reach.
        """
        await self._store.within_budget(
            self._store.redis.eval(_RENEW, 1, KEY, str(self._gone_s), *call_ids)
        )

    async def remove(self, call_ids: Collection[str]) -> None:
        """These calls have ended.

        Raises:
            SessionStoreError: The store is out of reach.
        """
        await self._store.within_budget(self._store.redis.zrem(KEY, *call_ids))

    async def running(self) -> list[str]:
        """Ids of the calls that run, in no particular order.

        Raises:
            SessionStoreError: The store is out of reach.
        """
        found = await self._store.within_budget(
            self._store.redis.eval(_RUNNING, 1, KEY, str(self._gone_s))
        )
        return [str(call_id) for call_id in found]

    async def keep(self, served: Callable[[], Collection[str]]) -> None:
        """Keep the list in step with the calls this process serves, until cancelled."""
        listed: set[str] = set()
        while True:
            calls = set(served())
            try:
                if calls:
                    await self.renew(calls)
                if listed - calls:
                    await self.remove(listed - calls)
                listed = calls
            except SessionStoreError:
                # The live feed says so already; what has ended falls off the list by itself.
                listed |= calls
            await asyncio.sleep(RENEW_S)
