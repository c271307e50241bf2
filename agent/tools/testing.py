"""For authors of tools: run a tool without a call.

answer = await try_tool(lookup_order, {"order_id": "48213"}, data_dir=tmp_path)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.calls.context import CallIntents
from agent.calls.line import Line
from agent.tools.runs import idempotency_key
from agent.tools.tool import Tool, ToolContext

CALL_ID = "0" * 32


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a trial: the answer as the model gets it, read back, and the tool's wishes."""

    answer: Any
    intents: CallIntents


async def try_tool(
    tool: Tool,
    arguments: Mapping[str, Any],
    *,
    data_dir: Path,
    caller_number: str = "+15550123",
    line: Line | None = None,
) -> Trial:
    """Check the arguments as the model's would be and run the tool.

    Raises:
        ToolError: The arguments do not fit, or the tool says so.
    """
    text = json.dumps(arguments)
    context = ToolContext(
        call_id=CALL_ID,
        caller_number=caller_number,
        line=line or Line(number="+15550100", business="Example", greeting="Hello."),
        intents=CallIntents(),
        data_dir=data_dir,
        idempotency_key=idempotency_key(CALL_ID, tool.name, text),
    )
    answer = await tool.call(context, tool.validate(text))
    return Trial(json.loads(answer), context.intents)
