"""The conversation of a call in Redis: the newest entries, for the worker that takes the call up.

Keeping never waits: the latest entries of each call wait for one task that writes them. When Redis
is out of reach they go on waiting, and only the newest of each call are written when it is back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict

from agent.calls.memory import Entry
from agent.errors import SessionStoreError
from agent.log import get_logger
from agent.session.store import SessionStore, call_key

log = get_logger(__name__)

CONTEXT_TTL_S = 3600
LONGEST_CONTEXT = 200
LARGEST_CONTEXT = 64 * 1024
RETRY_S = 0.5

# As with the session: a writer with a lower epoch than the one kept is refused.
_SAVE = """
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '-1')
if epoch > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'entries', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""


class Conversations:
    """Writes and reads conversations. All methods raise `SessionStoreError`."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def save(self, call_id: str, epoch: int, entries: Sequence[Entry]) -> bool:
        """Keep the newest entries. False: a later writer has the call, nothing was written."""
        saved = await self._store.within_budget(
            self._store.redis.eval(_SAVE, 1, _key(call_id), epoch, CONTEXT_TTL_S, _text(entries))
        )
        return bool(saved)

    async def load(self, call_id: str) -> tuple[Entry, ...] | None:
        """The entries kept, oldest first; None when nothing is kept of this call."""
        found = await self._store.within_budget(self._store.redis.hget(_key(call_id), "entries"))
        if found is None:
            return None
        return tuple(Entry(**fields) for fields in json.loads(found))


class ConversationKeeper:
    """Keeps the conversations of all calls of this process."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._waiting: dict[tuple[str, int], KeptMemory] = {}
        self._wake = asyncio.Event()

    def memory(self, call_id: str, epoch: int) -> KeptMemory:
        """The memory of one call, for the writer with this epoch."""
        return KeptMemory(call_id, epoch, self)

    def want(self, memory: KeptMemory) -> None:
        """Write this memory's entries soon."""
        self._waiting[memory.call_id, memory.epoch] = memory
        self._wake.set()

    async def write(self, memory: KeptMemory) -> bool:
        """Write a memory's entries now; False when a later writer has the call.

        Raises:
            SessionStoreError: The store is out of reach.
        """
        self._waiting.pop((memory.call_id, memory.epoch), None)
        try:
            kept = await self._conversations.save(memory.call_id, memory.epoch, memory.entries)
        except SessionStoreError:
            self.want(memory)
            raise
        if not kept:
            memory.taken_over.set()
        return kept

    async def run(self) -> None:
        """Write what is wanted until cancelled."""
        while True:
            try:
                await self.flush()
                await self._wake.wait()
                self._wake.clear()
            except SessionStoreError as error:
                log.warning("conversations_not_kept", reason=str(error))
                await asyncio.sleep(RETRY_S)

    async def flush(self) -> None:
        """Write what is wanted now, once.

        Raises:
            SessionStoreError: The store is out of reach; what was not written is still wanted.
        """
        while self._waiting:
            await self.write(next(iter(self._waiting.values())))


class KeptMemory:
    """The memory of one call. Implements `agent.calls.memory.CallMemory`."""

    def __init__(self, call_id: str, epoch: int, keeper: ConversationKeeper) -> None:
        self.call_id = call_id
        self.epoch = epoch
        self.entries: tuple[Entry, ...] = ()
        self.taken_over = asyncio.Event()
        """Set once the store has told that another worker has the call."""
        self._keeper = keeper

    def keep(self, entries: Sequence[Entry]) -> None:
        """Keep these entries instead of those before."""
        self.entries = tuple(entries[-LONGEST_CONTEXT:])
        self._keeper.want(self)

    def keep_again(self) -> None:
        """Write the same entries once more: Redis may have lost them."""
        if self.entries:
            self._keeper.want(self)

    async def kept(self) -> bool:
        """Wait for the entries to be written, no longer than the store's budget."""
        try:
            return await self._keeper.write(self)
        except SessionStoreError:
            return True


def _text(entries: Sequence[Entry]) -> str:
    """The newest entries that fit, as JSON. A tool's answer without its call is left out."""
    kept: list[str] = []
    size = 0
    for entry in reversed(entries):
        text = json.dumps(asdict(entry), ensure_ascii=False)
        size += len(text)
        if size > LARGEST_CONTEXT or len(kept) == LONGEST_CONTEXT:
            break
        kept.append(text)
    newest = list(entries)[len(entries) - len(kept) :]
    while newest and newest[0].kind == "output":
        newest.pop(0)
        kept.pop()
    return f"[{','.join(reversed(kept))}]"


def _key(call_id: str) -> str:
    return call_key("ctx", call_id)
