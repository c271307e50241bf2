"""Who serves a call right now.

Every writer of a call takes an epoch, a number that only grows: the next one after the last, and at
least the time in seconds, so that it grows even when Redis has lost its data. The lease belongs to
the highest epoch: whoever takes it later wins, and the one before learns so at its next renewal.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.clock import Clock
from agent.session.store import SessionStore, call_key

LEASE_TTL_S = 15.0
EPOCH_TTL_S = 24 * 3600

_EPOCH = """
local epoch = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, tonumber(ARGV[1]))
redis.call('SET', KEYS[2], string.format('%d', epoch), 'EX', ARGV[2])
"""

_NEXT = f"{_EPOCH} return epoch"

_TAKE = f"""{_EPOCH}
redis.call('SET', KEYS[1], ARGV[3] .. ':' .. string.format('%d', epoch), 'PX', ARGV[4])
return epoch
"""

# A lease that expired while nobody else took an epoch is still ours.
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if not holder and tonumber(redis.call('GET', KEYS[2]) or ARGV[3]) > tonumber(ARGV[3]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to serve one call, until someone takes a higher epoch."""

    call_id: str
    worker: str
    epoch: int

    @property
    def holder(self) -> str:
        """The value kept in the store."""
        return f"{self.worker}:{self.epoch}"


class Leases:
    """Takes, renews and gives back leases for one worker. All raise `SessionStoreError`."""

    def __init__(
        self, store: SessionStore, clock: Clock, worker: str, *, ttl_s: float = LEASE_TTL_S
    ) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._ttl_ms = int(ttl_s * 1000)
        self.renew_every_s = ttl_s / 3

    async def next_epoch(self, call_id: str) -> int:
        """An epoch for a writer that does not serve the call. It does not touch the lease."""
        epoch = await self._store.within_budget(
            self._store.redis.eval(_NEXT, 2, *_keys(call_id), self._seconds(), EPOCH_TTL_S)
        )
        return int(epoch)

    async def follow(self, call_id: str, epoch: int) -> None:
        """Let all further epochs be higher than one that Redis may have forgotten."""
        await self._store.within_budget(
            self._store.redis.eval(_NEXT, 2, *_keys(call_id), epoch, EPOCH_TTL_S)
        )

    async def take(self, call_id: str) -> Lease:
        """Take the lease, from whoever has it."""
        arguments = (self._seconds(), EPOCH_TTL_S, self._worker, self._ttl_ms)
        epoch = await self._store.within_budget(
            self._store.redis.eval(_TAKE, 2, *_keys(call_id), *arguments)
        )
        return Lease(call_id, self._worker, int(epoch))

    async def renew(self, lease: Lease) -> bool:
        """Keep the lease for another term. False: it is someone else's now."""
        kept = await self._store.within_budget(
            self._store.redis.eval(
                _RENEW, 2, *_keys(lease.call_id), lease.holder, self._ttl_ms, lease.epoch
            )
        )
        return bool(kept)

    async def release(self, lease: Lease) -> None:
        """Give the lease back if it is still ours."""
        await self._store.within_budget(
            self._store.redis.eval(_RELEASE, 1, _keys(lease.call_id)[0], lease.holder)
        )

    async def is_held(self, call_id: str) -> bool:
        """Whether some worker serves the call."""
        held = await self._store.within_budget(self._store.redis.exists(_keys(call_id)[0]))
        return bool(held)

    def _seconds(self) -> int:
        return int(self._clock.now().timestamp())


def _keys(call_id: str) -> tuple[str, str]:
    return call_key("lease", call_id), call_key("epoch", call_id)
