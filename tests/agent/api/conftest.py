from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store import migrate
from agent.store.engine import database_url
from tests.agent.api.served import Served, served_api


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def api(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_url: str
) -> Iterator[Served]:
    """An agent on either engine, shared by a module's tests: each writes calls of its own."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        migrate.downgrade(database_url(url), "base")
    folder: Path = tmp_path_factory.mktemp("api")
    with served_api(folder, redis_url, url) as served:
        yield served
