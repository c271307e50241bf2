from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from agent.calls.line import Line
from agent.session.live import LiveFeed
from agent.session.store import SessionStore
from agent.store import migrate
from agent.store.engine import Database
from agent.store.spool import Spool
from tests.stores import Postgres


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class Until(Protocol):
    async def __call__(self, check: Callable[[], Awaitable[bool]]) -> None: ...


@pytest.fixture
def until() -> Until:
    """Waits for something another process or thread does."""

    async def wait(check: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(30):
            while not await check():  # noqa: ASYNC110 - it happens outside this loop
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def line() -> Line:
    return Line(
        number="+15550100",
        business="Brightside Dental",
        greeting="Hello.",
        facts=("Sunday: closed",),
        tools=("lookup_order", "transfer_to_human", "end_call"),
        transfer_target="+15550199",
    )


@pytest.fixture(params=["redis_url", "redis_server_url"], ids=["valkey", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[SessionStore]:
    # Cores are shared with other tests: the budget itself is tested where the server is stopped.
    store = SessionStore(request.getfixturevalue(request.param), budget_s=30.0)
    await store.redis.flushall()
    yield store
    await store.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the stores of whole applications."""
    monkeypatch.setattr("agent.bootstrap.SessionStore", partial(SessionStore, budget_s=30.0))


@pytest.fixture
def live(store: SessionStore) -> LiveFeed:
    return LiveFeed(store)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool.claim(tmp_path / "spool")
    yield spool
    spool.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A call log with its tables, on either engine."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'calls.db'}")
        migrate.upgrade(database.url)
        yield database
        await database.close()
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as url:
        database = Database(url)
        yield database
        await database.close()
