"""Places on model servers: real Redis, servers that tell a load over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import pytest

from agent.errors import CapacityError
from agent.models.load import UNLIMITED, Load
from agent.models.places import Places
from agent.models.pool import ModelPool
from agent.session.store import SessionStore
from tests.agent.conftest import Until

pytestmark = pytest.mark.integration

A, B = "ws://a/v1/realtime", "ws://b/v1/realtime"


async def take(places: Places, call_id: str, *excluded: str, ttl_s: float = 60) -> str | None:
    return await places.take(call_id, ttl_s, [A, B], excluded)


@pytest.fixture
def places(store: SessionStore) -> Places:
    return Places(store, [A, B])


async def test_calls_go_where_most_is_free_and_no_place_is_given_twice(places: Places) -> None:
    await places.beat(A, Load(4), 0)
    await places.beat(B, Load(2, 1), 0)  # somebody else's session is on it
    taken = await asyncio.gather(*(take(places, f"call{n}") for n in range(8)))
    assert [taken.count(url) for url in (A, B, None)] == [4, 1, 3]
    first = taken.index(A)
    assert await take(places, f"call{first}") == A, "a call keeps its place"
    await places.leave(f"call{first}")
    assert await take(places, "another") == A
    assert await take(places, "one more") is None


async def test_a_place_runs_out_unless_it_is_held(places: Places, until: Until) -> None:
    await places.beat(A, Load(1), 0)
    assert await take(places, "gone", ttl_s=0.2) == A
    assert await take(places, "next") is None

    async def free() -> bool:
        return await take(places, "next", ttl_s=0.2) == A

    await until(free)
    await places.hold("next", A)
    await asyncio.sleep(0.3)
    assert await take(places, "third") is None
    assert await places.ours(A) == 1


async def test_a_call_moves_on_and_leaves_its_place(places: Places) -> None:
    await places.beat(A, Load(1), 0)
    await places.beat(B, Load(1), 0)
    assert await take(places, "call", B) == A
    assert await take(places, "call", A) == B
    assert await places.ours(A) == 0
    assert await take(places, "call", A, B) is None
    await places.beat(B, Load(0), 0)  # stopping
    await places.gone(A)
    assert await take(places, "other") is None
    await places.gone(B)
    assert not await take(places, "other"), "nobody knows"
    assert await take(places, "other") is not None


async def test_our_own_sessions_are_not_counted_twice(places: Places) -> None:
    await places.beat(A, Load(3), 0)
    for call in ("one", "two"):
        await take(places, call, B)
        await places.hold(call, A)
    await places.beat(A, Load(3, 2), 2)
    assert await take(places, "three", B) == A
    await places.leave("one")
    await places.beat(A, Load(3, 3), 3)  # asked before "one" had left
    assert await take(places, "four", B) == A


@dataclass
class Server:
    """Answers every request with `status` and `says`."""

    port: int = 0
    status: int = HTTPStatus.OK
    says: object = None
    asked: int = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    def load(self, active: int, limit: int, *, ready: bool = True) -> None:
        self.says = {"active": active, "free": limit - active, "ready": ready}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        body = json.dumps(self.says).encode()
        head = (
            f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def servers(count: int) -> AsyncIterator[list[Server]]:
    made = [Server() for _ in range(count)]
    async with AsyncExitStack() as stack:
        for each in made:
            listening = await asyncio.start_server(each.answer, "127.0.0.1", 0)
            each.port = listening.sockets[0].getsockname()[1]
            await stack.enter_async_context(listening)
        yield made


@asynccontextmanager
async def watching(*pools: ModelPool) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pool.run()) for pool in pools]
        yield
        for task in tasks:
            task.cancel()


async def test_processes_share_what_servers_say_and_one_of_them_asks(
    store: SessionStore, until: Until
) -> None:
    async with servers(2) as (full, foreign):
        full.load(2, 2)
        foreign.status = HTTPStatus.NOT_FOUND
        urls = [full.url, foreign.url]
        one, two = (ModelPool(store, urls, "") for _ in range(2))
        async with watching(one, two):

            async def seen() -> bool:
                return one.up == two.up == 2 and full.asked >= 3

            await until(seen)
            places = Places(store, urls)
            assert await places.read(foreign.url) == Load(UNLIMITED)
            assert [await one.for_call(f"c{n}").pick() for n in range(3)] == [foreign.url] * 3
            foreign.status = HTTPStatus.SERVICE_UNAVAILABLE

            async def closed() -> bool:
                return one.up == two.up == 1

            await until(closed)
            with pytest.raises(CapacityError, match="full"):
                await two.reserve("call", 60)
            full.load(1, 2)

            async def free() -> bool:
                try:
                    await two.reserve("call", 60)
                except CapacityError:
                    return False
                return True

            await until(free)
            assert await one.for_call("call").pick() == full.url


async def test_a_call_tries_every_server_once_and_then_again(store: SessionStore) -> None:
    urls = ["ws://127.0.0.1:9/a", "ws://127.0.0.1:9/b"]
    choice = ModelPool(store, urls, "").for_call("call")
    tried = []
    while (url := await choice.pick()) is not None:
        tried.append(url)
        await choice.failed(url, reached=False)
    assert sorted(tried) == urls
    assert await choice.pick() in urls


async def test_without_redis_calls_find_a_server_all_the_same(
    store: SessionStore, until: Until
) -> None:
    async with servers(2) as (here, stopping):
        here.load(0, 1)
        stopping.load(0, 1, ready=False)
        away = SessionStore("redis://127.0.0.1:9")
        pool = ModelPool(away, [stopping.url, here.url], "")
        async with watching(pool):

            async def known() -> bool:
                return pool.up == 1

            await until(known)
            choice = pool.for_call("call")
            assert await choice.pick() == here.url
            await choice.connected(here.url)
            await choice.leave()
        await away.close()
