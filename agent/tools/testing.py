"""For authors of tools: run a tool without a phone, as a call would run it.

    trial = await try_tool(lookup_order, {"order_id": "48213"}, data_dir=tmp_path)

`ToolCall` is a whole call's worth: what is journalled, equal wishes, an interruption.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import SecretStr

from agent.calls.context import CallIntents
from agent.calls.line import Line
from agent.clock import SystemClock
from agent.tools.host import ToolHost
from agent.tools.runner import CallToolBox
from agent.tools.runs import RunStatus, ToolRun, idempotency_key
from agent.tools.tool import Tool, ToolContext

CALL_ID = "0" * 32
CALLER = "+15550123"
EXAMPLE_LINE = Line(
    number="+15550100", business="Example", greeting="Hello.", transfer_target="+15550199"
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a trial.

    Attributes:
        answer: The answer as the model gets it, read back.
        intents: What the call was asked to do.
        status: How the run went, as the call log has it.
    """

    answer: Any
    intents: CallIntents
    status: RunStatus = "ok"


class MemoryJournal:
    """A journal that is a list: kinds of events with their payloads."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.results: dict[str, dict[str, Any]] = {}

    def record(self, kind: str, payload: Mapping[str, Any], *, durable: bool = False) -> int:  # noqa: ARG002
        """Keep an event."""
        self.events.append((kind, dict(payload)))
        if kind == "tool_result":
            self.results[str(payload["tool_call_id"])] = dict(payload)
        return len(self.events)

    def show(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Nobody follows."""


class ToolCall:
    """One call in which tools are run.

    Args:
        data_dir: Folder for the tools' own files.
        caller_number: Who calls, E.164.
        line: The line that was called.
        secrets: What `ToolContext.secret` finds.
        earlier: Runs of a worker that served the call before.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        caller_number: str = CALLER,
        line: Line = EXAMPLE_LINE,
        secrets: Mapping[str, SecretStr] = MappingProxyType({}),
        earlier: Iterable[ToolRun] = (),
    ) -> None:
        self.intents = CallIntents()
        self.journal = MemoryJournal()
        self._host = ToolHost(secrets)
        self._context = ToolContext(CALL_ID, caller_number, line, self.intents, data_dir)
        self._tools: dict[str, Tool] = {}
        self._box = CallToolBox(
            self._tools,
            self._context,
            self.journal,
            SystemClock(),
            host=self._host,
            earlier=earlier,
        )
        self._ids = count(1)

    async def run(self, tool: Tool, arguments: Mapping[str, Any]) -> Trial:
        """Have the model call a tool; failures are answers, as in a call."""
        tool_call_id = self._take(tool)
        answer = await self._box.run(tool.name, json.dumps(arguments), tool_call_id)
        status = self.journal.results[tool_call_id]["status"]
        return Trial(json.loads(answer), self.intents, status)

    async def interrupted(
        self, tool: Tool, arguments: Mapping[str, Any], *, after_s: float = 0.1
    ) -> Trial:
        """The caller goes on to something else while a tool runs.

        One without effect is cancelled and has no answer; any other runs to its end.
        """
        tool_call_id = self._take(tool)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(
                self._box.run(tool.name, json.dumps(arguments), tool_call_id)
            )
            await asyncio.wait({running}, timeout=after_s)
            if not running.done():
                running.cancel()
        await self._host.finished()
        result = self.journal.results[tool_call_id]
        answer = json.loads(result["pii_result"]) if result["pii_result"] else None
        return Trial(answer, self.intents, result["status"])

    async def close(self) -> None:
        """Wait for tools that still run."""
        await self._host.__aexit__(None, None, None)

    def _take(self, tool: Tool) -> str:
        self._tools[tool.name] = tool
        return f"trial-{next(self._ids)}"


async def try_tool(
    tool: Tool,
    arguments: Mapping[str, Any],
    *,
    data_dir: Path,
    caller_number: str = CALLER,
    line: Line | None = None,
    secrets: Mapping[str, SecretStr] = MappingProxyType({}),
) -> Trial:
    """Check the arguments as the model's would be and run the tool.

    Raises:
        ToolError: The arguments do not fit, or the tool says so.
    """
    text = json.dumps(arguments)
    context = ToolContext(
        call_id=CALL_ID,
        caller_number=caller_number,
        line=line or EXAMPLE_LINE.model_copy(update={"transfer_target": ""}),
        intents=CallIntents(),
        data_dir=data_dir,
    )
    host, key = ToolHost(secrets), idempotency_key(CALL_ID, tool.name, text)
    answer = await tool.call(host.context_for(tool, context, key), tool.validate(text))
    return Trial(json.loads(answer), context.intents)
