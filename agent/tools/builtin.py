"""The tools that come with the agent: ending the call, handing it over, never calling again."""

from __future__ import annotations

from agent.errors import ToolError
from agent.tools.tool import ToolContext, tool


@tool(effect="idempotent")
async def transfer_to_human(context: ToolContext, reason: str) -> dict[str, str]:
    """Connect the caller to a person."""
    if not context.line.transfer_target:
        raise ToolError("there is nobody to transfer to on this line")
    context.intents.ask_transfer(context.line.transfer_target, reason)
    return {"status": "transferring"}


@tool(effect="idempotent")
async def do_not_call(context: ToolContext) -> dict[str, str]:
    """Never call this person again."""
    if not context.caller_number:
        raise ToolError("the caller's number is not known")
    context.intents.ask_do_not_call()
    return {"status": "they will not be called again"}


@tool(effect="idempotent")
async def end_call(context: ToolContext) -> dict[str, str]:
    """End the call."""
    context.intents.ask_hang_up("the agent said goodbye")
    return {"status": "ended"}
