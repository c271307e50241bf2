"""The connection to whichever server takes a call, over real sockets."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest
from websockets.asyncio.client import connect

from agent.clock import SystemClock
from agent.errors import ModelUnavailableError
from agent.pipeline.link import ModelLink
from agent.pipeline.model_server import ModelServer
from tests.pipeline.realtime_server import Script, realtime_server

pytestmark = pytest.mark.integration


@dataclass
class InOrder:
    """Each server once, in order."""

    urls: tuple[str, ...]
    seen: list[tuple[str, object]] = field(default_factory=list)
    _tried: int = 0

    async def pick(self) -> str | None:
        self._tried = (self._tried + 1) % (len(self.urls) + 1)
        return self.urls[self._tried - 1] if self._tried else None

    async def failed(self, url: str, *, reached: bool) -> None:
        self.seen.append((url, reached))

    async def connected(self, url: str) -> None:
        self.seen.append((url, "connected"))

    async def renew(self) -> None:
        self.seen.append(("", "renewed"))

    async def leave(self) -> None:
        self.seen.append(("", "left"))


def link(choice: InOrder) -> ModelLink:
    return ModelLink(ModelServer("", "key"), choice, SystemClock())


async def test_a_refused_call_goes_to_the_next_server() -> None:
    full, wrong_key, free = Script(status=503), Script(status=401), Script()
    async with (
        realtime_server(full) as (one, _),
        realtime_server(wrong_key) as (two, _),
        realtime_server(free) as (three, _),
    ):
        dead = "ws://127.0.0.1:9/v1/realtime"
        choice = InOrder((one, two, dead, three))
        found = link(choice)
        async with await found.open(connect, time.monotonic() + 20) as socket:
            assert "session.created" in str(await socket.recv())
        await found.lost(stable=True)
        await found.leave()
    assert choice.seen == [
        (one, True),
        (two, True),
        (dead, False),
        (three, "connected"),
        (three, True),
        ("", "left"),
    ]


async def test_only_servers_that_all_refuse_for_good_are_given_up_at_once() -> None:
    wrong_key = Script(status=401)
    async with realtime_server(wrong_key) as (one, _), realtime_server(wrong_key) as (two, _):
        with pytest.raises(ModelUnavailableError, match="HTTP 401"):
            await link(InOrder((one, two))).open(connect, time.monotonic() + 3600)
    full = Script(status=503)
    async with realtime_server(wrong_key) as (one, _), realtime_server(full) as (two, _):
        with pytest.raises(ModelUnavailableError, match="has worked"):
            await link(InOrder((one, two))).open(connect, time.monotonic() + 0.3)
