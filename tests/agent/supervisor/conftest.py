from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.session.store import SessionStore
from agent.store.engine import Database
from agent.supervisor.desk import SupervisorDesk, supervisor_desk
from tests.agent.conftest import ManualClock
from tests.agent.supervisor.book import CallBook


@pytest.fixture
def book(database: Database, clock: ManualClock) -> CallBook:
    return CallBook(database, clock)


@pytest.fixture
async def desk(
    database: Database, store: SessionStore, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[SupervisorDesk]:
    async with supervisor_desk(database, store, tmp_path, clock) as desk:
        yield desk
