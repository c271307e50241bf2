"""Threads for tools that are plain functions: as many as are needed, never more than allowed.

A thread cannot be ended from outside. One whose tool ran out of time is left behind and counted;
a tool that leaves too many behind is not started again until some have come back. The threads are
daemons, so a hanging one does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from agent.errors import ToolError
from agent.log import get_logger

log = get_logger(__name__)

MOST_THREADS = 64
MOST_HUNG = 3


class ToolThreads:
    """The threads of all tools of one process."""

    def __init__(self, most: int = MOST_THREADS, most_hung: int = MOST_HUNG) -> None:
        self._most = most
        self._most_hung = most_hung
        self._running = 0
        self._hung: Counter[str] = Counter()

    def hung(self, tool: str) -> int:
        """How many threads of a tool were left behind and have not come back."""
        return self._hung[tool]

    async def run(self, tool: str, work: Callable[[], Any]) -> Any:
        """Run `work` on a thread and return what it returns, or raise what it raises.

        Raises:
            ToolError: The tool hangs too often, or no thread is left.
        """
        if self._hung[tool] >= self._most_hung:
            raise ToolError(f"{tool} is out of order right now")
        if self._running >= self._most:
            raise ToolError(f"{tool} has no room right now")
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._start(tool, work, done)
        self._running += 1
        try:
            return await done
        except asyncio.CancelledError:
            if done.cancelled():
                self._hung[tool] += 1
                log.warning("tool_thread_left", tool=tool, hung=self._hung[tool])
            raise

    def _start(self, tool: str, work: Callable[[], Any], done: asyncio.Future[Any]) -> None:
        loop, context = done.get_loop(), copy_context()

        def body() -> None:
            answer, error = _outcome(tool, lambda: context.run(work))
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._finish, tool, done, answer, error)

        threading.Thread(target=body, name=f"tool-{tool}", daemon=True).start()

    def _finish(
        self, tool: str, done: asyncio.Future[Any], answer: Any, error: Exception | None
    ) -> None:
        self._running -= 1
        if done.cancelled():
            self._hung[tool] -= 1
        elif error is not None:
            done.set_exception(error)
        else:
            done.set_result(answer)


def _outcome(tool: str, work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """What came back, and what was raised. Nothing else leaves the thread."""
    try:
        return work(), None
    except StopIteration as error:
        return None, RuntimeError(f"{tool} raised {error!r}")
    except Exception as error:  # noqa: BLE001 - handed to whoever waits
        return None, error
    except BaseException as error:  # noqa: BLE001 - such as SystemExit, which is not meant for us
        return None, RuntimeError(f"{tool} raised {error!r}")
