"""Options of the whole suite."""

from __future__ import annotations

import pytest

from tests.stores import postgres, postgres_url, redis_server_url, redis_url, stores

__all__ = ["postgres", "postgres_url", "redis_server_url", "redis_url", "stores"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots",
        action="store_true",
        help="write the pages' screenshots to docs/pictures",
    )
