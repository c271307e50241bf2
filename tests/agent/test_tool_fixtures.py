"""The fixtures authors of tools get: a call without a phone, and a phone."""

from __future__ import annotations

import asyncio

import pytest

from agent.errors import ConfigurationError
from agent.testing.phone import Asks, Phone, Says, Uses
from agent.testing.pytest_plugin import ToolBench, phone, tool_call
from agent.tools.builtin import end_call, transfer_to_human
from agent.tools.tool import ToolContext, tool

pytestmark = pytest.mark.integration

__all__ = ["phone", "tool_call"]


@tool(effect="once", secrets=["TILL"])
async def pay(context: ToolContext, euros: int) -> dict[str, str]:
    """Pay."""
    await asyncio.sleep(0.3)
    return {"paid": f"{euros} with {context.secret('TILL')} by {context.idempotency_key[:4]}"}


@tool(effect="none")
async def look() -> str:
    """Look something up."""
    await asyncio.sleep(60)
    return "found"


def test_tools_run_as_in_a_call(tool_call: ToolBench):
    tool_call.set_secret("TILL", "key")
    first, again = tool_call(pay, euros=3), tool_call(pay, euros=3)
    assert first.answer == again.answer
    assert (first.status, again.status) == ("ok", "repeated")
    assert tool_call(pay, euros="many").status == "refused"
    kinds = [kind for kind, _ in tool_call.journal]
    assert kinds == ["tool_intent", "tool_result"] * 3
    tool_call(transfer_to_human, reason="bill")
    assert tool_call.intents.transfer_to == "+15550199"


def test_an_interruption_ends_a_lookup_and_not_a_payment(tool_call: ToolBench):
    tool_call.set_secret("TILL", "key")
    assert tool_call.interrupted(look).status == "cancelled"
    paid = tool_call.interrupted(pay, euros=3)
    assert paid.status == "ok"
    assert paid.answer["paid"].startswith("3 with key")


def test_a_whole_call_with_a_tool_of_ones_own(phone: Phone):
    @tool(effect="none")
    def count_sheep(colour: str) -> dict[str, int]:
        """Count sheep."""
        return {"sheep": len(colour)}

    call = phone.call(
        Asks("How many black sheep are there?"),
        Uses(count_sheep, colour="black"),
        Says("Five."),
        Asks("Goodbye."),
        Uses(end_call),
        Says("Goodbye."),
    )
    assert [(use.tool, use.answer, use.status) for use in call.uses] == [
        ("count_sheep", {"sheep": 5}, "ok"),
        ("end_call", {"status": "ended"}, "ok"),
    ]
    assert call.heard == ("Hello.", "Five.", "Goodbye.")
    said = [row.pii_text for row in call.record.utterances if row.role == "caller"]
    assert said == ["How many black sheep are there?", "Goodbye."]
    assert call.record.call.end_reason == "agent_ended"


@pytest.mark.parametrize(
    ("acts", "says"),
    [
        ((Says("Hi."),), "begins with what the caller Asks"),
        ((Asks("Hi."), Uses("lookup_order")), "end with Says"),
        ((Asks("Hi."), Uses("juggle"), Says("Done.")), "no tool juggle"),
    ],
)
def test_a_script_that_makes_no_call_is_refused(phone: Phone, acts, says):
    with pytest.raises(ConfigurationError, match=says):
        phone.call(*acts)
