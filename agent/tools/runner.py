"""Runs the tools of one call: checked, journalled, in time, and each wish once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agent.calls.context import Journal
from agent.clock import Clock
from agent.errors import ToolError, VitaError
from agent.log import get_logger
from agent.tools.tool import Tool, ToolContext

log = get_logger(__name__)

LONGEST_ANSWER = 16 * 1024


class CallToolBox:
    """The tools one call may use. An intent is on disk before its tool runs."""

    def __init__(
        self, tools: Mapping[str, Tool], context: ToolContext, journal: Journal, clock: Clock
    ) -> None:
        self._tools = tools
        self._context = context
        self._journal = journal
        self._clock = clock
        self._answers: dict[str, str] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def specs(self) -> list[dict[str, Any]]:
        """Tool definitions in the Realtime protocol's form."""
        return [tool.spec() for tool in self._tools.values()]

    async def run(self, name: str, arguments: str, tool_call_id: str) -> str:
        """Run a tool and return its answer as JSON text; every failure is an `{"error": …}` answer.

        The same `tool_call_id` again gets the same answer without another run.
        """
        async with self._locks.setdefault(tool_call_id, asyncio.Lock()):
            if tool_call_id not in self._answers:
                self._answers[tool_call_id] = await self._run(name, arguments, tool_call_id)
            return self._answers[tool_call_id]

    async def _run(self, name: str, arguments: str, tool_call_id: str) -> str:
        key = idempotency_key(self._context.call_id, name, arguments)
        started = self._clock.monotonic()
        status, answer = "cancelled", ""
        try:
            self._journal.record(
                "tool_intent",
                {
                    "tool_call_id": tool_call_id,
                    "tool": name,
                    "pii_arguments": arguments,
                    "idempotency_key": key,
                },
                durable=True,
            )
        except VitaError as error:
            log.error("tool_not_run", tool=name, reason=str(error))  # noqa: TRY400 - expected
            return _error("this cannot be done right now")
        try:
            status, answer = await self._outcome(name, arguments, key)
        finally:
            self._record_result(tool_call_id, name, status, answer, started)
        return answer

    async def _outcome(self, name: str, arguments: str, key: str) -> tuple[str, str]:
        tool = self._tools.get(name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return "refused", _error(f"there is no tool {name}; there is: {known}")
        try:
            checked = tool.validate(arguments)
        except ToolError as error:
            return "refused", _error(str(error))
        return await self._call(tool, checked, key)

    async def _call(self, tool: Tool, arguments: Mapping[str, Any], key: str) -> tuple[str, str]:
        try:
            async with asyncio.timeout(tool.timeout_s):
                answer = await tool.call(replace(self._context, idempotency_key=key), arguments)
        except TimeoutError:
            return "timed_out", _error(f"{tool.name} did not answer in time")
        except ToolError as error:
            return "failed", _error(str(error))
        except Exception:
            # A plugin is foreign code: whatever it raises must not end the call.
            log.exception("tool_crashed", tool=tool.name)
            return "failed", _error(f"{tool.name} failed")
        if len(answer) > LONGEST_ANSWER:
            return "failed", _error(f"{tool.name} answered more than can be read out")
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


def idempotency_key(call_id: str, name: str, arguments: str) -> str:
    """Equal for the same tool with the same arguments in the same call: 32 hexadecimal digits."""
    try:
        canonical = json.dumps(json.loads(arguments), sort_keys=True, separators=(",", ":"))
    except ValueError:
        canonical = arguments
    return hashlib.sha256(f"{call_id}\n{name}\n{canonical}".encode()).hexdigest()[:32]


def _error(sentence: str) -> str:
    return json.dumps({"error": sentence}, ensure_ascii=False)
