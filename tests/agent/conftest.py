from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from agent.calls.line import Line
from agent.session.embedded import EmbeddedValkey
from agent.session.live import LiveFeed
from agent.session.store import SessionStore
from agent.store import migrate
from agent.store.engine import Database
from agent.store.spool import Spool


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


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedValkey(tmp_path_factory.mktemp("redis"))
    asyncio.run(server.__aenter__())
    yield server.url
    asyncio.run(server.__aexit__(None, None, None))


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[SessionStore]:
    # Cores are shared with other tests: the budget itself is tested where the server is stopped.
    store = SessionStore(redis_url, budget_s=5.0)
    await store.redis.flushall()
    yield store
    await store.close()


@pytest.fixture
def live(store: SessionStore) -> LiveFeed:
    return LiveFeed(store)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool.claim(tmp_path / "spool")
    yield spool
    spool.close()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of our own, on a socket; skips where none is installed."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin"), Path(shutil.which("initdb") or "").parent]
    folder = next((each for each in found if (each / "pg_ctl").exists()), None)
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    # Not under the test folder: its server refuses to run as root, and others may not enter there.
    with tempfile.TemporaryDirectory(prefix="vita-pg-") as name:
        user = "postgres" if os.getuid() == 0 else None
        if user:
            shutil.chown(name, user)
        data = f"{name}/data"

        def run(program: str, *arguments: str) -> None:
            command = [str(folder / program), "-D", data, *arguments]
            subprocess.run(command, check=True, user=user, cwd=name, stdout=subprocess.DEVNULL)

        run("initdb", "-U", "vita", "-A", "trust", "-N")
        options = f"-k {name} -c listen_addresses= -c fsync=off"
        run("pg_ctl", "-w", "-o", options, "-l", f"{name}/log", "start")
        try:
            yield f"postgresql://vita@/postgres?host={name}"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A call log with its tables, on either engine."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'calls.db'}")
    else:
        database = Database(request.getfixturevalue("postgres_url"))
        migrate.downgrade(database.url, "base")
    migrate.upgrade(database.url)
    yield database
    await database.close()
