"""Runs the tools of one call: checked, journalled, in time, and each wish once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from agent.calls.context import Journal
from agent.clock import Clock
from agent.errors import ToolError, ToolUnsureError, VitaError
from agent.log import get_logger
from agent.tools.host import ToolHost
from agent.tools.runs import RunStatus, ToolRun, ToolRuns, idempotency_key
from agent.tools.tool import Tool, ToolContext

log = get_logger(__name__)

LONGEST_ANSWER = 16 * 1024


class CallToolBox:
    """The tools one call may use. An intent is on disk before its tool runs.

    Args:
        tools: The tools by name.
        context: What they may know of the call.
        journal: Gets intents and results.
        clock: Measures how long they take.
        host: What they share with other calls' tools.
        earlier: Runs that the call's journal already holds because another worker served it.
    """

    def __init__(
        self,
        tools: Mapping[str, Tool],
        context: ToolContext,
        journal: Journal,
        clock: Clock,
        *,
        host: ToolHost | None = None,
        earlier: Iterable[ToolRun] = (),
    ) -> None:
        self._tools = tools
        self._context = context
        self._journal = journal
        self._clock = clock
        self._host = host or ToolHost()
        self._runs = ToolRuns(earlier)
        self._locks: dict[str, asyncio.Lock] = {}

    def specs(self) -> list[dict[str, Any]]:
        """Tool definitions in the Realtime protocol's form."""
        return [tool.spec() for tool in self._tools.values()]

    def may_cancel(self, name: str) -> bool:
        """Whether a run may be broken off: the tool changes nothing, or there is none."""
        tool = self._tools.get(name)
        return tool is None or tool.effect == "none"

    async def run(self, name: str, arguments: str, tool_call_id: str) -> str:
        """Run a tool and return its answer as JSON text; every failure is an `{"error": …}` answer.

        The same `tool_call_id` again gets the same answer without another run. A cancelled `run`
        ends a tool that changes nothing; any other goes on, and its result is journalled.
        """
        work = self._run_in_turn(name, arguments, tool_call_id)
        if self.may_cancel(name):
            return await work
        return await asyncio.shield(self._host.keep(work, name=name))

    async def _run_in_turn(self, name: str, arguments: str, tool_call_id: str) -> str:
        """Equal wishes wait for each other."""
        key = idempotency_key(self._context.call_id, name, arguments)
        async with self._locks.setdefault(key, asyncio.Lock()):
            answer = self._runs.answer_to(tool_call_id)
            return answer or await self._run(name, arguments, tool_call_id, key)

    async def _run(self, name: str, arguments: str, tool_call_id: str, key: str) -> str:
        tool = self._tools.get(name)
        intent = {
            "tool_call_id": tool_call_id,
            "tool": name,
            "pii_arguments": arguments,
            "idempotency_key": key,
            "effect": tool.effect if tool else "none",
        }
        try:
            self._journal.record("tool_intent", intent, durable=True)
        except VitaError as error:
            log.error("tool_not_run", tool=name, reason=str(error))  # noqa: TRY400 - expected
            return _error("this cannot be done right now")
        started = self._clock.monotonic()
        status: RunStatus = "cancelled"
        answer = ""
        try:
            status, answer = await self._outcome(tool, name, arguments, key)
        finally:
            self._runs.add(ToolRun(tool_call_id, key, status, answer))
            self._record_result(tool_call_id, name, status, answer, started)
        return answer

    async def _outcome(
        self, tool: Tool | None, name: str, arguments: str, key: str
    ) -> tuple[RunStatus, str]:
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return "refused", _error(f"there is no tool {name}; there is: {known}")
        if before := self._runs.done_before(tool.effect, key):
            if before.done:
                return "repeated", before.answer
            return "unknown", _error(
                f"it is not known whether {name} was done, so it is not done again: say so"
            )
        try:
            checked = tool.validate(arguments)
        except ToolError as error:
            return "refused", _error(str(error))
        except Exception:
            # Pydantic models of a plugin may run its code.
            log.exception("tool_crashed", tool=name)
            return "refused", _error(f"{name} cannot take these arguments")
        return await self._call(tool, checked, key)

    async def _call(
        self, tool: Tool, arguments: Mapping[str, Any], key: str
    ) -> tuple[RunStatus, str]:
        """Foreign code gets a task of its own: one that will not be cancelled is left behind."""
        began = asyncio.Event()
        context = self._host.context_for(tool, self._context, key)
        work = self._attempt(tool, arguments, context, began)
        task = self._host.start(work, name=tool.name)
        try:
            await asyncio.wait({task}, timeout=tool.timeout_s)
        finally:
            task.cancel()
        if task.done() and not task.cancelled():
            return task.result()
        if not began.is_set():
            return "refused", _error(f"{tool.name} is too busy right now")
        log.warning("tool_timed_out", tool=tool.name, limit_s=tool.timeout_s)
        return "timed_out", _error(f"{tool.name} did not answer in time")

    async def _attempt(
        self, tool: Tool, arguments: Mapping[str, Any], context: ToolContext, began: asyncio.Event
    ) -> tuple[RunStatus, str]:
        async with self._host.place(tool):
            began.set()
            try:
                answer = await tool.call(context, arguments, self._host.threads)
            except ToolUnsureError as error:
                log.warning("tool_broke_off", tool=tool.name)
                return "crashed", _error(str(error))
            except ToolError as error:
                return "failed", _error(str(error))
            except (Exception, SystemExit):
                # A plugin is foreign code: whatever it raises must not end the call.
                log.exception("tool_crashed", tool=tool.name)
                return "crashed", _error(f"{tool.name} failed")
        if len(answer) > LONGEST_ANSWER:
            log.error("tool_answer_too_long", tool=tool.name, characters=len(answer))
            return "ok", _error(f"{tool.name} answered more than can be read out")
        return "ok", answer

    def _record_result(
        self, tool_call_id: str, name: str, status: str, answer: str, started: float
    ) -> None:
        result = {
            "tool_call_id": tool_call_id,
            "tool": name,
            "status": status,
            "pii_result": answer,
            "duration_ms": round((self._clock.monotonic() - started) * 1000),
        }
        try:
            self._journal.record("tool_result", result, durable=True)
        except VitaError as error:
            log.error("tool_result_lost", tool=name, reason=str(error))  # noqa: TRY400 - expected


def _error(sentence: str) -> str:
    return json.dumps({"error": sentence}, ensure_ascii=False)
