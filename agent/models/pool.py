"""The model servers, watched; and the one a call talks with, chosen again whenever that is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import httpx

from agent.errors import CapacityError, SessionStoreError
from agent.log import get_logger
from agent.models.load import ASK_LIMIT_S, Load, ask, http_address
from agent.models.places import POLL_EVERY_S, Places
from agent.session.store import SessionStore

log = get_logger(__name__)

_MOVE_TTL_S: Final = 15.0
"""How long a place is kept for a call that is on its way from one server to another."""


class ModelPool:
    """Knows how full each server is. One per process; the processes share what they know.

    Args:
        store: Redis.
        urls: Realtime endpoints; every process names them alike.
        api_key: Bearer token for all of them; empty for none.
    """

    def __init__(self, store: SessionStore, urls: Sequence[str], api_key: str) -> None:
        self.urls = tuple(urls)
        self._places = Places(store, self.urls)
        self._api_key = api_key
        self._loads: dict[str, Load | None] = dict.fromkeys(self.urls)

    @property
    def up(self) -> int:
        """How many servers take sessions, whether or not they have free places."""
        return sum(load is not None and load.ready for load in self._loads.values())

    async def run(self) -> None:
        """Watch all servers, for ever."""
        async with (
            httpx.AsyncClient(timeout=ASK_LIMIT_S, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            for url in self.urls:
                group.create_task(self._watch(client, url), name="models.watch")

    async def reserve(self, call_id: str, ttl_s: float) -> None:
        """Keep a place for an admitted call; it is free again after `ttl_s` seconds without it.

        A call is admitted without a place as long as no server's load is known.

        Raises:
            CapacityError: All servers are full, or stopping.
            SessionStoreError: Redis is out of reach.
        """
        if await self._places.take(call_id, ttl_s, self.shuffled()) is None:
            raise CapacityError("All model servers are full: start another one.")

    async def release(self, call_id: str) -> None:
        """A call needs its place no more. Without Redis the place expires."""
        with suppress(SessionStoreError):
            await self._places.leave(call_id)

    def for_call(self, call_id: str) -> CallServers:
        """The servers as one call sees them."""
        return CallServers(self, self._places, call_id)

    def shuffled(self) -> list[str]:
        """All servers in a random order: calls that come together should not meet on the first."""
        return random.sample(self.urls, len(self.urls))

    def likely(self, urls: Sequence[str]) -> list[str]:
        """The same with the servers in front that were ready when they were looked at last."""
        return sorted(urls, key=lambda url: not ((load := self._loads[url]) and load.ready))

    async def _watch(self, client: httpx.AsyncClient, url: str) -> None:
        known = False
        while True:
            load = await self._look(client, url)
            ready = load is not None and load.ready
            if ready != known:
                known = ready
                log.info("model_server", ready=ready, server=http_address(url, ""))
            self._loads[url] = load
            await asyncio.sleep(POLL_EVERY_S)

    async def _look(self, client: httpx.AsyncClient, url: str) -> Load | None:
        """Ask the server if it is on us, else read what another process was told."""
        places = self._places
        try:
            if not await places.may_ask(url):
                # What is known stays known while the process whose turn it is waits for an answer.
                return await places.read(url)
            ours = await places.ours(url)
            load = await self._ask(client, url)
            if load is not None:
                await places.beat(url, load, ours)
        except SessionStoreError:
            return await self._ask(client, url)
        return load

    async def _ask(self, client: httpx.AsyncClient, url: str) -> Load | None:
        try:
            return await ask(client, url, self._api_key)
        except httpx.TimeoutException:
            return None  # it may only be slow; what was known of it expires
        except httpx.HTTPError:
            with suppress(SessionStoreError):
                await self._places.gone(url)
            return None


class CallServers:
    """Chooses the server of one call: the one with its place first, then others.

    Args:
        pool: All servers.
        places: Their places.
        call_id: The call.
    """

    def __init__(self, pool: ModelPool, places: Places, call_id: str) -> None:
        self._pool = pool
        self._places = places
        self._call_id = call_id
        self._left: set[str] = set()
        self._held = ""

    @property
    def urls(self) -> tuple[str, ...]:
        """All there are."""
        return self._pool.urls

    async def pick(self) -> str | None:
        """The next server to try. None when no other is left: wait a moment, then ask again."""
        order = [url for url in self._pool.shuffled() if url not in self._left]
        found: str | None = None
        if order:
            try:
                found = await self._places.take(
                    self._call_id, _MOVE_TTL_S, self._pool.shuffled(), self._left
                )
            except SessionStoreError:
                found = ""
            if found == "":  # nobody knows how full they are: only trying tells
                found = self._pool.likely(order)[0]
        if found is None:
            self._left.clear()
        return found

    async def failed(self, url: str, *, reached: bool) -> None:
        """A server has refused the call, or was lost; the next pick is another one.

        Args:
            url: The server.
            reached: Whether it answers at all.
        """
        self._left.add(url)
        self._held = ""
        if not reached:
            with suppress(SessionStoreError):
                await self._places.gone(url)

    async def connected(self, url: str) -> None:
        """The call talks with this server."""
        self._left.clear()
        self._held = url
        await self.renew()

    async def renew(self) -> None:
        """Keep the place for another while."""
        if self._held:
            with suppress(SessionStoreError):
                await self._places.hold(self._call_id, self._held)

    async def leave(self) -> None:
        """The call is over."""
        self._held = ""
        await self._pool.release(self._call_id)
