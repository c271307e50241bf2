from __future__ import annotations

import pytest

from agent.api import NextStep
from agent.calls.call import Call, InvalidMoveError, call_id_for, next_step
from agent.calls.slots import CallSlots
from agent.errors import CapacityError

pytestmark = pytest.mark.unit


def talking() -> Call:
    return Call(epoch=1).connect(2).begin()


def test_a_call_goes_from_admission_to_its_end():
    connected = Call(epoch=1).connect(2)
    begun = connected.begin()
    moved = begun.transfer("+15550199")
    ended = moved.end("transferred")
    states = [call.state for call in (Call(), connected, begun, moved, ended)]
    assert states == ["admitted", "connected", "in_progress", "transferring", "ended"]
    assert (ended.reason, ended.transfer_to, ended.epoch) == ("transferred", "+15550199", 2)


@pytest.mark.parametrize(
    "move",
    [
        lambda: Call().transfer_refused(),
        lambda: talking().begin(),
        lambda: talking().end("agent_ended").begin(),
        lambda: talking().end("agent_ended").end("caller_hung_up"),
        lambda: talking().end("agent_ended").connect(9),
        lambda: talking().end("failed").connect(9),
        lambda: talking().end("caller_hung_up").connect(2),
        lambda: Call(epoch=5).connect(4),
    ],
)
def test_there_is_no_way_back(move):
    with pytest.raises(InvalidMoveError):
        move()


def test_a_refused_transfer_returns_to_the_agent_and_is_remembered():
    call = talking().transfer("+15550199").transfer_refused()
    assert call.state == "in_progress"
    assert next_step(call.end("failed")) == NextStep("dial", "+15550199")


@pytest.mark.parametrize("reason", ["caller_hung_up", "worker_stopped"])
def test_a_lost_stream_is_taken_up_by_a_later_writer(reason: str):
    again = talking().end(reason).connect(3)
    assert (again.state, again.attempt, again.reason) == ("connected", 2, "")


def test_a_caller_whom_nobody_took_comes_back_to_the_agent():
    handed_over = talking().transfer("+15550199").end("transferred")
    back = handed_over.come_back("busy", epoch=3)
    assert (back.state, back.dialled) == ("transferring", "busy")
    assert next_step(back, dialled="busy") == NextStep("reconnect")
    again = back.connect(4)
    assert (again.attempt, again.dialled) == (2, "busy")
    assert again.begin().dialled == "", "it is told once"
    assert next_step(again.begin().transfer("+1555019").end("transferred")).kind == "hang_up"


def test_a_caller_who_was_not_handed_over_does_not_come_back():
    for call in (talking(), talking().end("agent_ended"), talking().end("failed")):
        with pytest.raises(InvalidMoveError):
            call.come_back("busy", epoch=3)


def test_a_failed_call_goes_to_a_person_once():
    failed = talking().end("failed")
    assert next_step(failed, human="+15550199") == NextStep("dial", "+15550199")
    assert next_step(failed, human="+15550199", dialled="no-answer") == NextStep("apologise")
    last = next_step(failed, human="+15550199", dialled="no-answer", takes_messages=True)
    assert last == NextStep("take_message")


def test_a_carrier_may_end_a_call_that_never_connected():
    ended = Call(epoch=1).end("no-answer", epoch=4)
    assert (ended.over, ended.epoch) == (True, 4)
    assert next_step(ended) == NextStep("hang_up")


@pytest.mark.parametrize(
    ("call", "step"),
    [
        (talking(), "reconnect"),
        (talking().end("caller_hung_up"), "reconnect"),
        (talking().end("agent_ended"), "hang_up"),
        (talking().transfer("+15550199").end("transferred"), "hang_up"),
        (talking().end("failed"), "apologise"),
        (talking().connect(3).connect(4), "apologise"),
    ],
)
def test_the_next_step_follows_from_where_the_call_stands(call: Call, step: str):
    assert next_step(call).kind == step


def test_a_carriers_call_has_one_id_everywhere():
    assert call_id_for("twilio", "CA1") == call_id_for("twilio", "CA1")
    ids = {call_id_for("twilio", "CA1"), call_id_for("twilio", "CA2"), call_id_for("web", "CA1")}
    assert len(ids) == 3
    assert all(len(each) == 32 for each in ids)


def test_promised_slots_count_until_they_run_out(clock):
    slots = CallSlots(2, 60.0, clock)
    slots.promise("a")
    slots.promise("b")
    slots.promise("b")
    with pytest.raises(CapacityError):
        slots.promise("c")
    clock.advance(61)
    slots.promise("c")
    assert slots.in_use == 1


def test_a_running_call_keeps_its_slot_until_its_last_stream_ends(clock):
    slots = CallSlots(1, 60.0, clock)
    slots.promise("a")
    slots.start("a")
    slots.start("a")
    clock.advance(3600)
    slots.stop("a")
    with pytest.raises(CapacityError):
        slots.promise("b")
    slots.stop("a")
    slots.promise("b")
