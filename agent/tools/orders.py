"""Example plugin: looks an order up."""

from __future__ import annotations

from agent.tools.example_shop import shop
from agent.tools.tool import ToolContext, tool


@tool(effect="none")
def lookup_order(context: ToolContext, order_id: str) -> dict[str, str | bool]:
    """Find the status of an order."""
    digits = "".join(character for character in order_id if character.isalnum())
    with shop(context.data_dir) as db:
        found = db.execute(
            "SELECT status, arrives FROM orders WHERE order_id = ?", (digits,)
        ).fetchone()
    if found is None:
        return {"found": False}
    status, arrives = found
    return {"status": status, "arrives": arrives}
