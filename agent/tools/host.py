"""What the tools of all calls of one process share: threads, places, secrets, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

from pydantic import SecretStr

from agent.log import get_logger
from agent.tasks import TaskOwner
from agent.tools.context import ToolContext
from agent.tools.threads import ToolThreads
from agent.tools.tool import LONGEST_TIMEOUT_S, Tool

log = get_logger(__name__)

T = TypeVar("T")


class ToolHost:
    """One per process. Leaving it waits for the tools that must not be cut short."""

    def __init__(self, secrets: Mapping[str, SecretStr] = MappingProxyType({})) -> None:
        self.threads = ToolThreads()
        self._secrets = secrets
        self._places: dict[str, asyncio.Semaphore] = {}
        self._tasks = TaskOwner("tools")
        self._kept: set[asyncio.Task[Any]] = set()

    def place(self, tool: Tool) -> asyncio.Semaphore:
        """What one run of a tool has to hold."""
        return self._places.setdefault(tool.name, asyncio.Semaphore(tool.at_once))

    def start(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run `work` as a task of its own."""
        return self._tasks.spawn(work, name=name)

    def keep(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run `work` to its end, whoever stops waiting for it."""
        task = self._tasks.spawn(work, name=name)
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)
        return task

    def context_for(self, tool: Tool, context: ToolContext, key: str) -> ToolContext:
        """The call's context as one tool may see it."""
        secrets = {name: self._secrets[name] for name in tool.secrets if name in self._secrets}
        return replace(context, idempotency_key=key, declared=tool.secrets, secrets=secrets)

    def missing_secrets(self, tool: Tool) -> list[str]:
        """Secrets a tool has declared and nobody has set."""
        return [name for name in tool.secrets if name not in self._secrets]

    async def finished(self) -> None:
        """Wait for the tools that are kept, as long as one may take."""
        if self._kept:
            await asyncio.wait(self._kept, timeout=LONGEST_TIMEOUT_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._kept:
            log.info("tools_finish", tools=len(self._kept))
            await self.finished()
        await self._tasks.close()
