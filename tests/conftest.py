"""Options of the whole suite."""

from __future__ import annotations

import os

import pytest

from tests.stores import postgres, postgres_url, redis_server_url, redis_url, stores

# Read by PyTorch when first imported, here and in the processes the tests start: the models are
# small, and threads of several processes on the same cores would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # noqa: TID251 - no setting of the agent

__all__ = ["postgres", "postgres_url", "redis_server_url", "redis_url", "stores"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots",
        action="store_true",
        help="write the pages' screenshots to docs/pictures",
    )
