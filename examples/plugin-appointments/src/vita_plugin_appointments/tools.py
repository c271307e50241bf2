"""What the model may do with the diary. Plain functions: each run gets a thread."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agent.errors import ToolError
from agent.tools.tool import ToolContext, tool
from vita_plugin_appointments.diary import TIMES, Diary, TakenError

Day = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]


@tool(effect="none", timeout_s=3)
def free_times(context: ToolContext, day: Day) -> dict[str, list[str]]:
    """Tell which times of a day are free."""
    return {"free": _diary(context).free(day)}


@tool(effect="once", timeout_s=5)
def book_time(
    context: ToolContext,
    day: Day,
    time: Annotated[str, Field(description="as free_times tells it, such as 9:30")],
    name: Annotated[str, Field(description="the caller's name")],
) -> dict[str, str]:
    """Book a time for the caller."""
    if time not in TIMES:
        raise ToolError(f"there is no time {time}; there is: {', '.join(TIMES)}")
    try:
        return {"booking": _diary(context).book(day, time, name)}
    except TakenError as error:
        raise ToolError(f"{day} {time} is taken") from error


@tool(effect="idempotent", timeout_s=3)
def cancel_time(
    context: ToolContext,
    booking: Annotated[str, Field(pattern=r"^\d{4}$", description="four digits")],
) -> dict[str, str]:
    """Cancel a booking."""
    _diary(context).cancel(booking)
    return {"status": "cancelled"}


def _diary(context: ToolContext) -> Diary:
    return Diary(context.data_dir / "diary.db")
