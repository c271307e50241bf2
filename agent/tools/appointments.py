"""Example plugin: books an appointment, the same wish once."""

from __future__ import annotations

from agent.tools.example_shop import shop
from agent.tools.tool import ToolContext, tool


@tool(effect="idempotent")
def book_appointment(context: ToolContext, day: str, time: str) -> dict[str, str]:
    """Book an appointment."""
    key = context.idempotency_key
    with shop(context.data_dir) as db:
        db.execute(
            "INSERT OR IGNORE INTO appointments VALUES (?, lower(?), lower(?), ?)",
            (key, day, time, context.caller_number),
        )
        booked = db.execute(
            "SELECT 1 FROM appointments WHERE idempotency_key = ?", (key,)
        ).fetchone()
    return {"status": "booked"} if booked else {"error": "slot taken"}
