from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from agent.session.store import SessionStore
from agent.store.engine import Database
from agent.supervisor.desk import SupervisorDesk, supervisor_desk
from tests.agent.conftest import ManualClock
from tests.agent.supervisor.book import CallBook


@pytest.fixture(autouse=True)
def quick_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes a password hard to guess makes a test slow."""
    hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("agent.supervisor.accounts._hasher", hasher)


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[SessionStore]:
    """One of the two stores will do where little depends on it."""
    store = SessionStore(redis_url, budget_s=5.0)
    await store.redis.flushall()
    yield store
    await store.close()


@pytest.fixture
def book(database: Database, clock: ManualClock) -> CallBook:
    return CallBook(database, clock)


@pytest.fixture
async def desk(
    database: Database, store: SessionStore, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[SupervisorDesk]:
    async with supervisor_desk(database, store, tmp_path, clock) as desk:
        yield desk
