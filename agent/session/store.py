"""The connection to Redis: one client, a strict time budget, one quick second try.

A slow session store must cost a call at most the budget, never its caller's patience. The second try
is for a connection that a restarted server has forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError

from agent.errors import ConfigurationError, SessionStoreError

T = TypeVar("T")

BUDGET_S = 0.25
RETRY_AFTER_S = 0.02


class SessionStore:
    """Redis within a budget. All keys start with `va:`; a call's keys share one hash slot."""

    def __init__(self, url: str, *, budget_s: float = BUDGET_S) -> None:
        """Make the client; nothing is connected before the first command.

        Raises:
            ConfigurationError: The URL is not one of Redis.
        """
        self._budget_s = budget_s
        self.url = url
        try:
            self.redis = Redis.from_url(
                url,
                decode_responses=True,
                retry=Retry(ConstantBackoff(RETRY_AFTER_S), 1),
                socket_timeout=budget_s,
                socket_connect_timeout=budget_s,
                health_check_interval=5,
            )
        except ValueError as error:
            raise ConfigurationError(
                "The setting VITA_REDIS_URL: must start with redis://, rediss:// or unix://."
            ) from error

    async def within_budget(self, command: Awaitable[T]) -> T:
        """Await a command of `redis`.

        Raises:
            SessionStoreError: No answer within the budget, or a refusal.
        """
        try:
            async with asyncio.timeout(self._budget_s):
                return await command
        except TimeoutError as error:
            raise SessionStoreError(
                f"The session store did not answer within {self._budget_s * 1000:.0f} ms: "
                "check that Redis runs."
            ) from error
        except (RedisError, OSError) as error:
            raise SessionStoreError(f"The session store refused a command: {error}.") from error

    async def ping(self) -> None:
        """Check that the store answers.

        Raises:
            SessionStoreError: It does not.
        """
        await self.within_budget(self.redis.ping())

    async def close(self) -> None:
        """Close all connections."""
        await self.redis.aclose()


def call_key(part: str, call_id: str) -> str:
    """Key of one part of a call's state."""
    return f"va:{part}:{{c:{call_id}}}"
