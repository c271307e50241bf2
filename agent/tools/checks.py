"""Checks that a tool keeps to the contract: its definition, and what happens when it runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from agent.tools.host import ToolHost
from agent.tools.testing import ToolCall
from agent.tools.tool import DEFAULT_TIMEOUT_S, Tool

LONGEST_DESCRIPTION = 300
LONGEST_SCHEMA = 4000
LONGEST_BLOCK_S = 0.5
_TICK_S = 0.02


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a tool that is wrong, or that its author may want to look at."""

    tool: str
    level: Literal["error", "warning"]
    sentence: str


def check_definition(tool: Tool, host: ToolHost) -> list[Finding]:
    """What can be seen without running it."""
    errors, warnings = [], []
    try:
        first, again = (json.dumps(tool.spec(), sort_keys=True, allow_nan=False) for _ in range(2))
    except (TypeError, ValueError) as error:
        errors.append(f"its definition cannot be written as JSON: {error}")
    else:
        if first != again:
            errors.append("its definition is not the same twice")
        if len(first) > LONGEST_SCHEMA:
            warnings.append("its definition is long: the model reads it before every call")
    if not tool.description.strip():
        errors.append("it has no description: the model does not know when to use it")
    if len(tool.description) > LONGEST_DESCRIPTION:
        warnings.append("its description is long: say in one sentence what it does")
    if tool.timeout_s > DEFAULT_TIMEOUT_S:
        warnings.append(f"a caller may have to wait for it for {tool.timeout_s:g} s")
    warnings += [
        f"its secret is not set: VITA_TOOL_SECRET_{name}" for name in host.missing_secrets(tool)
    ]
    return [
        *(Finding(tool.name, "error", sentence) for sentence in errors),
        *(Finding(tool.name, "warning", sentence) for sentence in warnings),
    ]


async def check_run(
    tool: Tool, arguments: Mapping[str, Any], data_dir: Path, secrets: Mapping[str, SecretStr]
) -> list[Finding]:
    """What happens when it runs: in time, an answer, the loop left free, the same again."""
    call = ToolCall(data_dir, secrets=secrets)
    try:
        blocked_s, trial = await _watched(call, tool, arguments)
        findings = []
        if trial.status != "ok" or _is_error(trial.answer):
            findings.append(f"with {json.dumps(arguments)} it {trial.status}: {trial.answer}")
        elif tool.effect != "once":
            again_s, again = await _watched(call, tool, arguments)
            blocked_s = min(blocked_s, again_s)  # the machine may have been busy once
            if tool.effect == "idempotent" and again.answer != trial.answer:
                findings.append(
                    f"it says idempotent, and answers {trial.answer}, then {again.answer}"
                )
        if blocked_s > LONGEST_BLOCK_S:
            findings.append(
                f"it stops all calls for {blocked_s:.1f} s: await what takes long, or make it a "
                "plain function, which gets a thread"
            )
    finally:
        await call.close()
    return [Finding(tool.name, "error", sentence) for sentence in findings]


async def _watched(call: ToolCall, tool: Tool, arguments: Mapping[str, Any]) -> tuple[float, Any]:
    """The longest time the loop stood still meanwhile, and the trial."""
    loop, longest = asyncio.get_running_loop(), 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(_TICK_S)
            longest = max(longest, loop.time() - before - _TICK_S)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch(), name="watch")
        await asyncio.sleep(0)
        trial = await call.run(tool, arguments)
        await asyncio.sleep(_TICK_S)
        watching.cancel()
    return longest, trial


def _is_error(answer: Any) -> bool:
    return isinstance(answer, dict) and "error" in answer
