"""Places on model servers, in Redis: one record of each server's load, one place for each call.

A place is reserved when a call is admitted, kept by renewing while the call talks, and free again by
itself when nobody renews it. All keys share one hash slot, so that one script sees all servers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Final

from agent.models.load import Load
from agent.session.store import SessionStore

BEAT_TTL_S: Final = 5.0
POLL_EVERY_S: Final = 1.0
HELD_TTL_S: Final = 15.0
RENEW_S: Final = 5.0

_FULL, _UNKNOWN = 0, -1

_NOW = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
"""

# Three keys for each server: its load, the places of calls that are on their way, those of calls
# that talk. A call keeps the place it has, unless that server is excluded or gone.
_TAKE = f"""{_NOW}
local found, mine, load, known = 0, 0, math.huge, 0
for i = 1, #KEYS / 3 do
  local beat, wait, held = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  redis.call('ZREMRANGEBYSCORE', wait, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', held, '-inf', now)
  local has = redis.call('ZSCORE', wait, ARGV[1]) or redis.call('ZSCORE', held, ARGV[1])
  local said = redis.call('HMGET', beat, 'limit', 'foreign')
  local limit = tonumber(said[1] or '0')
  if said[1] then known = known + 1 end
  if ARGV[i + 2] == '1' or limit == 0 then
    redis.call('ZREM', wait, ARGV[1])
    redis.call('ZREM', held, ARGV[1])
  elseif has then
    mine = i
  else
    local used = redis.call('ZCARD', wait) + redis.call('ZCARD', held) + tonumber(said[2])
    if used < limit and used / limit < load then found, load = i, used / limit end
  end
end
if mine > 0 then found = mine end
if found > 0 then
  local wait, held = KEYS[3 * found - 1], KEYS[3 * found]
  if not redis.call('ZSCORE', held, ARGV[1]) then
    redis.call('ZADD', wait, now + tonumber(ARGV[2]), ARGV[1])
    redis.call('EXPIRE', wait, 900)
  end
  return found
end
if known == 0 then return -1 end
return 0
"""

_HOLD = f"""{_NOW}
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ARGV[1])
redis.call('EXPIRE', KEYS[2], 900)
"""

_LEAVE = """
for i = 1, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
"""

# Sessions that are none of our calls' count too. Ours are counted before the server was asked and
# after: a call that came or went meanwhile must not look like somebody else's.
_BEAT = f"""{_NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
local ours = math.max(redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3]), tonumber(ARGV[3]))
local foreign = math.max(tonumber(ARGV[2]) - ours, 0)
redis.call('HSET', KEYS[1], 'limit', ARGV[1], 'active', ARGV[2], 'foreign', foreign)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
"""


class Places:
    """The records of some servers. All methods raise `SessionStoreError` without Redis."""

    def __init__(self, store: SessionStore, urls: Sequence[str]) -> None:
        self._store = store
        self._urls = tuple(urls)
        self._ids = {url: hashlib.sha256(url.encode()).hexdigest()[:12] for url in urls}

    async def take(
        self, call_id: str, ttl_s: float, order: Sequence[str], excluded: Collection[str] = ()
    ) -> str | None:
        """Reserve a place for a call on the server that is least full, or keep the one it has.

        Args:
            call_id: The call.
            ttl_s: Seconds after which the place is free again, unless it is held by then.
            order: All servers; among those that are equally full the first is taken.
            excluded: Servers that will not do.

        Returns:
            Its URL; empty when no server's load is known; None when all that are known are full.
        """
        keys = [key for url in order for key in self._keys(url)]
        flags = ["1" if url in excluded else "0" for url in order]
        eval_ = self._store.redis.eval
        found = int(
            await self._store.within_budget(
                eval_(_TAKE, len(keys), *keys, call_id, str(ttl_s), *flags)
            )
        )
        if found == _UNKNOWN:
            return ""
        return None if found == _FULL else order[found - 1]

    async def hold(self, call_id: str, url: str) -> None:
        """A call talks with a server: its place counts until 15 s after the last time it is held."""
        _, wait, held = self._keys(url)
        await self._store.within_budget(
            self._store.redis.eval(_HOLD, 2, wait, held, call_id, str(HELD_TTL_S))
        )

    async def leave(self, call_id: str) -> None:
        """A call needs no place any more."""
        keys = [key for url in self._urls for key in self._keys(url)[1:]]
        await self._store.within_budget(self._store.redis.eval(_LEAVE, len(keys), *keys, call_id))

    async def may_ask(self, url: str) -> bool:
        """Whether it is on us to ask this server this second; one process gets a yes."""
        lock = f"va:model:{{m}}:ask:{self._ids[url]}"
        milliseconds = int(POLL_EVERY_S * 900)
        got = await self._store.within_budget(
            self._store.redis.set(lock, "1", nx=True, px=milliseconds)
        )
        return bool(got)

    async def ours(self, url: str) -> int:
        """Places our calls have on a server."""
        _, wait, held = self._keys(url)
        count = self._store.redis.zcard
        return int(await self._store.within_budget(count(wait))) + int(
            await self._store.within_budget(count(held))
        )

    async def beat(self, url: str, load: Load, ours: int) -> None:
        """Write down a server's load, with how many places were ours before it was asked."""
        arguments = (load.limit, load.active, ours, int(BEAT_TTL_S * 1000))
        await self._store.within_budget(
            self._store.redis.eval(_BEAT, 3, *self._keys(url), *map(str, arguments))
        )

    async def read(self, url: str) -> Load | None:
        """A server's load as it was written down last; None when that is too long ago."""
        found = await self._store.within_budget(
            self._store.redis.hmget(self._keys(url)[0], ["limit", "active"])
        )
        limit, active = found
        return None if limit is None else Load(int(limit), int(active or 0))

    async def gone(self, url: str) -> None:
        """A server cannot be reached: nobody should be sent there before it is asked again."""
        await self._store.within_budget(self._store.redis.delete(self._keys(url)[0]))

    def _keys(self, url: str) -> tuple[str, str, str]:
        name = self._ids[url]
        return (
            f"va:model:{{m}}:load:{name}",
            f"va:model:{{m}}:wait:{name}",
            (f"va:model:{{m}}:held:{name}"),
        )
