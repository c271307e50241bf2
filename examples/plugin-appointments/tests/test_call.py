"""A whole call: carrier, agent and call log are real, the model follows a script."""

from __future__ import annotations

from vita_plugin_appointments.tools import book_time, free_times

from agent.testing.phone import Asks, Phone, Says, Uses


def test_a_caller_books_a_time(phone: Phone) -> None:
    call = phone.call(
        Asks("Is anything free on Friday?"),
        Uses(free_times, day="Friday"),
        Says("Nine thirty is free."),
        Asks("I will take it. My name is Ann."),
        Uses(book_time, day="Friday", time="9:30", name="Ann"),
        Says("It is yours."),
    )
    assert [(use.tool, use.status) for use in call.uses] == [
        ("free_times", "ok"),
        ("book_time", "ok"),
    ]
    assert call.uses[1].answer["booking"].isdigit()
    assert call.heard[-1] == "It is yours."
