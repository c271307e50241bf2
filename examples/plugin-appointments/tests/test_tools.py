"""The tools as a call runs them."""

from __future__ import annotations

from vita_plugin_appointments.diary import TIMES
from vita_plugin_appointments.tools import book_time, cancel_time, free_times

from agent.testing.pytest_plugin import ToolBench

WISH = {"day": "Friday", "time": "9:30", "name": "Ann"}


def test_a_booked_time_is_not_free_until_it_is_cancelled(tool_call: ToolBench) -> None:
    booking = tool_call(book_time, **WISH).answer["booking"]
    assert "9:30" not in tool_call(free_times, day="Friday").answer["free"]
    for _ in range(2):
        assert tool_call(cancel_time, booking=booking).answer == {"status": "cancelled"}
    assert tool_call(free_times, day="Friday").answer["free"] == list(TIMES)


def test_the_same_wish_is_one_booking(tool_call: ToolBench) -> None:
    first, again = tool_call(book_time, **WISH), tool_call(book_time, **WISH)
    assert again.answer == first.answer
    assert again.status == "repeated"


def test_a_caller_who_goes_on_still_has_the_booking(tool_call: ToolBench) -> None:
    assert tool_call.interrupted(book_time, **WISH).status == "ok"


def test_what_cannot_be_booked_is_said(tool_call: ToolBench) -> None:
    tool_call(book_time, **WISH)
    taken = tool_call(book_time, **{**WISH, "name": "Ben"})
    assert taken.answer == {"error": "Friday 9:30 is taken"}
    assert "there is no time 3" in tool_call(book_time, **{**WISH, "time": "3"}).answer["error"]
    assert tool_call(free_times, day="Sunday").status == "refused"
